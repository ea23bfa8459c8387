"""A route of the application at the path of the exposition gets no requests: a warning says so, once."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import ModuleType

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router, WebSocketRoute

import asyncmetrics

pytestmark = pytest.mark.edge("position")

PATHS = ["/metrics", "/metrics/"]


async def own(*_, **__):
    return PlainTextResponse("own")


def make_starlette(path, stack):
    return Starlette(routes=[Route(path, own)])


def make_fastapi(path, stack):
    from fastapi import APIRouter, FastAPI

    app, router = FastAPI(), APIRouter(prefix="/metrics")
    router.get(path.removeprefix("/metrics"), response_model=None)(lambda: "own")
    app.include_router(router)
    return app


def make_litestar(path, stack):
    from litestar import Litestar, get

    @get(path)
    async def mine() -> str:
        return "own"

    return Litestar([mine], logging_config=None)


def make_quart(path, stack):
    from quart import Quart

    app = Quart("shop")
    app.add_url_rule(path, "own", lambda: "own")
    return app


def make_django(path, stack):
    from django.core.asgi import get_asgi_application
    from django.test import override_settings
    from django.urls import path as make_path

    urls = ModuleType("urls")
    urls.urlpatterns = [make_path(path[1:], own)]
    stack.enter_context(override_settings(ROOT_URLCONF=urls, MIDDLEWARE=[]))
    return get_asgi_application()


MAKERS = {
    "starlette": make_starlette,
    "fastapi": make_fastapi,
    "litestar": make_litestar,
    "quart": make_quart,
    "django": make_django,
}


@pytest.fixture
def make(framework):
    with ExitStack() as stack:
        yield lambda path: MAKERS[framework](path, stack)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "asyncmetrics")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "asyncmetrics"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_route_of_the_same_path_is_logged_once_with_what_to_do(path, make, registry, ask, warnings):
    app = asyncmetrics.instrument(make(path), registry=registry)
    for asked in (path, "/metrics", "/nowhere"):
        await ask(app, asked)
    (warning,) = warnings()
    assert "a route /metrics of its own" in warning and "path=" in warning and "path=None" in warning


@pytest.mark.parametrize("options", [{"path": "/elsewhere"}, {"path": None}])
async def test_nothing_is_logged_if_the_exposition_is_elsewhere(options, make, registry, ask, warnings):
    app = asyncmetrics.instrument(make("/metrics"), registry=registry, **options)
    await ask(app, "/metrics")
    assert warnings() == []


async def test_nothing_is_logged_for_an_application_without_such_a_route(app, ask, warnings):
    """It has /metrics/of/{item}."""
    for path in ("/metrics", "/metrics/of/1", "/items/1"):
        await ask(app, path)
    assert warnings() == []


@pytest.mark.parametrize("first", ["/metrics", "/elsewhere"])
async def test_a_route_that_is_added_later_is_logged_at_the_first_request(first, registry, ask, warnings):
    app = asyncmetrics.instrument(Starlette(), registry=registry)
    app.router.routes.append(Route("/metrics", own))
    assert warnings() == []
    await ask(app, first)
    await ask(app, first)
    assert len(warnings()) == 1


async def test_a_route_that_is_added_after_requests_is_logged_at_a_scrape(registry, ask, warnings):
    app = asyncmetrics.instrument(Starlette(), registry=registry)
    await ask(app, "/elsewhere")
    app.router.routes.append(Route("/metrics", own))
    await ask(app, "/metrics")
    assert len(warnings()) == 1


SHADOWED = {
    "a mount": Mount("/metrics", Router([Route("/", own)])),
    "an application that is mounted": Mount("/metrics", asyncmetrics.make_asgi_app()),
    "a route in a mount": Mount("/", Router([Route("/metrics", own)])),
}
NOT_SHADOWED = {
    "a route of any path": Route("/{path:path}", own),
    "a parameter": Route("/{name}", own),
    "a mount at the root": Mount("/", own),
    "a route below": Route("/metrics/{path:path}", own),
    "a route in a mount": Mount("/internal", Router([Route("/metrics", own)])),
    "a websocket": WebSocketRoute("/metrics", own),
}


@pytest.mark.parametrize("case", SHADOWED)
def test_a_mount_of_the_same_path_is_logged(case, registry, warnings):
    asyncmetrics.instrument(Starlette(routes=[SHADOWED[case]]), registry=registry)
    assert len(warnings()) == 1


@pytest.mark.parametrize("case", NOT_SHADOWED)
async def test_a_route_that_serves_more_or_other_paths_is_not_logged(case, registry, ask, warnings):
    app = asyncmetrics.instrument(Starlette(routes=[NOT_SHADOWED[case]]), registry=registry)
    await ask(app, "/metrics")
    assert warnings() == []


async def test_routes_that_cannot_be_read_are_counted_and_harm_no_scrape(registry, ask, samples, warnings):
    app = asyncmetrics.instrument(Starlette(), registry=registry)
    app.router.routes = None
    assert (await ask(app, "/metrics")).status_code == 200
    assert samples("asyncmetrics_internal_errors_total", "where")["integrations.routes",] == 1
