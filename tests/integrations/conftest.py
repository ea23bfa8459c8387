"""Ask an application of any framework over ASGI, and read what was counted for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import fastapi
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import asyncmetrics
from asyncmetrics import CollectorRegistry

try:
    from django.conf import settings
except ImportError:  # its tests skip themselves
    pass
else:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={},
        INSTALLED_APPS=["django.contrib.staticfiles"],
        LOGGING_CONFIG=None,
        SECRET_KEY="test",
        STATIC_URL="/static/",
        USE_I18N=False,
        USE_TZ=True,
    )


@pytest.fixture
def ask() -> Callable[..., Awaitable[httpx.Response]]:
    """Send one request: ``response = await ask(app, "/path", "GET", root_path="/proxied")``."""

    async def asking(app: Any, path: str, method: str = "GET", *, root_path: str = "", **request: Any):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            return await client.request(method, path, **request)

    return asking


@pytest.fixture
def samples(registry: CollectorRegistry) -> Callable[..., dict[Any, float]]:
    """Read the samples of one name as a dict from the values of some labels."""

    def read(name: str, *labels: str) -> dict[Any, float]:
        found = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in found}

    return read


@pytest.fixture
def counted(samples: Callable[..., dict[Any, float]]) -> Callable[[], dict[tuple[str, str, str], float]]:
    """Read how many requests were counted, by method, route and status."""
    return lambda: samples("http_server_request_duration_seconds_count", "method", "route", "status")


@pytest.fixture
def seen(ask: Callable[..., Any], counted: Callable[..., Any]) -> Callable[..., Awaitable[tuple[str, str]]]:
    """Ask an application for a path, and return the one route and status that were counted for it."""

    async def look(app: Any, path: str, method: str = "GET", **request: Any) -> tuple[str, str]:
        before = counted()
        await ask(app, path, method, **request)
        after = counted()
        ((_, route, status),) = {key for key in after if after[key] != before.get(key)}
        return route, status

    return look


async def waiting(*_: object, **__: object) -> None:
    """Never answer."""
    await asyncio.sleep(3600)


async def raising(*_: object, **__: object) -> None:
    raise RuntimeError


def raising_in_a_thread(*_: object, **__: object) -> None:
    raise LookupError


async def breaking() -> AsyncIterator[bytes]:
    """Yield a part of a body and no second."""
    yield b"part"
    raise ValueError


# The same application of each framework: items, answers that never come, and exceptions of every kind.
def _starlette(_: ExitStack) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def item(request):
        return PlainTextResponse("item")

    async def broken(request):
        return StreamingResponse(breaking())

    def threaded(request):
        raise LookupError

    async def talk(websocket):
        await websocket.accept()
        raise RuntimeError

    return Starlette(
        routes=[
            Route("/items/{item}", item),
            Route("/metrics/of/{item}", item),
            Route("/waiting", waiting),
            Route("/raising", raising),
            Route("/threaded", threaded),
            Route("/breaking", broken),
            WebSocketRoute("/talk/{x}", talk),
        ]
    )


def _fastapi(_: ExitStack) -> Any:
    app = FastAPI()

    @app.get("/items/{item}")
    @app.get("/metrics/of/{item}")
    async def route(item: str) -> str:
        return item

    @app.websocket("/talk/{x}")
    async def talk(websocket: fastapi.WebSocket, x: str) -> None:
        await websocket.accept()
        raise RuntimeError

    async def broken():
        return StreamingResponse(breaking())

    app.add_route("/waiting", waiting)
    app.add_route("/raising", raising)
    app.get("/threaded")(lambda: raising_in_a_thread())
    app.get("/breaking")(broken)
    return app


def _litestar(_: ExitStack) -> Any:
    from litestar import Litestar, Request, WebSocket, get, websocket
    from litestar.response import Stream

    @get(["/items/{item:str}", "/metrics/of/{item:str}"])
    async def route(request: Request) -> str:
        return "item"

    @get("/waiting")
    async def wait() -> None:
        await waiting()

    @get("/raising")
    async def fail() -> None:
        await raising()

    @get("/threaded", sync_to_thread=True)
    def threaded() -> None:
        raising_in_a_thread()

    @get("/breaking")
    async def broken() -> Stream:
        return Stream(breaking())

    @websocket("/talk/{x:str}")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError

    handlers = [route, wait, fail, threaded, broken, talk]
    return Litestar(handlers, logging_config=None, signature_types=[Stream])


def _quart(_: ExitStack) -> Any:
    from quart import Quart, websocket

    async def broken():
        return breaking()

    async def talk(x):
        await websocket.accept()
        raise RuntimeError

    app = Quart("shop")
    app.add_url_rule("/items/<item>", "item", lambda item: item)
    app.add_url_rule("/metrics/of/<item>", "item")
    app.add_url_rule("/waiting", view_func=waiting)
    app.add_url_rule("/raising", view_func=raising)
    app.add_url_rule("/threaded", view_func=raising_in_a_thread)
    app.add_url_rule("/breaking", view_func=broken)
    app.add_websocket("/talk/<x>", view_func=talk)
    return app


def _django(stack: ExitStack) -> Any:
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.test import override_settings
    from django.urls import path

    async def item(request, item):
        return HttpResponse(item)

    async def broken(request):
        return StreamingHttpResponse(breaking())

    urls = ModuleType("urls")
    urls.urlpatterns = [
        path("items/<item>", item),
        path("metrics/of/<item>", item),
        path("waiting", waiting),
        path("raising", raising),
        path("threaded", raising_in_a_thread),
        path("breaking", broken),
    ]
    middleware = ["asyncmetrics.integrations.django.RouteMiddleware"]
    stack.enter_context(override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware))
    return get_asgi_application()


BUILDERS = {
    "starlette": _starlette,
    "fastapi": _fastapi,
    "litestar": _litestar,
    "quart": _quart,
    "django": _django,
}


@pytest.fixture(params=BUILDERS)
def framework(request: pytest.FixtureRequest) -> str:
    """The name of every framework in turn."""
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def build(framework: str) -> Iterator[Callable[[], Any]]:
    """Make an application of the framework, not instrumented yet."""
    with ExitStack() as stack:
        yield lambda: BUILDERS[framework](stack)


@pytest.fixture
def bare(build: Callable[[], Any]) -> Any:
    """An application of the framework, not instrumented yet."""
    return build()


@pytest.fixture
def app(bare: Any, registry: CollectorRegistry) -> Any:
    """An application of the framework, instrumented."""
    return asyncmetrics.instrument(bare, registry=registry)
