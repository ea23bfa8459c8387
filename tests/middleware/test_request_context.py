"""Any metric may declare `route` and `method`: right wherever a request's work is done, and gone when it has ended."""

from __future__ import annotations

import asyncio
import gc
import weakref

import anyio
import anyio.to_thread
import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from asyncmetrics import Counter, bind_labels, bound_labels, get_labels
from tests.loops import on_every_loop

pytestmark = pytest.mark.edge("request context")


@pytest.fixture
def work(registry):
    """A metric that knows nothing of requests."""
    return Counter("work", "Done.", ["where"], context_labels=["method", "route"], registry=registry)


@pytest.fixture
def done(registry):
    """Read where work was done: ``{(where, method, route): times}``."""

    def read():
        samples = [s for family in registry.collect() for s in family.samples if s.name == "work_total"]
        return {(s.labels["where"], s.labels["method"], s.labels["route"]): s.value for s in samples}

    return read


async def get(app, *paths, method="GET"):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.example") as client:
        return [(await client.request(method, path)).text for path in paths]


def shop(work):
    """Work in every place that a request's work can be done in."""
    app = FastAPI()

    def dependency():
        work.labels("sync dependency").inc()

    async def cleaning():
        yield
        work.labels("dependency's end").inc()

    async def note(where):
        work.labels(where).inc()

    async def stream():
        work.labels("stream").inc()
        yield "a"

    def sync_stream():
        work.labels("sync stream").inc()
        yield "b"

    @app.get("/items/{x}", dependencies=[Depends(dependency), Depends(cleaning)])
    async def item(x: str, tasks: BackgroundTasks):
        work.labels("endpoint").inc()
        await asyncio.create_task(note("task"))
        async with anyio.create_task_group() as group:
            group.start_soon(note, "task group")
        await anyio.to_thread.run_sync(work.labels("thread").inc)
        tasks.add_task(note, "background")
        tasks.add_task(work.labels("sync background").inc)
        return StreamingResponse(stream(), background=tasks)

    @app.post("/sync/{x}")
    def sync(x: str):
        work.labels("sync endpoint").inc()
        return StreamingResponse(sync_stream())

    return app


async def _pass_on(request, call_next):
    return await call_next(request)


@pytest.mark.framework("fastapi")
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "BaseHTTPMiddleware"])
async def test_the_route_is_right_wherever_work_is_done(wrapped, registry, work, done):
    app = shop(work)
    if wrapped:
        app.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    asyncmetrics.instrument(app, registry=registry)
    await get(app, "/items/1")
    await get(app, "/sync/1", method="POST")
    reading = ("sync dependency", "endpoint", "task", "task group", "thread", "stream", "background")
    expected = {(where, "GET", "/items/{x}") for where in (*reading, "sync background", "dependency's end")}
    assert set(done()) == expected | {(where, "POST", "/sync/{x}") for where in ("sync endpoint", "sync stream")}


@on_every_loop
async def test_requests_at_once_keep_their_own(registry, work, done):
    async def slow(request):
        await anyio.sleep(0.01)
        work.labels("endpoint").inc()
        return PlainTextResponse("ok")

    async def other(request):
        return await slow(request)

    app = Starlette(routes=[Route("/a/{x}", slow), Route("/b/{x}", other)])
    asyncmetrics.instrument(app, registry=registry)
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(get, app, f"/{'ab'[number % 2]}/{number}")
    assert done() == {("endpoint", "GET", "/a/{x}"): 10, ("endpoint", "GET", "/b/{x}"): 10}


async def test_before_the_router_the_route_is_pending(ask, measured, work, done):
    async def app(scope, receive, send):
        work.labels("early").inc()
        scope["asyncmetrics.route"] = "/known"
        work.labels("late").inc()

    await ask(measured(app))
    assert set(done()) == {("early", "GET", "<pending>"), ("late", "GET", "/known")}


async def test_under_a_middleware_that_copies_the_scope_the_route_is_right(registry, work, done):
    class Copying:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(dict(scope), receive, send)

    app = shop(work)
    app.add_middleware(Copying)
    asyncmetrics.instrument(app, registry=registry)
    await get(app, "/items/1")
    assert ("endpoint", "GET", "/items/{x}") in done()


