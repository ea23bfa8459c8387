"""The metrics that are pushed to real servers, and how they are read back."""

from __future__ import annotations

import time

import anyio

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.core import Metric
from asyncmetrics.model.samples import BucketSpan, NativeHistogram
from asyncmetrics.registry.collectables import collect_within

NATIVE = NativeHistogram(6.0, 20.5, 3, 0.25, 2.0, (BucketSpan(2, 2), BucketSpan(1, 1)), None, (1, 1, -1))

UNSENT = {("target", "target_info"), ("loads", "loads_bucket")}  # texts have the bucket +Inf of a native histogram


class _Natives:
    def collect(self):
        family = Metric("sizes_bytes", "Sizes.", "histogram", "bytes")
        family.add_sample("sizes_bytes", {"x": "y"}, 0, None, None, NATIVE)
        summary = Metric("waits_seconds", "Waits.", "summary", "seconds")
        summary.add_sample("waits_seconds", {"quantile": "0.5"}, 0.25)
        summary.add_sample("waits_seconds_count", {}, 4.0)
        summary.add_sample("waits_seconds_sum", {}, 1.5)
        return [family, summary]


def make_registry():
    """Return a registry with a metric of each kind, and native histograms."""
    registry = CollectorRegistry(target_info={"region": "eu"})
    orders = Counter("orders", "Orders.", ["kind"], registry=registry)
    orders.labels("retail").inc(3, exemplar={"trace_id": "0af7651916cd43dd8448eb211c80319c", "user": "u"})
    orders.labels("größe").inc(0.5)
    Counter("sent_bytes", "Sent.", registry=registry, unit="bytes").inc(7)
    Gauge("temperature_celsius", "", registry=registry, unit="celsius").set(-2.5)
    Gauge("full_ratio", "", registry=registry, unit="ratio").set(0.5)
    Gauge("queued_requests", "", registry=registry, unit="requests").set(4)
    Gauge("read_bytes_per_second", "", registry=registry, unit="bytes_per_second").set(9)
    latency = Histogram("latency_seconds", "", ["route"], registry=registry, buckets=[0.1, 1], unit="seconds")
    for seconds in (0.05, 0.5, 0.5, 7):
        latency.labels("/").observe(seconds)
    Info("build", "", registry=registry).info({"version": "2"})
    Enum("state", "", registry=registry, states=["on", "off"]).state("off")
    Summary("work_seconds", "", registry=registry, unit="seconds").observe(2)
    loads = Histogram("loads", "", registry=registry, buckets=(), native=True)
    for load in (1, 1, 64, -3):
        loads.observe(load)
    registry.register(_Natives())
    return registry


def push(url, registry, **options):
    """Push the registry to ``url``, and return the Unix time of the push."""
    now = time.time()

    async def send():
        sink = OTLP(url, labels={"zone": "a"}, **options)
        await sink.send(sink.encode(collect_within(registry), now, Identity("shop", "host:0")))
        await sink.close()

    anyio.run(send)
    return now


def list_expected(registry):
    """Return the value of each series that text has, by its name and its labels; without target_info."""
    return {
        (name, tuple(sorted({**labels, "zone": "a"}.items()))): value
        for family in registry.collect()
        for name, labels, value, _, _, native in family.samples
        if native is None and not name.endswith("_created") and (family.name, name) not in UNSENT
    }
