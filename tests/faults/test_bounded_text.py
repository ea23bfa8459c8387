"""What arrives from outside pins no memory once it has been dealt with, and fills no message."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import suppress

import pytest
from starlette.applications import Starlette

from asyncmetrics import CollectorRegistry, Counter, Gauge, MetricsMiddleware
from asyncmetrics.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from asyncmetrics.errors import MetricsError, PushError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text

LONG = 100_000
SHORT = 4000
NUMBERS = 20


async def nothing(message=None) -> None:
    pass


STARLETTE = Starlette()


async def copying(scope, receive, send) -> None:
    await STARLETTE(dict(scope), receive, send)


MEASURED_KEY = MetricsMiddleware(copying, registry=CollectorRegistry())


def request(number: int) -> None:
    """Have a path matched by the middleware: the router wrote into a copy of the scope."""
    scope = {"type": "http", "method": "GET", "path": f"/{number}" + "x" * LONG, "headers": [], "app": STARLETTE}
    with suppress(StopIteration):
        MEASURED_KEY(scope, nothing, nothing).send(None)


def render(form, number: int) -> None:
    family = HistogramMetricFamily("a", "", [(f"{number}" + "1" * LONG, 1), ("+Inf", 1)], 1)
    for _ in form([family]):
        pass


def read(number: int) -> None:
    bound = f"{number}" + "1" * LONG
    with suppress(MetricsError):
        list(parse_openmetrics(f'# TYPE a histogram\na_bucket{{le="{bound}x"}} 1\n# EOF\n'))


MET = {
    "a bound in the text format": lambda number: render(encode_text, number),
    "a bound in OpenMetrics": lambda number: render(encode_openmetrics, number),
    "a bound that is read": read,
    "a path": request,
}


@pytest.mark.parametrize("name", MET)
def test_a_long_text_is_not_kept(name):
    """20 different ones of 100 kB each leave less than one of them behind."""
    meet = MET[name]
    meet(-1)
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(NUMBERS):
            meet(number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < LONG


LABELLED = Counter("jobs", "Jobs.", ["kind"], registry=None)
SAID = {
    "a line": lambda: list(parse_prometheus("a " + "x" * LONG)),
    "a line of OpenMetrics": lambda: list(parse_openmetrics("a " + "x" * LONG + "\n# EOF\n")),
    "a last line": lambda: list(parse_openmetrics("x" * LONG)),
    "a type": lambda: list(parse_prometheus("# TYPE a " + "x" * LONG)),
    "a label that is there twice": lambda: list(parse_prometheus("a{" + ("x" * LONG + '="",') * 2 + "} 1")),
    "a name": lambda: Metric("\0" * LONG, "", "gauge"),
    "a name that is declared": lambda: Gauge("-" * LONG, "", registry=None),
    "a type of a family": lambda: Metric("a", "", "x" * LONG),
    "label values": lambda: GaugeMetricFamily("a", "", labels=["b"]).add_metric(["x"] * LONG, 1),
    "label values of a metric": lambda: LABELLED.labels(*["x"] * LONG),
    "a label name": lambda: LABELLED.labels(**{"x" * LONG: ""}),
    "a child": lambda: LABELLED.labels("x" * LONG).inc(-1),
    "an amount": lambda: LABELLED.labels("").inc("x" * LONG),
    "an int": lambda: LABELLED.labels("").inc(10**LONG),
    "an exemplar": lambda: LABELLED.labels("").inc(1, {"a": "x" * LONG}),
}


@pytest.mark.parametrize("name", SAID)
def test_a_message_shows_no_more_than_it_has_to(name):
    with pytest.raises(MetricsError) as raised:
        SAID[name]()
    assert len(str(raised.value)) < SHORT


def test_a_parse_error_keeps_the_whole_line():
    with pytest.raises(MetricsError) as raised:
        list(parse_prometheus("a " + "x" * LONG))
    assert raised.value.line == "a " + "x" * LONG


def test_what_a_gateway_says_is_shown_in_part():
    error = PushError("PUT", "http://gateway/" + "x" * LONG, "x" * LONG)
    assert len(str(error)) < SHORT
