"""The cost of exemplars by themselves: an observation whose bucket has its exemplar, and one that is not sampled.

The SDK of OpenTelemetry offers each sampled measurement to a reservoir. It is measured with all of them sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks._measure import Effort, Run, measure, repeat_statement, scale
from benchmarks._peers import make_contenders
from benchmarks._rows import OURS, Row, Target, make_rows

__all__ = ("RATIO", "run")

RATIO = "the time ÷ ours without exemplars"

INC = "inc()"
OBSERVE = "observe(0.3)"
NATIVE = "observe(0.3), native"

TAKEN = "asyncmetrics, the bucket has its exemplar"
UNSAMPLED = "asyncmetrics, not sampled"

TARGETS = {INC: Target(TAKEN, "≤", 1.6), OBSERVE: Target(TAKEN, "≤", 1.25), NATIVE: Target(TAKEN, "≤", 1.2)}


def _asyncmetrics(exemplars: Callable[[], Mapping[str, str] | None] | None) -> Mapping[str, Run]:
    from asyncmetrics import CollectorRegistry, Counter, Histogram

    to: dict[str, Any] = {"registry": CollectorRegistry(), "exemplars": exemplars}
    return {
        INC: repeat_statement("c.inc()", c=Counter("jobs", "Jobs.", **to)),
        OBSERVE: repeat_statement("h.observe(0.3)", h=Histogram("latency", "Latency.", **to)),
        NATIVE: repeat_statement("h.observe(0.3)", h=Histogram("exact", "E.", native=True, buckets=(), **to)),
    }


def _opentelemetry() -> Mapping[str, Run]:
    from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

    views = [View(instrument_name="exact", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([InMemoryMetricReader()], views=views, exemplar_filter=AlwaysOnExemplarFilter())
    meter = provider.get_meter("benchmarks")
    return {
        INC: repeat_statement("c.add(1)", c=meter.create_counter("jobs")),
        OBSERVE: repeat_statement("h.record(0.3)", h=meter.create_histogram("latency")),
        NATIVE: repeat_statement("h.record(0.3)", h=meter.create_histogram("exact")),
    }


MAKERS = {
    OURS: partial(_asyncmetrics, None),
    TAKEN: partial(_asyncmetrics, lambda: {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}),
    UNSAMPLED: partial(_asyncmetrics, lambda: None),
    "OpenTelemetry SDK": _opentelemetry,
}


def _divide(figures: Mapping[str, float], contender: str) -> float | None:
    return None if contender == OURS else figures[contender] / figures[OURS]


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per operation."""
    for discipline, contenders in make_contenders(MAKERS).items():
        outcomes = scale(measure(contenders, effort), 1e9)
        yield from make_rows(discipline, "ns", outcomes, _divide, TARGETS.get(discipline))
