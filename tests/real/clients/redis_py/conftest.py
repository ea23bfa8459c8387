"""An empty Redis, and what was counted for its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from asyncmetrics import CollectorRegistry, instrument_all
from scripts.databases import Redis


@pytest.fixture
def url(redis_server: Redis) -> str:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
    return redis_server.url


@pytest.fixture
def count(samples: Callable[..., dict[Any, float]]) -> Callable[[], dict[Any, float]]:
    """Read the number of calls by operation and outcome."""
    return lambda: samples("db_client_operation_duration_seconds_count", "operation", "outcome")


@pytest.fixture
def measured(registry: CollectorRegistry, url: str) -> Iterator[None]:  # noqa: ARG001  # first the server is emptied
    """Measure redis-py for the time of the test."""
    with instrument_all(only=["redis"], registry=registry):
        yield
    for where in ("integrations.redis", "pools"):
        assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": where}) is None
