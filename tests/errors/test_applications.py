"""What is no application that can be measured gets the advice that fits it."""

from __future__ import annotations

import functools
import types

import fastapi
import flask
import litestar
import pytest
import quart
import starlette.routing
from django.core.handlers.wsgi import WSGIHandler
from starlette.endpoints import HTTPEndpoint

import asyncmetrics
from asyncmetrics import CollectorRegistry, MetricsMiddleware, instrument, make_asgi_app
from asyncmetrics.errors import DefinitionError


async def app(scope, receive, send):
    """An ASGI application."""


def wsgi(environ, start_response):
    """A WSGI application."""


def create_app():
    return fastapi.FastAPI()


class Application:
    async def __call__(self, scope, receive, send): ...


class DjangoWSGI(WSGIHandler):
    def __init__(self): ...  # loads no settings


WSGI = r"this is a WSGI application; mount make_wsgi_app\(\) beside it or call start_http_server\(9000\)"
NEITHER = {
    "a name": (
        "main:app",
        "got the string 'main:app': pass the application itself and not its name: from main import app",
    ),
    "nothing": (None, "got None: does the function that creates the application return it"),
    "a class": (fastapi.FastAPI, r"got the class FastAPI: create an application first: FastAPI\(\)"),
    "a class of one's own": (Application, r"create an application first: Application\(\)"),
    "a module": (types.ModuleType("main"), "pass the application in this module, main.app"),
    "a factory": (create_app, "if it creates the application, call it"),
    "a number": (5, "it cannot be called with scope, receive and send"),
    "a list": ([fastapi.FastAPI()], "it cannot be called with scope, receive and send"),
    "Flask": (flask.Flask("shop"), f"{WSGI}.*Quart is Flask for ASGI"),
    "a WSGI function": (wsgi, WSGI),
    "Django's WSGI": (DjangoWSGI(), r"this is Django's WSGI application: pass what get_asgi_application\(\) returns"),
}
ONLY_INSTRUMENT = {
    "FastAPI's router": (fastapi.APIRouter(), "instrument the FastAPI application that includes it"),
    "Starlette's router": (starlette.routing.Router(), "instrument the Starlette application that includes it"),
    "a mount": (starlette.routing.Mount("/x", app), "instrument the Starlette application that includes it"),
    "Litestar's router": (litestar.Router("/", route_handlers=[]), "instrument the Litestar application that"),
    "a blueprint": (quart.Blueprint("shop", "shop"), "instrument the Quart application that includes it"),
    "an ASGI function": (app, r"MetricsMiddleware\(app\) measures any other ASGI application"),
    "an ASGI object": (Application(), r"MetricsMiddleware\(app\) measures any other ASGI application"),
    "the middleware": (MetricsMiddleware(app, registry=CollectorRegistry()), "this measures already"),
    "the exposition": (make_asgi_app(), "this serves the metrics and needs no measuring"),
}


@pytest.mark.parametrize(
    ("application", "advice"), [pytest.param(*row, id=name) for name, row in (NEITHER | ONLY_INSTRUMENT).items()]
)
def test_instrument_refuses_it_with_its_advice(application, advice):
    expected = r"^instrument\(app\): expected an application of FastAPI, Starlette, Litestar or Quart, or Django's .*"
    with pytest.raises(DefinitionError, match=expected + advice):
        instrument(application)


@pytest.mark.parametrize(("application", "advice"), [pytest.param(*row, id=name) for name, row in NEITHER.items()])
def test_the_middleware_refuses_it_with_its_advice(application, advice, registry):
    with pytest.raises(DefinitionError, match=rf"^MetricsMiddleware\(app\): expected an ASGI application.*{advice}"):
        MetricsMiddleware(application, registry=registry)
    assert list(registry.collect()) == []


def test_an_awaitable_application_is_to_be_awaited(registry):
    async def create():
        return fastapi.FastAPI()

    coroutine = create()
    try:
        for measure in (instrument, functools.partial(MetricsMiddleware, registry=registry)):
            with pytest.raises(DefinitionError, match="await it first, and pass the application that it returns"):
                measure(coroutine)
    finally:
        coroutine.close()


@pytest.mark.parametrize(
    "application",
    [
        app,
        Application(),
        functools.partial(app),
        lambda *arguments: app(*arguments),
        lambda scope, receive, send, more=None: app(scope, receive, send),
        HTTPEndpoint,
        fastapi.APIRouter(),
        fastapi.FastAPI(),
        quart.Quart("shop"),
        make_asgi_app(),
    ],
)
def test_the_middleware_takes_whatever_can_be_called_as_asgi_says(application, registry):
    assert MetricsMiddleware(application, registry=registry).app is application


@pytest.mark.parametrize("path", [5, "metrics", "", ["/metrics"], b"/metrics"])
def test_a_path_that_is_none_is_refused(path, registry):
    with pytest.raises(DefinitionError, match="^path: expected a path such as '/metrics', or None, got "):
        asyncmetrics.instrument(fastapi.FastAPI(), registry=registry, path=path)