async def test_the_method_is_bounded(ask, measured, work, done):
    async def app(scope, receive, send):
        work.labels("here").inc()

    await ask(measured(app), method="EVIL")
    assert set(done()) == {("here", "_OTHER", "<pending>")}


async def test_a_websocket_has_its_route_and_no_method(connect, measured, work, done):
    async def app(scope, receive, send):
        work.labels("here").inc()

    await connect(measured(app))
    assert set(done()) == {("here", "", "/socket")}


async def test_the_route_is_final_in_a_task_that_outlives_its_request(ask, measured, work, done):
    release = asyncio.Event()
    tasks = []

    async def later():
        await release.wait()
        work.labels("later").inc()

    async def app(scope, receive, send):
        tasks.append(asyncio.create_task(later()))
        scope["asyncmetrics.route"] = "/known"

    await ask(measured(app))
    release.set()
    await tasks[0]
    assert set(done()) == {("later", "GET", "/known")}


@pytest.mark.parametrize("names", [[], ["plan"]])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_task_that_outlives_its_request_holds_no_scope(kind, names, ask, measured):
    class Marker:
        """Something that only the scope refers to."""

    marker = Marker()
    alive = weakref.ref(marker)
    tasks = []

    async def app(scope, receive, send):
        bind_labels(plan="gold")
        with bound_labels(plan="free"):
            tasks.append(asyncio.create_task(asyncio.sleep(60)))

    await ask(measured(app, context_labels=names), type=kind, marker=marker)
    del marker
    gc.collect()
    assert alive() is None
    tasks[0].cancel()


async def test_what_is_bound_for_a_request_is_gone_after_it(ask, measured):
    async def app(scope, receive, send):
        bind_labels(tenant="acme")
        assert set(get_labels()) == {"route", "method", "tenant"}

    before = get_labels()
    assert (await ask(measured(app))).error is None
    assert get_labels() == before == {}


async def test_what_is_bound_for_a_request_that_fails_is_gone_after_it(ask, measured):
    async def app(scope, receive, send):
        raise ValueError

    await ask(measured(app))
    assert get_labels() == {}


async def test_what_was_bound_around_a_request_is_as_it_was_after_it(ask, measured):
    seen = []

    async def app(scope, receive, send):
        seen.append(get_labels()["tenant"])

    with bound_labels(tenant="acme", route="/outer"):
        await ask(measured(app))
        assert (seen, get_labels()) == (["acme"], {"tenant": "acme", "route": "/outer"})


async def test_a_request_within_a_request_has_its_own_route(registry, work, done):
    """Both run in one context, as they do with httpx's ASGITransport."""

    async def inner(request):
        work.labels("inner").inc()
        return PlainTextResponse("inner")

    async def outer(request):
        work.labels("before").inc()
        await get(below, "/inner/1", method="POST")
        work.labels("after").inc()
        return PlainTextResponse("outer")

    below = Starlette(routes=[Route("/inner/{x}", inner, methods=["POST"])])
    app = Starlette(routes=[Route("/outer/{x}", outer)])
    for one in (below, app):
        asyncmetrics.instrument(one, registry=registry)
    await get(app, "/outer/1", "/outer/2")
    assert done() == {
        ("before", "GET", "/outer/{x}"): 2,
        ("inner", "POST", "/inner/{x}"): 2,
        ("after", "GET", "/outer/{x}"): 2,
    }


async def test_a_metric_may_bind_its_own_value_over_the_requests(ask, measured, work, done):
    async def app(scope, receive, send):
        with bound_labels(route="mine"):
            work.labels("here").inc()

    await ask(measured(app))
    assert set(done()) == {("here", "GET", "mine")}


async def test_a_route_that_the_application_does_not_read_is_resolved_once(ask, measured):
    asked = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    await ask(measured(app, route=lambda scope: asked.append(scope) or "/mine"))
    assert len(asked) == 1


def test_a_coroutine_that_is_driven_in_another_context_does_no_harm(measured):
    """A context variable cannot be reset there; the request ends all the same."""
    import contextvars

    class Pause:
        def __await__(self):
            yield

    async def app(scope, receive, send):
        await Pause()

    serving = measured(app)({"type": "http", "method": "GET", "path": "/"}, None, None)
    contextvars.copy_context().run(serving.send, None)
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(serving.send, None)
