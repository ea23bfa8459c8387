"""Where 499 holds: a client disconnects from a real uvicorn before the response starts, in every framework."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType
from urllib.parse import urlsplit

import pytest

import asyncmetrics
from tests.patience import eventually

pytestmark = [pytest.mark.edge("server"), pytest.mark.blocking]


class Endpoints:
    """What the routes of each application do: wait for the test, or read a body that never ends."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.is_over = False

    async def wait(self) -> str:
        self.started.append("waiting")
        while not self.is_over:
            await asyncio.sleep(0.01)
        return "late"

    async def read(self, reading) -> str:
        self.started.append("reading")
        await reading()
        return "read"


def make_starlette(endpoints, _):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def waiting(request):
        return PlainTextResponse(await endpoints.wait())

    async def reading(request):
        return PlainTextResponse(await endpoints.read(request.body))

    return Starlette(routes=[Route("/waiting", waiting), Route("/reading", reading, methods=["POST"])])


def make_fastapi(endpoints, _):
    from fastapi import FastAPI, Request

    app = FastAPI()
    app.get("/waiting")(endpoints.wait)

    async def reading(request):
        return await endpoints.read(request.body)

    reading.__annotations__ = {"request": Request}
    app.post("/reading")(reading)
    return app


def make_litestar(endpoints, _):
    from litestar import Litestar, Request, get, post

    @get("/waiting")
    async def waiting() -> str:
        return await endpoints.wait()

    async def reading(request):
        return await endpoints.read(request.body)

    reading.__annotations__ = {"request": Request, "return": str}
    return Litestar([waiting, post("/reading")(reading)], logging_config=None)


def make_quart(endpoints, _):
    from quart import Quart, request

    app = Quart("shop")

    @app.route("/reading", methods=["POST"])
    async def reading():
        return await endpoints.read(request.get_data)

    app.add_url_rule("/waiting", view_func=endpoints.wait)
    return app


def make_django(endpoints, stack):
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    async def waiting(request):
        return HttpResponse(await endpoints.wait())

    urls = ModuleType("urls")
    urls.urlpatterns = [path("waiting", waiting), path("reading", waiting)]
    middleware = ["asyncmetrics.integrations.django.RouteMiddleware"]
    stack.enter_context(override_settings(ROOT_URLCONF=urls, MIDDLEWARE=middleware))
    return get_asgi_application()


MAKERS = {
    "starlette": make_starlette,
    "fastapi": make_fastapi,
    "litestar": make_litestar,
    "quart": make_quart,
    "django": make_django,
}
# Quart cancels an endpoint whose client has disconnected, as Django does from 5.0 on. In the others it does not know.
WAITING = {"starlette": "200", "fastapi": "200", "litestar": "200", "quart": "499", "django": "499"}
if find_spec("django") and version("django").startswith("4."):
    WAITING["django"] = "200"


@pytest.fixture
def endpoints():
    return Endpoints()


@pytest.fixture
def base(framework, endpoints, registry, serve):
    with ExitStack() as stack:
        app = asyncmetrics.instrument(MAKERS[framework](endpoints, stack), registry=registry)
        yield serve(app, log_level="critical", lifespan="off")
        endpoints.is_over = True


async def disconnect(base, request, is_started):
    """Send a request, or a part of it, and close the connection once ``is_started`` returns true."""
    address = urlsplit(base)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    await eventually(is_started, True)
    writer.transport.abort()


async def test_a_disconnect_during_an_endpoint_that_does_not_read_it(framework, base, endpoints, samples):
    request = b"GET /waiting HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    await disconnect(base, request, lambda: bool(endpoints.started))
    await asyncio.sleep(0.1)  # for the server to notice it; if it does not, the status is the same
    endpoints.is_over = WAITING[framework] == "200"
    expected = {("/waiting", WAITING[framework]): 1}
    await eventually(lambda: samples("http_server_request_duration_seconds_count", "route", "status"), expected)
    assert samples("http_server_exceptions_total", "type") == {}


async def test_a_disconnect_while_the_body_is_read_is_a_499(framework, base, endpoints, samples):
    request = b"POST /reading HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 100\r\n\r\npart"
    # Django reads the body before it knows the route, so the request has none.
    route = "<unmatched>" if framework == "django" else "/reading"
    active = "<pending>" if framework == "django" else "/reading"
    await disconnect(base, request, lambda: samples("http_server_active_requests", "route") == {(active,): 1})
    expected = {(route, "499"): 1}
    await eventually(lambda: samples("http_server_request_duration_seconds_count", "route", "status"), expected)
    assert samples("http_server_exceptions_total", "type") == {}
