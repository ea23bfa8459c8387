"""Starlette's own errors, streams and middleware, seen from outside. (Its routes: tests/middleware/routes)."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, Router

import asyncmetrics

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


async def item(request):
    return PlainTextResponse("item")


async def raising(request):
    raise RuntimeError


async def streamed(request):
    async def parts():
        for part in (b"a", b"b", b"c"):
            yield part

    return StreamingResponse(parts())


async def breaking(request):
    async def parts():
        yield b"a"
        raise ValueError

    return StreamingResponse(parts())


async def with_background(request):
    async def later():
        raise KeyError

    return PlainTextResponse("item", background=BackgroundTask(later))


async def unavailable(request, error):
    return JSONResponse({}, status_code=503)


ROUTES = [
    Route("/items/{item:int}", item),
    Route("/raising", raising),
    Route("/streamed", streamed),
    Route("/breaking", breaking),
    Route("/background", with_background),
    Mount("/mounted", Router([Route("/{x}", raising)])),
]


@pytest.fixture
def build(registry):
    """Make an instrumented application of these routes."""
    return lambda **options: asyncmetrics.instrument(Starlette(routes=ROUTES, **options), registry=registry)


EXCEPTIONS = {
    "/items/1": ("/items/{item}", "200", {}),
    "/raising": ("/raising", "500", {("/raising", "RuntimeError"): 1}),
    "/mounted/1": ("/mounted/{x}", "500", {("/mounted/{x}", "RuntimeError"): 1}),
    "/streamed": ("/streamed", "200", {}),
    "/background": ("/background", "200", {("/background", "KeyError"): 1}),
}


@pytest.mark.parametrize("path", EXCEPTIONS)
async def test_status_and_exceptions(path, build, seen, samples):
    route, status, exceptions = EXCEPTIONS[path]
    assert await seen(build(), path) == (route, status)
    assert samples("http_server_exceptions_total", "route", "type") == exceptions


async def test_a_stream_that_breaks_keeps_its_status_and_is_an_exception(build, seen, samples):
    """Starlette before 0.42 raises the group that its task group made of it."""
    assert await seen(build(), "/breaking") == ("/breaking", "200")
    ((route, kind), count), *more = samples("http_server_exceptions_total", "route", "type").items()
    assert (route, count, more) == ("/breaking", 1, []) and kind in {"ValueError", "ExceptionGroup"}


async def test_the_503_of_a_handler_of_every_exception_is_the_status(build, seen):
    """Starlette runs it outside of every middleware that is added in the usual way."""
    app = build(exception_handlers={Exception: unavailable})
    assert await seen(app, "/raising") == ("/raising", "503")


async def test_a_preflight_is_counted_by_the_route_it_asks_about(build, seen):
    app = build(middleware=[Middleware(CORSMiddleware, allow_origins=["*"])])
    headers = {"origin": "http://a.example", "access-control-request-method": "GET"}
    assert await seen(app, "/items/1", "OPTIONS", headers=headers) == ("/items/{item}", "200")


async def test_middleware_that_is_added_later_is_inside(build, seen, ask, registry):
    async def refusing(request, call_next):
        return PlainTextResponse("no", status_code=403)

    app = build()
    app.add_middleware(BaseHTTPMiddleware, dispatch=refusing)
    assert await seen(app, "/items/1") == ("/items/{item}", "403")  # matched by us: no router has seen it
    assert (await ask(app, "/metrics")).status_code == 200


async def test_the_middleware_added_in_starlettes_own_way_is_no_second_count(build, registry, ask, counted):
    app = build()
    app.add_middleware(asyncmetrics.MetricsMiddleware, registry=registry)
    await ask(app, "/items/1")
    assert counted() == {("GET", "/items/{item}", "200"): 1}


async def test_a_stack_that_is_built_again_is_measured_with_the_same_options(registry, ask, counted):
    """Adding a middleware before the first request, as ``add_middleware`` allows, builds the stack again."""
    app = asyncmetrics.instrument(Starlette(routes=ROUTES), registry=registry, exclude=iter(["/streamed"]))
    for _ in range(3):
        app.middleware_stack = None
        await ask(app, "/streamed")
        await ask(app, "/items/1")
    assert sum(counted().values()) == 3
