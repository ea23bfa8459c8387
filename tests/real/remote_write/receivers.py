"""What real receivers are sent, and what they have to return."""

from __future__ import annotations

import math
import time
from typing import Any

import anyio
import httpx

import asyncmetrics
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.core import BucketSpan, Exemplar, GaugeMetricFamily, Metric, NativeHistogram
from asyncmetrics.registry.collectables import collect_within
from tests.patience import wait_until

__all__ = (
    "FEATURES",
    "IDENTITY",
    "Everything",
    "FamilyList",
    "list_exemplars",
    "list_samples",
    "push",
    "query",
    "read_exemplars",
    "read_samples",
    "wait_for_samples",
)

IDENTITY = Identity("shop", "host:0")
FEATURES = "--enable-feature=exemplar-storage,native-histograms"

FamilyList = list[Metric]


class Everything:
    """A registry with a metric of each kind, and a collector with what only custom collectors have."""

    def __init__(self) -> None:
        self.registry = registry = asyncmetrics.CollectorRegistry()
        counter = asyncmetrics.Counter("orders", "Orders.", ["Zone", "kind"], registry=registry)
        self.counter = counter
        counter.labels("eu", 'größe \\ " \n').inc(3.5, exemplar={"trace_id": "abc"})
        counter.labels("us", "").inc()
        gauge = asyncmetrics.Gauge("depth", "Depth.", ["n"], registry=registry)
        for number in (-0.25, math.inf, -math.inf, 1e308, 5e-324):
            gauge.labels(repr(number)).set(number)
        histogram = asyncmetrics.Histogram(
            "taken", "How long.", ["job"], unit="seconds", buckets=[0.5, 1, 2e6], registry=registry
        )
        histogram.labels("mine").observe(0.75, exemplar={"trace_id": "def", "span_id": "1"})
        asyncmetrics.Summary("sizes", "Sizes.", unit="bytes", registry=registry).observe(7)
        asyncmetrics.Info("build", "Build.", registry=registry).info({"version": "1.2"})
        asyncmetrics.Enum("Mode", "Mode.", ["A", "a"], states=["on", "off"], registry=registry).labels("x", "y").state(
            "on"
        )

    def collect(self) -> FamilyList:
        custom = GaugeMetricFamily("temperature", "T.", labels=["room"])
        custom.add_metric(["kitchen"], 21.5)
        native = Metric("latency", "L.", "histogram", "seconds")
        value = NativeHistogram(4, 10.0, 0, 0.001, 1, [BucketSpan(0, 2)], None, [1, 1], None)
        native.add_sample("latency_seconds", {}, 0, None, None, value)
        return [*collect_within(self.registry), custom, native]


def list_samples(families: FamilyList) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the values by the labels that a query shows."""
    found = {}
    for family in families:
        for sample in family.samples:
            if sample.native_histogram is None:
                labels = {"job": "shop", "instance": "host:0", **sample.labels, "__name__": sample.name}
                found[tuple(sorted((name, text) for name, text in labels.items() if text))] = sample.value
    return found


def list_exemplars(families: FamilyList) -> dict[str, tuple[dict[str, str], float]]:
    """Return the exemplars by the name of their series: no two of ours have one name."""
    exemplars: list[tuple[str, Exemplar]] = [
        (sample.name, sample.exemplar) for family in families for sample in family.samples if sample.exemplar
    ]
    return {name: (exemplar.labels, exemplar.value) for name, exemplar in exemplars}


def push(sink: RemoteWrite, families: FamilyList, now: float | None = None) -> None:
    """Send families and close the connections."""

    async def send() -> None:
        try:
            await sink.send(sink.encode(families, time.time() if now is None else now, IDENTITY))
        finally:
            await sink.close()

    anyio.run(send)


def query(base: str, expression: str) -> list[dict[str, Any]]:
    """Return the rows of an instant query."""
    parameters = {"query": expression, "nocache": "1"}
    return httpx.get(f"{base}/api/v1/query", params=parameters).json()["data"]["result"]


def read_samples(base: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the values of all series that are no native histograms."""
    rows = query(base, '{instance="host:0",__name__!~"latency_seconds.*"}')
    return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in rows}


def read_exemplars(base: str) -> dict[str, tuple[dict[str, str], float]]:
    """Return the exemplars by the name of their series."""
    now = time.time()
    parameters = {"query": '{instance="host:0"}', "start": now - 3600, "end": now + 3600}
    data = httpx.get(f"{base}/api/v1/query_exemplars", params=parameters).json()["data"]
    return {
        row["seriesLabels"]["__name__"]: (exemplar["labels"], float(exemplar["value"]))
        for row in data
        for exemplar in row["exemplars"]
    }


def wait_for_samples(base: str, expected: object) -> None:
    """Wait until a query returns what is expected: a server may show it some seconds later."""
    wait_until(lambda: read_samples(base), lambda found: found == expected, pause=0.1)
