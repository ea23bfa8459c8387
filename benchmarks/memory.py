"""The memory of a child, before the first scrape and after it, when the text of its labels may be kept.

The bytes are those that tracemalloc counts. Label values are created before, because they belong to the application.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks._measure import Effort, Figures, Outcomes, describe_problem
from benchmarks._rows import OURS, THEIRS, Row, Target, make_rows

__all__ = ("RATIO", "run")

RATIO = "our bytes ÷ prometheus_client's"

CHILDREN = 50_000
NAMES = ("method", "route", "status")
NATIVE = "Histogram, native"
KINDS = {
    "counter, 3 labels": "Counter",
    "histogram, default buckets": "Histogram",
    "native histogram, 27 buckets": NATIVE,
}
NATIVE_AMOUNTS = tuple(0.001 * 1.3**power for power in range(27))  # 1 ms to 1 s, each in a bucket of its own
BEFORE, AFTER = "before a scrape", "after a scrape"
BOUNDS = {
    ("Counter", BEFORE): 0.6,
    ("Counter", AFTER): 0.85,
    ("Histogram", BEFORE): 0.25,
    ("Histogram", AFTER): 0.3,
    (NATIVE, BEFORE): 0.8,
    (NATIVE, AFTER): 0.8,
}

Library = Callable[[str], tuple[Any, Callable[[], object]]]
"""Return a metric of a kind, and a function that scrapes it."""


def _asyncmetrics(kind: str) -> tuple[Any, Callable[[], object]]:
    import asyncmetrics
    from asyncmetrics.formats.writing.text import encode_text
    from asyncmetrics.registry.collectables import collect_within

    registry = asyncmetrics.CollectorRegistry()
    options = {"native": True, "buckets": ()} if kind == NATIVE else {}
    metric = getattr(asyncmetrics, kind.partition(",")[0])("requests", "Requests.", NAMES, registry=registry, **options)
    return metric, lambda: sum(map(len, encode_text(collect_within(registry))))


def _prometheus_client(kind: str) -> tuple[Any, Callable[[], object]]:
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    metric = getattr(prometheus_client, kind.partition(",")[0])("requests", "Requests.", NAMES, registry=registry)
    return metric, lambda: len(prometheus_client.generate_latest(registry))


LIBRARIES: dict[str, Library] = {OURS: _asyncmetrics, THEIRS: _prometheus_client}


def _measure_bytes(library: Library, kind: str, values: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Return the bytes per child before and after a scrape."""
    metric, scrape = library(kind)
    metric.labels(*values[0])
    scrape()  # so that the objects that exist once are there before
    metric.clear()
    gc.collect()
    tracemalloc.start()
    try:
        for labels in values:
            child = metric.labels(*labels)
            for amount in NATIVE_AMOUNTS if kind == NATIVE else ():
                child.observe(amount)
        before = _read_traced_bytes()
        scrape()
        return before / len(values), _read_traced_bytes() / len(values)
    finally:
        tracemalloc.stop()


def _read_traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _divide_by_theirs(figures: Mapping[str, float], contender: str) -> float | None:
    return figures[contender] / figures[THEIRS] if contender == OURS and THEIRS in figures else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield bytes per child. Allocations do not vary, so one round is enough."""
    count = effort.size(CHILDREN)
    values = [("GET", f"/items/{index}", "200") for index in range(count)]
    for label, kind in KINDS.items():
        outcomes: dict[str, Outcomes] = {BEFORE: {}, AFTER: {}}
        for contender, library in LIBRARIES.items():
            try:
                sizes = _measure_bytes(library, kind, values)
            except Exception as error:  # noqa: BLE001  # a peer's failure is a result
                for by_library in outcomes.values():
                    by_library[contender] = describe_problem(error)
            else:
                for by_library, size in zip(outcomes.values(), sizes, strict=True):
                    by_library[contender] = Figures(size, size)
        for moment, by_library in outcomes.items():
            target = Target(OURS, "≤", BOUNDS[kind, moment])
            yield from make_rows(f"{label}, {moment}", "B", by_library, _divide_by_theirs, target)
