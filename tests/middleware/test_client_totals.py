"""Request totals: the calls of clients that each request makes, wherever in the request they are made."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncmetrics import CollectorRegistry, MetricsMiddleware
from asyncmetrics.metrics.calls import CallNames, declare_calls
from asyncmetrics.metrics.totals import TOTALS

COUNT = "http_server_request_client_calls"
SECONDS = "http_server_request_client_duration_seconds"


@pytest.fixture
def calls(registry):
    return declare_calls(CallNames("c_seconds", "c_active", "c_exceptions"), "Calls.", kind="test", registry=registry)


@pytest.fixture
def measure(registry, run, ask):
    """Run one request of an application that calls ``work``, and return a reader of its totals."""

    def measure(work, after=None, **options):
        async def app(scope, receive, send):
            await work()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})
            if after:
                await after()

        measured = MetricsMiddleware(app, registry=registry, client_totals=True, route=lambda _: "/", **options)
        run(lambda: ask(measured))
        labels = {"route": "/", "client": "test"}
        return lambda name, **more: registry.get_sample_value(name, {**labels, **more})

    return measure


@pytest.fixture
def call(calls):
    """Make one call of a client that takes two seconds."""

    def call():
        calls.at(()).begin()[0](2.0)

    return call


async def nothing():
    pass


def test_the_calls_of_a_request_are_counted(measure, call):
    async def work():
        for _ in range(3):
            call()

    read = measure(work)
    assert (read(f"{COUNT}_count"), read(f"{COUNT}_sum"), read(f"{SECONDS}_sum")) == (1, 3, 6)


def test_a_request_without_calls_is_in_the_first_bucket(measure, calls):
    read = measure(nothing)
    assert (read(f"{COUNT}_count"), read(f"{COUNT}_bucket", le="0.0")) == (1, 1)


def test_calls_in_child_tasks_and_threads_count(measure, call):
    async def child():
        call()

    async def work():
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            group.start_soon(child)
            await anyio.to_thread.run_sync(call)

    assert measure(work)(f"{COUNT}_sum") == 3


def test_no_call_of_many_threads_is_lost(measure, call):
    async def work():
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(anyio.to_thread.run_sync, lambda: [call() for _ in range(500)])

    assert measure(work)(f"{COUNT}_sum") == 4000


def test_a_call_that_fails_counts(measure, calls):
    async def work():
        calls.at(()).begin()[1](1.0, ValueError())

    assert measure(work)(f"{COUNT}_sum") == 1


def test_a_call_after_the_response_does_not_count(measure, call):
    async def after():
        call()

    assert measure(nothing, after)(f"{COUNT}_sum") == 0


async def test_a_task_that_outlives_the_request_adds_nothing(registry, call, ask):
    gate = asyncio.Event()
    tasks = []

    async def outlive():
        await gate.wait()
        call()

    async def app(scope, receive, send):
        tasks.append(asyncio.create_task(outlive()))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    measured = MetricsMiddleware(app, registry=registry, client_totals=True)
    await ask(measured)
    gate.set()
    await tasks[0]
    assert registry.get_sample_value(f"{COUNT}_sum", {"route": "<unmatched>", "client": "test"}) == 0


async def test_concurrent_requests_have_totals_of_their_own(registry, call, ask):
    arrived = asyncio.Barrier(2) if hasattr(asyncio, "Barrier") else None

    async def app(scope, receive, send):
        for _ in range(int(scope["path"][1:])):
            call()
        if arrived:
            await arrived.wait()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    measured = MetricsMiddleware(app, registry=registry, client_totals=True, route=lambda scope: scope["path"])
    await asyncio.gather(ask(measured, "/1"), ask(measured, "/4"))
    sums = [registry.get_sample_value(f"{COUNT}_sum", {"route": f"/{n}", "client": "test"}) for n in (1, 4)]
    assert sums == [1, 4]


def test_after_a_request_no_totals_are_open(measure):
    left = []

    async def main():
        left.append(TOTALS.get())

    measure(nothing)
    anyio.run(main)
    assert left == [None]


def test_extra_labels_and_the_namespace_are_on_the_totals(measure, registry, call):
    async def work():
        call()

    measure(work, extra_labels={"service": "shop"}, namespace="shop")
    labels = {"route": "/", "client": "test", "service": "shop"}
    assert registry.get_sample_value(f"shop_{COUNT}_sum", labels) == 1


def test_a_kind_that_only_another_registry_measures_has_no_series(measure, calls):
    other = CollectorRegistry()
    declare_calls(CallNames("d_seconds", "d_active", "d_exceptions"), "Calls.", kind="other", registry=other)
    assert measure(nothing)(f"{COUNT}_count", client="other") is None
