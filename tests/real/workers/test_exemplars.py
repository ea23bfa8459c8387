"""Exemplars of the workers of a server: a scrape of any worker has the newest one of all."""

from __future__ import annotations

import http.client
import os
import re
import signal
from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import find_free_port, run_server
from tests.servers.requirements import require_packages
from tests.servers.worker_servers import HERE, Workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

WORKERS = 3
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
_LINE = re.compile(r'^(\w+)(?:\{(.*?)\})? \S+ # \{span_id="\w+",trace_id="(\w+)"\} \S+ \S+$', re.MULTILINE)


@pytest.fixture
def server(place) -> Iterator[Workers]:
    """Three workers of `tests.servers.exemplar_app`."""
    require_packages(["uvicorn"])
    running = Workers("uvicorn", find_free_port(), place)
    command = f"uvicorn exemplar_app:app --workers {WORKERS} --port {running.port} --log-level critical"
    with run_server(command.split(), HERE, running.is_up, XDG_RUNTIME_DIR=str(place)) as running.process:
        yield running


def ask(server: Workers, path: str, headers: Mapping[str, str]) -> str:
    """Send one request on a connection of its own, and return the text of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def read_traces(server: Workers) -> dict[str, int]:
    """Scrape once, and return the number of each exemplar's trace by its sample."""
    text = ask(server, "/metrics", OPENMETRICS)
    return {f"{name}{{{labels or ''}}}": int(trace, 16) for name, labels, trace in _LINE.findall(text)}


def test_every_worker_exposes_the_newest_exemplar_of_all(server):
    counted_by: dict[str, int] = {}
    number = 0
    while len(counted_by) < WORKERS or number < 30:
        number += 1
        counted_by[ask(server, f"/traces/{number}", {})] = number
        expected = {
            'traced_total{kind="any"}': number,
            'native_bucket{le="+Inf"}': number,
            f'classic_bucket{{le="{(1.0, 2.0, "+Inf")[number % 3]}"}}': number,
        }
        assert expected.items() <= read_traces(server).items()
    (killed,) = (pid for pid, last in counted_by.items() if last == number)
    os.kill(int(killed), signal.SIGKILL)
    wait_until(lambda: int(killed) not in server.pids() and len(server.pids()) == WORKERS)
    wait_until(server.is_up)
    assert read_traces(server)['traced_total{kind="any"}'] == number


def test_the_traces_of_requests_to_every_worker_are_exposed(server):
    taken_by: set[str] = set()
    numbers = count(1)

    def is_taken() -> bool:
        number = next(numbers)
        pid = ask(server, "/items/1", {"traceparent": f"00-{number:032x}-{number:016x}-01"})
        if number in read_traces(server).values():
            taken_by.add(pid)
        return len(taken_by) == WORKERS

    wait_until(is_taken)
