"""What a child weighs, before the first scrape and after it, when the text of its labels is kept for the next one.

The bytes are those that tracemalloc sees; label values are made beforehand, since they are the application's.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks._measure import Effort, Figures, Outcomes, problem
from benchmarks._rows import OURS, THEIRS, Row, Target, rows

__all__ = ("RATIO", "run")

RATIO = "our bytes ÷ prometheus_client's"

CHILDREN = 50_000
NAMES = ("method", "route", "status")
KINDS = {"counter, 3 labels": "Counter", "histogram, default buckets": "Histogram"}
BEFORE, AFTER = "before a scrape", "after a scrape"
BOUNDS = {
    ("Counter", BEFORE): 0.6,
    ("Counter", AFTER): 0.85,
    ("Histogram", BEFORE): 0.25,
    ("Histogram", AFTER): 0.3,
}

Library = Callable[[str], tuple[Any, Callable[[], object]]]
"""Make a metric of a kind, and what scrapes it."""


def _asyncmetrics(kind: str) -> tuple[Any, Callable[[], object]]:
    import asyncmetrics
    from asyncmetrics.formats.writing.text import encode_text

    registry = asyncmetrics.CollectorRegistry()
    metric = getattr(asyncmetrics, kind)("requests", "Requests.", NAMES, registry=registry)
    return metric, lambda: sum(map(len, encode_text(registry.collect())))


def _prometheus_client(kind: str) -> tuple[Any, Callable[[], object]]:
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    metric = getattr(prometheus_client, kind)("requests", "Requests.", NAMES, registry=registry)
    return metric, lambda: len(prometheus_client.generate_latest(registry))


LIBRARIES: dict[str, Library] = {OURS: _asyncmetrics, THEIRS: _prometheus_client}


def _weigh(library: Library, kind: str, values: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Return the bytes per child before and after a scrape."""
    metric, scrape = library(kind)
    metric.labels(*values[0])
    scrape()  # what is made once is no child's
    metric.clear()
    gc.collect()
    tracemalloc.start()
    try:
        for labels in values:
            metric.labels(*labels)
        before = _traced()
        scrape()
        return before / len(values), _traced() / len(values)
    finally:
        tracemalloc.stop()


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _ratio(figures: Mapping[str, float], who: str) -> float | None:
    return figures[who] / figures[THEIRS] if who == OURS and THEIRS in figures else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield bytes per child; allocations do not vary, so one round is enough."""
    count = effort.size(CHILDREN)
    values = [("GET", f"/items/{index}", "200") for index in range(count)]
    for label, kind in KINDS.items():
        outcomes: dict[str, Outcomes] = {BEFORE: {}, AFTER: {}}
        for who, library in LIBRARIES.items():
            try:
                weights = _weigh(library, kind, values)
            except Exception as error:  # noqa: BLE001  # a peer's failure is a result
                for found in outcomes.values():
                    found[who] = problem(error)
            else:
                for found, weight in zip(outcomes.values(), weights, strict=True):
                    found[who] = Figures(weight, weight)
        for moment, found in outcomes.items():
            yield from rows(f"{label}, {moment}", "B", found, _ratio, Target(OURS, "≤", BOUNDS[kind, moment]))
