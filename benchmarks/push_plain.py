"""What it costs to encode 100,000 series for Graphite and StatsD, and a text of as many for the Pushgateway.

There is no peer: prometheus_client's bridge for Graphite writes and sends in one. The longest step is how long an event
loop waits; it is measured by the processor time of the thread, and the garbage collector does not run meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from time import thread_time
from typing import Any

from benchmarks._measure import Effort, Figures
from benchmarks._registries import make_our_registry
from benchmarks._rows import OURS, Row, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "none: no peer encodes without sending"

ROUNDS = 5
SIZES = (("Counter", 100_000), ("Gauge", 100_000), ("Histogram", 6_000))


def _make_sinks() -> dict[str, Any]:
    from asyncmetrics.bridges.graphite import Graphite
    from asyncmetrics.bridges.pushgateway import Pushgateway
    from asyncmetrics.bridges.statsd import StatsD

    return {
        "Graphite, tags": Graphite("localhost"),
        "Graphite, dotted": Graphite("localhost", tags=False),
        "StatsD, first push": StatsD(),
        "DogStatsD, first push": StatsD(tags="datadog"),
        "Pushgateway": Pushgateway("localhost:9091", "job"),
        "Pushgateway, gzip": Pushgateway("localhost:9091", "job", compression="gzip"),
    }


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _measure(sink: Any, registry: Any) -> tuple[float, float]:
    """Return nanoseconds for each series, and the milliseconds of the longest step."""
    from asyncmetrics.bridges.push.identity import Identity
    from asyncmetrics.registry.collectables import collect_within

    steps = sink.encode_in_steps(collect_within(registry), 1.0, Identity("shop", "host:0"))
    times: list[float] = []
    payloads: list[Any] = []

    def step() -> bool:
        try:
            next(steps)
        except StopIteration as end:
            payloads.append(end.value)
        return not payloads

    with _without_collector():
        is_open = True
        while is_open:
            started = thread_time()
            is_open = step()
            times.append(thread_time() - started)
    return sum(times) / payloads[0].samples * 1e9, max(times) * 1e3


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per series, with the longest step as a note."""
    for kind, full in SIZES:
        count = effort.size(full)
        registry = make_our_registry(kind, count)
        for name, sink in _make_sinks().items():  # nothing is sent, so that every push of StatsD is like the first one
            rounds = [_measure(sink, registry) for _ in range(2 if effort.quick else ROUNDS)]
            costs = [cost for cost, _ in rounds]
            outcomes = {OURS: Figures(min(costs), median(costs))}
            longest = min(step for _, step in rounds)
            for row in make_rows(f"{count:,} × {kind}, {name}", "ns per series", dict(outcomes), divide_by_ours):
                yield replace(row, note=f"longest step {longest:.2f} ms")
