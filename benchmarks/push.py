"""The cost of a push by remote write: processor time for each series, with snappy, and without the request itself.

prometheus-remote-writer takes labels, values and times, so its time includes the loop that reads them from the
registry; it has prometheus_client's registry with the same data. Before anything is measured, both messages are
compared: Google's decoder reads the same series from them. The notes have the bytes that are sent for a series, what
the push takes of memory at most, and the longest step on the event loop.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import process_time, thread_time
from typing import Any, TypeAlias

from benchmarks._measure import Effort, Run, describe_problem, measure, scale
from benchmarks._rows import OURS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "the peer's time ÷ ours"

SECOND = "asyncmetrics, 2.0"
PEER = "prometheus-remote-writer"
TARGET = Target(PEER, "≥", 5)
SIZES = (("Counter", 10_000), ("Counter", 100_000), ("Histogram", 10_000), ("Histogram", 100_000))
ROUNDS = 5
NAMES = ("method", "route", "status")
LABELS = {"job": "shop", "instance": "host:0"}
URL = "http://127.0.0.1:9/api/v1/write"
NOW = 1_700_000_000.0

Push: TypeAlias = Callable[[], list[bytes]]
"""Encodes all series, and returns the bodies of the requests."""


def _make_metrics(library: Any, registry: Any, kind: str, series: int) -> int:
    """Declare a metric with about as many series, and return how many it has."""
    from asyncmetrics import Histogram

    options = {"buckets": Histogram.DEFAULT_BUCKETS} if kind == "Histogram" else {}
    metric = getattr(library, kind)("requests", "Requests.", NAMES, registry=registry, **options)
    rows = len(Histogram.DEFAULT_BUCKETS) + 2 if kind == "Histogram" else 1
    for index in range(max(1, series // rows)):
        child = metric.labels("GET", f"/items/{index}", "200")
        (child.observe if kind == "Histogram" else child.inc)(index / 8)
    return max(1, series // rows) * rows


class _Ours:
    """A registry of ours and its sink."""

    def __init__(self, kind: str, series: int, version: Any) -> None:
        import asyncmetrics
        from asyncmetrics.bridges.push.identity import Identity
        from asyncmetrics.bridges.remote_write import RemoteWrite

        self._registry = asyncmetrics.CollectorRegistry()
        asyncmetrics.disable_created_metrics()
        self.series = _make_metrics(asyncmetrics, self._registry, kind, series)
        self._sink = RemoteWrite(URL, version=version)
        self._identity = Identity(**LABELS)

    def _iterate(self) -> Iterator[Any]:
        from asyncmetrics.registry.collectables import collect_within

        payload = yield from self._sink.encode_in_steps(collect_within(self._registry), NOW, self._identity)
        for part in payload.parts:
            if part.on_sent is not None:
                part.on_sent()
        yield payload

    def push(self) -> list[bytes]:
        *_, payload = self._iterate()
        return [part.data for part in payload.parts]

    def find_longest_step(self) -> float:
        """Return the processor time of the longest step in seconds."""
        longest = 0.0
        steps = self._iterate()
        gc.collect()
        gc.disable()
        try:
            while True:
                started = thread_time()
                if next(steps, self) is self:
                    return longest
                longest = max(longest, thread_time() - started)
        finally:
            gc.enable()


def _make_peer(kind: str, series: int) -> Push:
    import logging

    import prometheus_client
    from prometheus_remote_writer import RemoteWriter

    registry = prometheus_client.CollectorRegistry()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
    _make_metrics(prometheus_client, registry, kind, series)
    writer = RemoteWriter(URL, sort_labels=True, logger=logging.getLogger("silent"))
    now = int(NOW * 1000)

    def push() -> list[bytes]:
        items = [
            {
                "metric": {"__name__": sample.name, **LABELS, **sample.labels},
                "values": [sample.value],
                "timestamps": [now],
            }
            for family in registry.collect()
            for sample in family.samples
        ]
        series, _ = writer._convert_to_timeseries(items)  # noqa: SLF001  # what `send` does, but for the request
        return [writer._build_message(batch) for batch in writer._iter_batches(series)]  # noqa: SLF001

    return push


def _decode(bodies: list[bytes]) -> list[Any]:
    """Return the series of requests of 1.0: labels, value and time."""
    import cramjam
    from prometheus_remote_writer.proto.remote_pb2 import WriteRequest

    found = []
    for body in bodies:
        request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
        for series in request.timeseries:
            labels = tuple((label.name, label.value) for label in series.labels)
            found += [(labels, sample.value, sample.timestamp) for sample in series.samples]
    return sorted(found)


def _repeat(push: Push) -> Run:
    def repeat(number: int) -> float:
        started = process_time()
        for _ in range(number):
            push()
        return process_time() - started

    return repeat


def _measure_memory(push: Push) -> float:
    """Return how many bytes more than before a push takes at most."""
    gc.collect()
    tracemalloc.start()
    try:
        push()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _describe(ours: _Ours) -> str:
    sent = sum(map(len, ours.push()))
    return (
        f"{sent / ours.series:.1f} B sent for a series, memory +{_measure_memory(ours.push) / 1e6:.1f} MB, "
        f"longest step {min(ours.find_longest_step() for _ in range(3)) * 1e3:.2f} ms"
    )


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds for each series."""
    for kind, full in SIZES:
        first, second = (_Ours(kind, effort.size(full), version) for version in (1, 2))
        runs: dict[str, Run | str] = {OURS: _repeat(first.push), SECOND: _repeat(second.push)}
        notes = {OURS: _describe(first), SECOND: _describe(second)}
        try:
            peer = _make_peer(kind, effort.size(full))
            if _decode(peer()) != _decode(first.push()):
                raise ValueError("it sends other series")
            runs[PEER] = _repeat(peer)
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            runs[PEER] = describe_problem(error)
        outcomes = measure(runs, effort if effort.quick else replace(effort, rounds=ROUNDS))
        discipline = f"{first.series:,} series of a {kind.lower()}"
        for row in make_rows(discipline, "ns per series", scale(outcomes, 1e9 / first.series), divide_by_ours, TARGET):
            yield replace(row, note="; ".join(filter(None, (row.note, notes.get(row.contender, "")))))
