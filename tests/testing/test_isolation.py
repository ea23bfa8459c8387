"""`isolated_registry`: the default registry is empty inside, as before afterwards, and whole in between."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest
from fastapi import FastAPI

from asyncmetrics import REGISTRY, CollectorRegistry, Counter, generate_latest, instrument
from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.jobs import Heartbeat
from asyncmetrics.metrics.pools import get_pools
from asyncmetrics.testing import compare, isolated_registry, scrape


def test_it_is_empty_inside():
    with isolated_registry() as registry:
        assert list(registry.collect()) == []
        assert generate_latest() == b""


def test_what_is_declared_inside_is_exposed_by_both_until_the_end_and_then_by_the_yielded_one():
    with isolated_registry() as registry:
        assert registry is not REGISTRY
        jobs = Counter("isolated_jobs_total", "Jobs.")
        jobs.inc()
        compare(REGISTRY, "isolated_jobs_total 1")
        compare(registry, "isolated_jobs_total 1")
    jobs.inc()
    compare(registry, "isolated_jobs_total 2")
    assert REGISTRY.get_sample_value("isolated_jobs_total") is None


def test_the_default_registry_is_as_before_afterwards():
    before = [family.name for family in REGISTRY.collect()]
    assert "process_cpu_seconds" in before
    with isolated_registry():
        Counter("isolated_jobs_total", "Jobs.")
    assert [family.name for family in REGISTRY.collect()] == before


def test_an_exception_ends_it_as_well():
    with contextlib.suppress(KeyError), isolated_registry():
        Counter("isolated_jobs_total", "Jobs.")
        raise KeyError
    assert REGISTRY.get_sample_value("isolated_jobs_total") is None


def test_a_factory_can_run_again_and_again():
    for _ in range(2):
        with isolated_registry() as registry:
            Counter("isolated_jobs_total", "Jobs.").inc()
            assert registry.get_sample_value("isolated_jobs_total") == 1


def test_one_inside_another_is_empty_too():
    with isolated_registry() as outer:
        Counter("isolated_jobs_total", "Jobs.").inc()
        with isolated_registry() as inner:
            assert list(inner.collect()) == []
        assert outer.get_sample_value("isolated_jobs_total") == REGISTRY.get_sample_value("isolated_jobs_total") == 1


def _make_app() -> FastAPI:
    app = instrument(FastAPI(), path="/stats")

    @app.get("/orders/{number}")
    def order(number: int) -> int:
        return number

    return app


async def _visit(app: FastAPI, path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        (await client.get(path)).raise_for_status()


def test_an_application_that_is_instrumented_inside_has_its_own_numbers():
    """Also the gauges that all applications of one registry share, while another one is alive."""
    with isolated_registry():
        others = _make_app()
        with isolated_registry() as registry:
            app = _make_app()
            asyncio.run(_visit(app, "/orders/1"))
            assert "http_server_active_requests" in asyncio.run(scrape(app, "/stats")).text
            labels = {"method": "GET", "route": "/orders/{number}", "status": "200"}
            assert registry.get_sample_value("http_server_request_duration_seconds_count", labels) == 1
            labels = {"method": "GET", "route": "/orders/{number}"}
            assert registry.get_sample_value("http_server_active_requests", labels) == 0
        assert others


def test_the_objects_that_a_registry_shares_are_those_of_the_block():
    outer_heart, outer_queue = Heartbeat("isolated", interval=5), instrument(asyncio.Queue(), name="outer")
    with isolated_registry() as registry:
        heart, queue = Heartbeat("isolated", interval=9), instrument(asyncio.Queue(), name="isolated")
        heart.beat()
        assert registry.get_sample_value("heartbeat_interval_seconds", {"heartbeat": "isolated"}) == 9
        assert registry.get_sample_value("queue_length", {"queue": "isolated"}) == 0
        assert registry.get_sample_value("queue_length", {"queue": "outer"}) is None
        assert queue
    outer_heart.beat()
    assert outer_queue
    assert REGISTRY.get_sample_value("heartbeat_interval_seconds", {"heartbeat": "isolated"}) == 5


def test_it_yields_a_registry_that_takes_metrics():
    with isolated_registry() as registry:
        assert isinstance(registry, CollectorRegistry)
        Counter("isolated_jobs_total", "Jobs.", registry=registry)
        with pytest.raises(DuplicateMetricError):
            Counter("isolated_jobs_total", "Jobs.")


def test_the_metrics_of_pools_are_declared_again_inside():
    outer = get_pools(REGISTRY, "isolated_connection")
    with isolated_registry() as registry:
        inner = get_pools(REGISTRY, "isolated_connection")
        assert "isolated_connection_count" in [family.name for family in registry.collect()]
        assert inner is not outer
    assert get_pools(REGISTRY, "isolated_connection") is outer
