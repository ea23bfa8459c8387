"""Starlette's own errors, streams and middleware, seen from outside. (Its routes: tests/middleware/routes)."""

from __future__ import annotations

import inspect

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
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


async def refuse(request, call_next):
    return PlainTextResponse("who are you?", status_code=401)


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


EARLY = {
    "a host that is not allowed": (Middleware(TrustedHostMiddleware, allowed_hosts=["other.example"]), "400"),
    "a redirect to HTTPS": (Middleware(HTTPSRedirectMiddleware), "307"),
    "authentication": (Middleware(BaseHTTPMiddleware, dispatch=refuse), "401"),
}


@pytest.mark.parametrize("case", EARLY)
async def test_an_answer_in_front_of_the_router_is_counted_by_the_route_of_its_path(case, build, seen):
    """No router has seen the request, so its path is matched for the label."""
    middleware, status = EARLY[case]
    app = build(middleware=[middleware])
    assert await seen(app, "/items/1") == ("/items/{item}", status)
    assert await seen(app, "/mounted/1") == ("/mounted/{x}", status)
    assert await seen(app, "/nowhere") == ("<unmatched>", status)


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


def walk(stack):
    """The classes of a stack of middleware, as a library that looks for one of them walks it."""
    kinds = []
    while stack is not None:
        kinds.append(type(stack))
        stack = getattr(stack, "app", None)
    return kinds


async def test_a_walk_through_the_stack_finds_what_starlette_builds(build, ask):
    app = build(middleware=[Middleware(CORSMiddleware)])
    bare = Starlette(routes=ROUTES, middleware=[Middleware(CORSMiddleware)])
    assert walk(app.build_middleware_stack()) == walk(bare.build_middleware_stack())
    await ask(app, "/items/1")
    found = [(kind.__module__, kind.__name__) for kind in walk(app.middleware_stack)]
    assert found == [(kind.__module__, kind.__name__) for kind in walk(bare.build_middleware_stack())]
    top = app.middleware_stack
    assert isinstance(top, ServerErrorMiddleware) and isinstance(top.app.app, ExceptionMiddleware)
    assert (top.handler, top.debug) == (None, False)


async def test_a_stack_without_the_outermost_middleware_is_measured_outside_of_all(build, ask, counted, seen):
    """OpenTelemetry takes it away and puts its own around the rest."""
    app = build(exception_handlers={Exception: unavailable})
    original = app.build_middleware_stack

    def rebuild():
        top = original()
        return ServerErrorMiddleware(TrustedHostMiddleware(top.app, ["*"]), handler=top.handler, debug=top.debug)

    app.build_middleware_stack = rebuild
    assert await seen(app, "/raising") == ("/raising", "503")
    assert isinstance(app.middleware_stack.app, TrustedHostMiddleware)


class Slotted:
    """A middleware whose objects have no dict."""

    __slots__ = ("app",)

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def wrap_in_function(app):
    async def call(scope, receive, send):
        await app(scope, receive, send)

    return call


@pytest.mark.parametrize("wrap", [ServerErrorMiddleware, Slotted, wrap_in_function])
async def test_what_is_put_around_the_stack_is_measured_once(wrap, build, ask, counted):
    app = build()
    await ask(app, "/items/1")
    for _ in range(3):
        app.middleware_stack = wrap(app.middleware_stack)
        await ask(app, "/items/1")
        assert (await ask(app, "/metrics")).status_code == 200
    assert counted() == {("GET", "/items/{item}", "200"): 4}


@pytest.mark.parametrize("wrap", [ServerErrorMiddleware, Slotted, wrap_in_function])
async def test_what_is_put_around_the_stack_stays_when_the_application_is_uninstrumented(wrap, build, ask, counted):
    app = build()
    await ask(app, "/items/1")
    stack = app.middleware_stack = wrap(app.middleware_stack)
    asyncmetrics.uninstrument(app)
    assert app.middleware_stack is stack
    assert type(stack) in {ServerErrorMiddleware, Slotted, type(wrap_in_function)}
    await ask(app, "/items/1")
    assert counted() == {("GET", "/items/{item}", "200"): 1}


async def test_a_stack_that_is_assigned_again_is_measured_once(build, ask, counted):
    app = build()
    await ask(app, "/items/1")
    app.middleware_stack = app.middleware_stack
    await ask(app, "/items/1")
    assert counted() == {("GET", "/items/{item}", "200"): 2}


async def test_the_class_of_an_instrumented_application_has_the_same_names(build):
    app = build()
    assert isinstance(app, Starlette)
    assert (type(app).__module__, type(app).__qualname__) == (Starlette.__module__, Starlette.__qualname__)
    assert inspect.iscoroutinefunction(app.__call__)
