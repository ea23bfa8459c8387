"""redis-py against a real Redis, beside OpenTelemetry: its instrumentation, and the metrics of redis-py itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import redis
import redis.asyncio
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asyncmetrics import instrument_all

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

DURATIONS = "db_client_operation_duration_seconds_count"


WRAPPED = [
    *((module.Redis, "execute_command") for module in (redis.client, redis.asyncio.client)),
    *((module.Pipeline, "immediate_execute_command") for module in (redis.client, redis.asyncio.client)),
    *((module.Pipeline, "execute") for module in (redis.client, redis.asyncio.client)),
    *((module.RedisCluster, "execute_command") for module in (redis.cluster, redis.asyncio.cluster)),
    *((module.ClusterPipeline, "execute") for module in (redis.cluster, redis.asyncio.cluster)),
]


@pytest.fixture
def spans():
    """Return the function that begins OpenTelemetry's instrumentation of redis-py, and its spans; remove all of it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = [vars(kind)[name] for kind, name in WRAPPED]
    yield lambda: RedisInstrumentor().instrument(tracer_provider=provider), exporter
    RedisInstrumentor().uninstrument()
    for kind, name in WRAPPED:  # uninstrument() leaves a wrapper that was below another one
        unwrap(kind, name)
    for (kind, name), function in zip(WRAPPED, before, strict=True):  # undo() leaves one that was below another one
        setattr(kind, name, function)


@pytest.mark.parametrize("removed_first", ["ours", "theirs"])
@pytest.mark.parametrize("installed_first", ["ours", "theirs"])
def test_opentelemetry_beside_loses_no_span_and_counts_nothing_twice(
    url, registry, count, spans, installed_first, removed_first
):
    begin_spans, exporter = spans

    def call():
        exporter.clear()
        before = count().get(("GET", "ok"), 0)
        with redis.Redis.from_url(url) as client:
            client.get("key")

        async def main():
            async with redis.asyncio.Redis.from_url(url) as client:
                await client.get("key")

        asyncio.run(main())
        return len(exporter.get_finished_spans()), count().get(("GET", "ok"), 0) - before

    if installed_first == "theirs":
        begin_spans()
    measuring = instrument_all(only=["redis"], registry=registry)
    try:
        if installed_first == "ours":
            begin_spans()
        assert call() == (2, 2)
        if removed_first == "ours":
            measuring.undo()
            assert call() == (2, 0)
        else:
            RedisInstrumentor().uninstrument()
            assert call()[1] == 2
    finally:
        measuring.undo()
    RedisInstrumentor().uninstrument()
    assert call()[1] == 0


PROGRAM = """
import redis, sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry import metrics
from redis.observability.config import MetricGroup, OTelConfig
from redis.observability.providers import get_observability_instance
from asyncmetrics import CollectorRegistry, instrument_all

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
get_observability_instance().init(OTelConfig(metric_groups=[MetricGroup.COMMAND]))
registry = CollectorRegistry()
with instrument_all(only=["redis"], registry=registry), redis.Redis.from_url(sys.argv[1]) as client:
    for _ in range(3):
        client.ping()
found = [m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics]
theirs = [p.count for m in found if m.name == "db.client.operation.duration" for p in m.data.data_points]
labels = {"system": "redis", "operation": "PING", "outcome": "ok"}
print(theirs, registry.get_sample_value("db_client_operation_duration_seconds_count", labels))
"""


def test_the_metrics_that_redis_py_has_itself_stay_as_they_are(url):
    pytest.importorskip("redis.observability")
    found = subprocess.run([sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, check=True)
    assert found.stdout == "[3] 3.0\n"
