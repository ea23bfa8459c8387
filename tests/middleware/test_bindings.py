"""Which of the bindings of a request its metrics have, and that all of them have the same."""

from __future__ import annotations

import gc
import weakref

import anyio
import anyio.to_thread
import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware

import asyncmetrics
from asyncmetrics import CollectorRegistry, bind_labels, bound_labels, clear_labels, reset_labels, unbind_labels
from tests.loops import on_every_loop

pytestmark = pytest.mark.edge("context labels")

COUNTED = "http_server_request_duration_seconds_count"


@pytest.fixture(params=[False, True], ids=["plain", "BaseHTTPMiddleware"])
def plan_of(request, registry, labels):
    """Request an endpoint once, and return the plan that the middleware has: ``await plan_of(endpoint)``."""

    async def plan_of(endpoint, *, dispatch=None, **options):
        app = FastAPI()
        app.get("/", **options)(endpoint)
        for one in filter(None, [dispatch, pass_on if request.param else None]):
            app.add_middleware(BaseHTTPMiddleware, dispatch=one)
        asyncmetrics.instrument(app, registry=registry, context_labels=["plan"])
        await get(app)
        (found,) = labels(COUNTED)
        return found["plan"]

    return plan_of


async def pass_on(request, call_next):
    return await call_next(request)


async def get(app, path="/"):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.get(path)


def bind(plan):
    bind_labels(plan=plan)


async def abind(plan):
    bind_labels(plan=plan)


@on_every_loop
async def test_the_last_binding_counts(plan_of):
    async def endpoint():
        bind("free")
        bind("gold")

    assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_an_endpoint_replaces_what_a_dispatch_has_bound(plan_of):
    async def dispatch(request, call_next):
        bind("free")
        return await call_next(request)

    async def endpoint():
        bind("gold")

    assert await plan_of(endpoint, dispatch=dispatch) == "gold"


@on_every_loop
async def test_a_dispatch_replaces_what_an_endpoint_has_bound(plan_of):
    async def dispatch(request, call_next):
        response = await call_next(request)
        bind("gold")
        return response

    def endpoint():
        bind("free")

    assert await plan_of(endpoint, dispatch=dispatch) == "gold"


@pytest.mark.parametrize("is_async", [False, True])
@on_every_loop
async def test_a_sync_endpoint_replaces_what_a_dependency_has_bound(is_async, plan_of):
    async def async_dependency():
        bind("free")

    def dependency():
        bind("free")

    def endpoint():
        bind("gold")

    chosen = async_dependency if is_async else dependency
    assert await plan_of(endpoint, dependencies=[Depends(chosen)]) == "gold"


@on_every_loop
async def test_a_task_that_an_endpoint_starts_replaces_what_the_endpoint_has_bound(plan_of):
    async def endpoint():
        bind("free")
        async with anyio.create_task_group() as group:
            group.start_soon(abind, "gold")

    assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_blocks_of_tasks_at_once_leave_what_the_endpoint_has_bound(plan_of):
    async def work(plan, seconds):
        with bound_labels(plan=plan):
            await anyio.sleep(seconds)

    async def endpoint():
        bind("gold")
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(work, str(number), number / 10_000)

    assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_a_block_undoes_what_was_bound_inside_of_it(plan_of):
    async def endpoint():
        bind("gold")
        with bound_labels(plan="silver"):
            bind("free")

    assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_a_block_that_ends_in_another_thread_is_undone(plan_of):
    async def endpoint():
        bind("gold")
        block = bound_labels(plan="free")
        await anyio.to_thread.run_sync(block.__enter__)
        await anyio.to_thread.run_sync(block.__exit__, None, None, None)

    assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_an_object_that_requests_share_undoes_its_block_of_this_request(registry, labels):
    shared = bound_labels(plan="free")

    def dependency():
        with shared:
            yield

    async def endpoint(number: int):
        await anyio.sleep(number / 1000)
        return StreamingResponse(stream())

    async def stream():
        yield "a"
        bind("gold")

    app = FastAPI()
    app.get("/{number}", dependencies=[Depends(dependency)])(endpoint)
    asyncmetrics.instrument(app, registry=registry, context_labels=["plan"])
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(get, app, f"/{number}")
    assert [one["plan"] for one in labels(COUNTED)] == ["gold"]


@on_every_loop
async def test_tokens_undo_a_binding_in_a_thread(plan_of):
    def endpoint():
        bind("gold")
        reset_labels(bind_labels(plan="free"))

    assert await plan_of(endpoint) == "gold"


@pytest.mark.parametrize("undo", [clear_labels, lambda: unbind_labels("plan")])
@on_every_loop
async def test_a_name_that_is_unbound_in_a_thread_is_empty(undo, plan_of):
    def endpoint():
        bind("gold")
        undo()

    async def dependency():
        bind("free")

    assert await plan_of(endpoint, dependencies=[Depends(dependency)]) == ""


@on_every_loop
async def test_a_value_from_around_the_request_is_replaced_inside(plan_of):
    def endpoint():
        bind("gold")

    with bound_labels(plan="free"):
        assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_a_value_from_around_the_request_is_read(plan_of):
    def endpoint():
        pass

    with bound_labels(plan="gold"):
        assert await plan_of(endpoint) == "gold"


@on_every_loop
async def test_requests_at_once_keep_their_own(registry, labels):
    app = FastAPI()

    @app.get("/sync/{plan}")
    def sync(plan: str):
        bind(plan)

    @app.get("/async/{plan}")
    async def not_sync(plan: str):
        bind(plan)
        await anyio.sleep(0.001)

    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    asyncmetrics.instrument(app, registry=registry, context_labels=["plan"])
    paths = [f"/{kind}/{plan}" for kind in ("sync", "async") for plan in "abcde"]
    async with anyio.create_task_group() as group:
        for path in paths:
            group.start_soon(get, app, path)
    assert sorted(one["route"].replace("{plan}", one["plan"]) for one in labels(COUNTED)) == sorted(paths)


