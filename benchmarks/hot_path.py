"""The cost of an instrumented line: counting, observing and setting, with labels and without.

Peers that have no children, and take labels as a mapping at each call, are measured in the disciplines that look labels
up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks._measure import Effort, Run, measure, repeat_statement, scale
from benchmarks._peers import make_contenders
from benchmarks._rows import OURS, THEIRS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "a peer's time ÷ ours"

INC = "inc()"
CHILD = "child.inc()"
AMOUNT = "inc(2)"
LABELS = "labels(a, b).inc()"
NAMED = "labels(a=, b=).inc()"
OBSERVE = "observe(0.3)"
SET = "gauge.set(3.0)"
NATIVE = "native: observe(0.3)"
NATIVE_BESIDE_CLASSIC = "native: observe(0.3), our own histograms"
OUR_CLASSIC = "asyncmetrics, classic"
OUR_BOTH = "asyncmetrics, both"

TARGETS = {
    INC: Target(THEIRS, "≥", 3.5),
    CHILD: Target(THEIRS, "≥", 3.5),
    AMOUNT: Target(THEIRS, "≥", 3.5),
    LABELS: Target(THEIRS, "≥", 8),
    NAMED: Target(THEIRS, "≥", 4),
    OBSERVE: Target(THEIRS, "≥", 4),
    NATIVE: Target(THEIRS, "≥", 2),
    NATIVE_BESIDE_CLASSIC: Target(OUR_CLASSIC, "≥", 1 / 2.2),
}
NAMES = ("method", "route")
MAPPING = {"method": "GET", "route": "/"}


def _make_runs(counter: Any, labelled: Any, histogram: Any, gauge: Any) -> Mapping[str, Run]:
    child = labelled.labels("GET", "/")
    return {
        INC: repeat_statement("c.inc()", c=counter),
        CHILD: repeat_statement("c.inc()", c=child),
        AMOUNT: repeat_statement("c.inc(2)", c=counter),
        LABELS: repeat_statement("c.labels('GET', '/').inc()", c=labelled),
        NAMED: repeat_statement("c.labels(method='GET', route='/').inc()", c=labelled),
        OBSERVE: repeat_statement("h.observe(0.3)", h=histogram),
        SET: repeat_statement("g.set(3.0)", g=gauge),
    }


def _asyncmetrics() -> Mapping[str, Run]:
    from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    return _make_runs(
        Counter("jobs", "Jobs.", **to),
        Counter("requests", "Requests.", NAMES, **to),
        Histogram("latency", "Latency.", **to),
        Gauge("queue", "Queue.", **to),
    )


def _asyncmetrics_natives(**options: Any) -> Mapping[str, Run]:
    from asyncmetrics import CollectorRegistry, Histogram

    histogram = Histogram("latency", "Latency.", registry=CollectorRegistry(), **options)
    run = repeat_statement("h.observe(0.3)", h=histogram)
    return {NATIVE: run, NATIVE_BESIDE_CLASSIC: run} if options.get("buckets") == () else {NATIVE_BESIDE_CLASSIC: run}


def _prometheus_client() -> Mapping[str, Run]:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    histogram = Histogram("latency", "Latency.", **to)
    runs = _make_runs(
        Counter("jobs", "Jobs.", **to),
        Counter("requests", "Requests.", NAMES, **to),
        histogram,
        Gauge("queue", "Queue.", **to),
    )
    return {**runs, NATIVE: repeat_statement("h.observe(0.3)", h=histogram)}  # it has classic ones only


def _aioprometheus() -> Mapping[str, Run]:
    from aioprometheus.collectors import Counter, Gauge, Histogram, Registry

    to: dict[str, Any] = {"registry": Registry()}
    counter, labelled = Counter("jobs", "Jobs.", **to), Counter("requests", "Requests.", **to)
    by_mapping = repeat_statement("c.inc({'method': 'GET', 'route': '/'})", c=labelled)
    return {
        INC: repeat_statement("c.inc({})", c=counter),
        AMOUNT: repeat_statement("c.add({}, 2)", c=counter),
        LABELS: by_mapping,
        NAMED: by_mapping,
        OBSERVE: repeat_statement("h.observe({}, 0.3)", h=Histogram("latency", "Latency.", **to)),
        SET: repeat_statement("g.set({}, 3.0)", g=Gauge("queue", "Queue.", **to)),
    }


def _pytheus() -> Mapping[str, Run]:
    from pytheus.metrics import Counter, Gauge, Histogram
    from pytheus.registry import CollectorRegistry

    to: dict[str, Any] = {"registry": CollectorRegistry()}
    counter = Counter("jobs", "Jobs.", **to)
    labelled = Counter("requests", "Requests.", required_labels=NAMES, **to)
    by_mapping = repeat_statement("c.labels({'method': 'GET', 'route': '/'}).inc()", c=labelled)
    return {
        INC: repeat_statement("c.inc()", c=counter),
        CHILD: repeat_statement("c.inc()", c=labelled.labels(MAPPING)),
        AMOUNT: repeat_statement("c.inc(2)", c=counter),
        LABELS: by_mapping,
        NAMED: by_mapping,
        OBSERVE: repeat_statement("h.observe(0.3)", h=Histogram("latency", "Latency.", **to)),
        SET: repeat_statement("g.set(3.0)", g=Gauge("queue", "Queue.", **to)),
    }


def _opentelemetry() -> Mapping[str, Run]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

    views = [View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())]
    exponential = MeterProvider([InMemoryMetricReader()], views=views).get_meter("benchmarks")
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmarks")
    counter, labelled = meter.create_counter("jobs"), meter.create_counter("requests")
    by_mapping = repeat_statement("c.add(1, {'method': 'GET', 'route': '/'})", c=labelled)
    return {
        INC: repeat_statement("c.add(1)", c=counter),
        AMOUNT: repeat_statement("c.add(2)", c=counter),
        LABELS: by_mapping,
        NAMED: by_mapping,
        OBSERVE: repeat_statement("h.record(0.3)", h=meter.create_histogram("latency")),
        SET: repeat_statement("g.set(3.0)", g=meter.create_gauge("queue")),
        NATIVE: repeat_statement("h.record(0.3)", h=exponential.create_histogram("exponential")),
    }


MAKERS = {
    OURS: lambda: {**_asyncmetrics(), **_asyncmetrics_natives(native=True, buckets=())},
    OUR_CLASSIC: _asyncmetrics_natives,
    OUR_BOTH: lambda: _asyncmetrics_natives(native=True),
    THEIRS: _prometheus_client,
    "aioprometheus": _aioprometheus,
    "pytheus": _pytheus,
    "OpenTelemetry SDK": _opentelemetry,
}


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per operation."""
    for discipline, contenders in make_contenders(MAKERS).items():
        outcomes = scale(measure(contenders, effort), 1e9)
        yield from make_rows(discipline, "ns", outcomes, divide_by_ours, TARGETS.get(discipline))
