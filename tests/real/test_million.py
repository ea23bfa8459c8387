"""A real Prometheus scrapes a million series from the event loop of an application that goes on answering."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

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
        prometheus = start_prometheus({"million": base}, "10s")
        prometheus.wait_for('scrape_samples_scraped{job="million"} >= 1000000', bool, seconds=90)
        yield prometheus


def _value(prometheus, expression: str) -> float:
    return float(prometheus.query(expression)[0]["value"][1])


def test_the_target_is_up(scraped):
    assert _value(scraped, 'up{job="million"}') == 1


def test_every_series_was_read(scraped):
    assert _value(scraped, 'count(rows_total{job="million"})') == SERIES
    print("scrape_duration_seconds", _value(scraped, 'scrape_duration_seconds{job="million"}'))


def test_every_value_was_read(scraped):
    assert _value(scraped, 'sum(rows_total{job="million"})') == sum(range(SERIES))