@on_every_loop
async def test_a_request_within_a_request_keeps_its_own(registry):
    outer, inner = FastAPI(), FastAPI()
    other = CollectorRegistry()

    @inner.get("/")
    def within():
        bind("inner")

    @outer.get("/")
    async def around():
        bind("outer")
        await get(inner)

    for app, own in ((outer, registry), (inner, other)):
        asyncmetrics.instrument(app, registry=own, context_labels=["plan"])
    await get(outer)
    plans = [
        {s.labels["plan"] for f in one.collect() for s in f.samples if s.name == COUNTED} for one in (registry, other)
    ]
    assert plans == [{"outer"}, {"inner"}]


EVERYTHING = {"first_byte": True, "body_sizes": True, "background": True, "context_labels": ["plan"]}


@pytest.mark.parametrize("kind", ["def", "async def"])
@on_every_loop
async def test_all_metrics_of_a_request_have_the_same_value(kind, registry):
    app = FastAPI()
    values = iter("abcdefgh")

    def fail():
        raise ValueError

    def endpoint():
        bind_labels(plan=lambda: next(values))
        return StreamingResponse(iter("ab"), background=BackgroundTask(fail))

    async def async_endpoint():
        return endpoint()

    app.get("/")(endpoint if kind == "def" else async_endpoint)
    asyncmetrics.instrument(app, registry=registry, **EVERYTHING)
    await get(app)
    plans = {
        family.name: {sample.labels["plan"] for sample in family.samples}
        for family in registry.collect()
        if family.name.startswith("http_server_") and "active" not in family.name and family.samples
    }
    assert plans == dict.fromkeys(plans, {"a"})
    assert len(plans) == 6


@on_every_loop
async def test_an_exception_has_the_value_that_the_request_has(registry, labels):
    app = FastAPI()

    @app.get("/")
    def endpoint():
        bind("gold")
        raise ValueError

    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    asyncmetrics.instrument(app, registry=registry, context_labels=["plan"])
    await get(app)
    found = labels(COUNTED) + labels("http_server_exceptions_total")
    assert [one["plan"] for one in found] == ["gold", "gold"]


@on_every_loop
async def test_messages_of_a_websocket_have_the_value_of_their_time(connect, measured, labels):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        bind("gold")
        await receive()
        await receive()

    events = [{"type": "websocket.receive", "text": text} for text in ("key", "hello")]
    await connect(measured(app, context_labels=["plan"]), *events)
    assert [one["plan"] for one in labels("websocket_server_messages_total")] == ["", "gold"]
    assert [one["plan"] for one in labels("websocket_server_connection_duration_seconds_count")] == ["gold"]


@on_every_loop
async def test_a_label_that_is_bound_inside_leaves_no_request_active(registry, totals):
    app = FastAPI()

    @app.get("/{plan}")
    def endpoint(plan: str):
        bind(plan)

    asyncmetrics.instrument(app, registry=registry, context_labels=["plan"])
    for plan in "abc":
        await get(app, f"/{plan}")
    assert totals("active") == {("GET", "/{plan}"): 0}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@on_every_loop
async def test_a_value_that_was_replaced_is_released(kind, ask, measured):
    class Value:
        def __str__(self):
            return "free"

    alive = []

    async def app(scope, receive, send):
        for _ in range(100):
            value = Value()
            alive.append(weakref.ref(value))
            bind_labels(plan=value)
        del value
        gc.collect()
        assert sum(one() is not None for one in alive) == 1

    assert (await ask(measured(app, context_labels=["plan"]), type=kind)).error is None


@on_every_loop
async def test_a_block_that_a_task_is_in_at_the_end_of_the_request_harms_nothing(ask, measured, labels):
    release = anyio.Event()

    async def outlive(task_status):
        with bound_labels(plan="gold"):
            task_status.started()
            await release.wait()

    async with anyio.create_task_group() as group:

        async def app(scope, receive, send):
            await group.start(outlive)

        await ask(measured(app, context_labels=["plan"]))
        release.set()
    assert [one["plan"] for one in labels(COUNTED)] == ["gold"]


@on_every_loop
async def test_a_value_that_fails_is_empty_and_leaves_the_others(ask, measured, labels, totals):
    async def app(scope, receive, send):
        bind_labels(plan=lambda: 1 / 0, tenant="acme")

    await ask(measured(app, context_labels=["plan", "tenant"]))
    assert [(one["plan"], one["tenant"]) for one in labels(COUNTED)] == [("", "acme")]
    assert totals("internal") == {"context_labels": 1}


@on_every_loop
async def test_a_request_of_another_middleware_inside_is_part_of_the_outer_one(ask, measured, labels):
    async def app(scope, receive, send):
        bind("gold")

    inner = asyncmetrics.MetricsMiddleware(app, registry=CollectorRegistry(), context_labels=["plan"])
    await ask(measured(inner, context_labels=["plan"]))
    assert [one["plan"] for one in labels(COUNTED)] == ["gold"]


@on_every_loop
async def test_a_value_from_around_is_read_after_another_name_was_unbound(ask, measured, labels):
    async def app(scope, receive, send):
        unbind_labels("route")

    with bound_labels(plan="gold"):
        await ask(measured(app, context_labels=["plan"]))
    assert [one["plan"] for one in labels(COUNTED)] == ["gold"]
