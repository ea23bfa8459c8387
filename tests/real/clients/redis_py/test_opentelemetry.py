"""What redis-py measures through OpenTelemetry by itself, with a real Redis."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import PROGRAM_SECONDS

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("redis")]

# A program of its own: redis-py takes the provider of the process, which can be set once.
PROGRAM = """
import asyncio, sys
import redis, redis.asyncio
from opentelemetry import metrics
from redis.observability import MetricGroup, OTelConfig, get_observability_instance

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.opentelemetry import MeterProvider

registry = CollectorRegistry()
metrics.set_meter_provider(MeterProvider(registry, scope_labels=False))
get_observability_instance().init(OTelConfig(metric_groups=list(MetricGroup)))

def read(name, **labels):
    return sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )

with redis.Redis.from_url(sys.argv[1]) as client:
    client.set("a", 1)
    client.get("a")
    try:
        client.lpop("a")
    except redis.ResponseError:
        pass

async def use():
    async with redis.asyncio.Redis.from_url(sys.argv[1]) as client:
        await client.get("a")

asyncio.run(use())
durations = "otel_db_client_operation_duration_seconds_count"
print("GET", read(durations, db_operation_name="GET"), "SET", read(durations, db_operation_name="SET"))
print("failed", read("otel_redis_client_errors_total", error_type="ResponseError"))
print("errors", read("asyncmetrics_internal_errors_total"), read("asyncmetrics_dropped_observations_total"))
print(*sorted({f.name for f in registry.collect() if f.name.startswith("otel_")}))
"""


def test_redis_py_measures_sync_and_async_calls(url):
    pytest.importorskip("redis.observability")  # redis-py 8
    command = [sys.executable, "-c", PROGRAM, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counted, failed, errors, names = done.stdout.splitlines()
    assert (counted, failed, errors) == ("GET 2.0 SET 1.0", "failed 1.0", "errors 0 0")
    assert "otel_db_client_connection_count" in names
