"""A server with as many series as the page reads at a time, all of one kind, keeps the browser no minute."""

from __future__ import annotations

import pytest

from tests.real.live.conftest import Upstream

pytestmark = pytest.mark.real

ROWS = 19_000
OF_ROUTES = ("active_requests", "oldest_active_request_seconds")


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("pools", 'queue_length{{queue="q{0}"}} 1\n'),
        ("jobs", 'heartbeat_interval_seconds{{heartbeat="h{0}"}} 1\n'),
        ("routes", "".join(f'http_server_{name}{{{{route="/{{0}}"}}}} 1\n' for name in OF_ROUTES)),
        ("workers", 'process_cpu_seconds_total{{worker="{0}"}} 1\n'),
    ],
    ids=["pools", "jobs", "routes", "workers"],
)
def test_the_time_of_a_section_grows_with_its_rows_and_not_with_their_square(open_page, section, line):
    """A square would be 361 million steps, and the next text would come after minutes."""
    view = open_page(Upstream("".join(line.format(number) for number in range(ROWS // line.count("\n")))))
    view.read()
    assert len(view.list_cells(section)) == 50
    view.find(f"#{section} .more").click()
    assert len(view.list_cells(section)) == 100
