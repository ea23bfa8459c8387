"""The cost of a measurement through OpenTelemetry's API: our `MeterProvider` beside the one of OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks._measure import Effort, Run, measure, repeat_statement, scale
from benchmarks._peers import make_contenders
from benchmarks._rows import OURS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "the time of the SDK ÷ ours"

SDK = "OpenTelemetry SDK"

BARE = "add(1)"
ADD = "add(1, {a: b})"
REQUEST = "record(0.3, 4 attributes)"
SEQUENCE = "add(1, {a: (b, c)})"

TARGETS = {discipline: Target(SDK, "≥", 1) for discipline in (BARE, ADD, REQUEST)}

# As an instrumentation of a web framework has them: the status is an int.
ATTRIBUTES = {
    "http.request.method": "GET",
    "http.route": "/items/{id}",
    "http.response.status_code": 200,
    "url.scheme": "http",
}


def _make_runs(provider: Any) -> Mapping[str, Run]:
    meter = provider.get_meter("benchmarks", "1.0")
    counter, histogram = meter.create_counter("jobs"), meter.create_histogram("latency", "s")
    return {
        BARE: repeat_statement("c.add(1)", c=counter),
        ADD: repeat_statement("c.add(1, {'a': 'b'})", c=counter),
        REQUEST: repeat_statement("h.record(0.3, a)", h=histogram, a=ATTRIBUTES),
        SEQUENCE: repeat_statement("c.add(1, {'a': ('b', 'c')})", c=counter),
    }


def _asyncmetrics() -> Mapping[str, Run]:
    from asyncmetrics import CollectorRegistry
    from asyncmetrics.bridges.opentelemetry import MeterProvider

    return _make_runs(MeterProvider(CollectorRegistry()))


def _opentelemetry() -> Mapping[str, Run]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return _make_runs(MeterProvider([InMemoryMetricReader()]))


MAKERS = {OURS: _asyncmetrics, SDK: _opentelemetry}


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per measurement."""
    for discipline, contenders in make_contenders(MAKERS).items():
        outcomes = scale(measure(contenders, effort), 1e9)
        yield from make_rows(discipline, "ns", outcomes, divide_by_ours, TARGETS.get(discipline))
