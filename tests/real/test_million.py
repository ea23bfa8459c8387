"""A real Prometheus scrapes a million series from the event loop of an application that goes on answering."""

from __future__ import annotations

import pytest

from tests.patience import PROGRAM_SECONDS

# Rates, and how long a loop is held: one after the other.
pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("rates")]

SERIES = 1_000_000
PROGRAM = f"""
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import asyncmetrics

async def index(request):
    return PlainTextResponse("here")

registry = asyncmetrics.CollectorRegistry()
rows = asyncmetrics.Counter("rows", "Rows.", ["table", "row"], registry=registry, max_children=None)
for number in range({SERIES}):
    rows.labels("orders", str(number)).inc(number)
serve(asyncmetrics.instrument(Starlette(routes=[Route("/", index)]), registry=registry))
"""


@pytest.fixture(scope="module")
def scraped(serving_alone, start_prometheus):
    """The server once it has scraped the application, whose other requests were answered meanwhile."""
    with serving_alone(PROGRAM) as base:
        for interval in ("20s", "2m", "10m"):  # which is its timeout as well: a busy machine needs the longer ones
            prometheus = start_prometheus({"million": base}, interval)
            # The first attempt is within an interval after five seconds, and takes an interval at most.
            (row,) = prometheus.wait_for('up{job="million"}', bool, seconds=PROGRAM_SECONDS + 1200)
            if row["value"][1] == "1":
                break
        yield prometheus


def _value(prometheus, expression: str) -> float:
    return float(prometheus.query(expression)[0]["value"][1])


def test_the_target_is_up(scraped):
    assert _value(scraped, 'up{job="million"}') == 1


def test_every_sample_was_read(scraped):
    """A few more than the series: those of the middleware and of the exposition itself."""
    assert 0 <= _value(scraped, 'scrape_samples_scraped{job="million"}') - SERIES < 100


def test_the_last_value_was_read(scraped):
    assert _value(scraped, f'rows_total{{row="{SERIES - 1}"}}') == SERIES - 1
