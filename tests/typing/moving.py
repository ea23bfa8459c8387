"""Code written for prometheus_client is typed alike here. Checked by mypy --strict and pyright, never run."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import prometheus_client

import asyncmetrics
from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
    make_asgi_app,
    make_wsgi_app,
    start_http_server,
    write_to_textfile,
)
from asyncmetrics.bridges.prometheus_client import AsyncmetricsCollector, PrometheusClientCollector
from asyncmetrics.core import (
    REGISTRY,
    Collector,
    CounterMetricFamily,
    DuplicateTimeseries,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    Sample,
    Timestamp,
)
from asyncmetrics.exposition import choose_encoder
from asyncmetrics.exposition.handler import MetricsHandler
from asyncmetrics.prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from asyncmetrics.prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from typing_extensions import assert_type

registry = CollectorRegistry(auto_describe=True, target_info={"env": "test"})
requests = Counter("requests_total", "Requests.", ["method"], namespace="shop", registry=registry)
level = Gauge("level", "Level.", multiprocess_mode="livesum")
latency = Histogram("latency_seconds", "Latency.", buckets=(0.1, 1, float("inf")), unit="seconds")
sizes = Summary("sizes", "Sizes.", registry=None)
build = Info("build", "Build.")
state = Enum("state", "State.", states=["on", "off"])


class Queue(Collector):
    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily("jobs", "Jobs.", labels=["queue"])
        family.add_metric(["a"], 1, created=2.0, timestamp=Timestamp(1, 2), exemplar=Exemplar({}, 1.0))
        yield family
        yield GaugeMetricFamily("waiting", "Waiting.", value=7)
        yield HistogramMetricFamily("ages", "Ages.", buckets=[("1.0", 1), ("+Inf", 2)], sum_value=3.5)

    def describe(self) -> Iterable[Metric]:
        return []


class Public(CollectorRegistry):
    def collect(self) -> Iterator[Metric]:
        for family in super().collect():
            family.name = f"public_{family.name}"
            family.samples = [sample for sample in family.samples if sample.labels]
            yield family


class Later:
    async def collect(self) -> list[Metric]:
        return [family for family in await registry.collect_async() if family.type == "gauge"]


def expose_other_registries() -> None:
    assert_type(generate_latest(Public()), bytes)
    make_asgi_app(Later())
    make_wsgi_app(Queue())
    make_asgi_app(object())  # type: ignore[arg-type]


def use() -> None:
    requests.labels("GET").inc()
    requests.labels(method="GET").inc(2.5, {"trace_id": "a"})
    requests.remove("GET")
    requests.remove_by_labels({"method": "GET"})
    level.set_to_current_time()
    latency.observe(0.5, exemplar={"trace_id": "a"})
    build.info({"version": "1"})
    state.state("on")
    REGISTRY.register(Queue())
    assert_type(registry.get_sample_value("level", {"a": "b"}), float | None)
    assert_type(generate_latest(registry), bytes)
    assert_type(generate_openmetrics(registry.restricted_registry(["level"])), bytes)
    write_to_textfile("level.prom", registry)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    assert_type(server.server_port, int)
    assert_type(thread, threading.Thread)
    server.shutdown()
    make_asgi_app(registry, True)
    make_wsgi_app(registry=registry)
    encoder, content_type = choose_encoder("text/plain")
    assert_type((encoder(registry), content_type), tuple[bytes, str])
    ThreadingHTTPServer(("", 0), MetricsHandler.factory(registry))
    for family in text_string_to_metric_families("a 1\n"):
        assert_type(family.samples, list[Sample])
    try:
        Gauge("level", "Again.")
    except DuplicateTimeseries as error:
        assert_type(error.duplicates, set[str])


def together() -> None:
    PrometheusClientCollector(prometheus_client.REGISTRY, registry)
    AsyncmetricsCollector(registry, prometheus_client.REGISTRY)
    PrometheusClientCollector(prometheus_client.GC_COLLECTOR, None)


def wrong() -> None:
    requests.labels("GET").dec()  # type: ignore[attr-defined]
    requests.remove_by_labels(["GET"])  # type: ignore[arg-type]
    level.set("5")  # type: ignore[arg-type]
    build.info({"version": 1})  # type: ignore[dict-item]
    build.info(version="1")  # type: ignore[arg-type]
    state.state(1)  # type: ignore[arg-type]
    Enum("state", "State.", states=[1])  # type: ignore[list-item]
    start_http_server("8000")  # type: ignore[arg-type]
    generate_latest("registry")  # type: ignore[arg-type]
    asyncmetrics.push_everything()  # type: ignore[attr-defined]
    PrometheusClientCollector("registry")  # type: ignore[arg-type]
    AsyncmetricsCollector(registry, asyncmetrics.Counter("c", "C."))  # type: ignore[arg-type]
    registry.get_sample_value("level", ["a"])  # type: ignore[arg-type]
