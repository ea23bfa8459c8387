"""Instruments that the requests of a FastAPI application share, through all kinds of dependencies and endpoints."""

from __future__ import annotations

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI

from asyncmetrics import CallMetrics, Histogram
from tests.loops import on_every_loop

REQUESTS = 3


@pytest.fixture
def db(registry):
    return CallMetrics("db", "Calls.", registry=registry)


@pytest.fixture
def timer(registry):
    return Histogram("h_seconds", "Time.", registry=registry).time()


@pytest.fixture
def dependencies(db, timer):
    """Dependencies that use the instruments."""

    def in_a_thread():
        with db, timer:
            yield

    async def on_the_loop():
        async with db, timer:
            yield

    return {"a sync dependency": in_a_thread, "an async dependency": on_the_loop}


@pytest.mark.parametrize("kind", ["a sync dependency", "an async dependency"])
@on_every_loop
async def test_overlapping_requests_are_all_measured(kind, dependencies, registry):
    app, entered, leave = FastAPI(), anyio.Semaphore(0), anyio.Event()

    @app.get("/", dependencies=[Depends(dependencies[kind])])
    async def endpoint():
        entered.release()
        await leave.wait()

    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(REQUESTS):
            tasks.start_soon(client.get, "/")
        for _ in range(REQUESTS):
            await entered.acquire()
        assert registry.get_sample_value("db_active") == REQUESTS
        leave.set()
    assert registry.get_sample_value("db_active") == 0
    assert registry.get_sample_value("db_duration_seconds_count", {"outcome": "ok"}) == REQUESTS
    assert registry.get_sample_value("h_seconds_count") == REQUESTS
