"""The route label for every shape that Starlette's and FastAPI's routing can have."""

from __future__ import annotations

import fastapi
import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

import asyncmetrics


async def ok(request):
    return PlainTextResponse("ok")


async def other(request):
    return PlainTextResponse("other")


async def twice(request):
    return PlainTextResponse("twice")


class Shown(HTTPEndpoint):
    async def get(self, request):
        return PlainTextResponse("shown")


async def opaque(scope, receive, send):
    await PlainTextResponse("opaque")(scope, receive, send)


class Copying:
    """A middleware that gives the application a scope of its own."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(dict(scope), receive, send)


def starlette_app(folder) -> Starlette:
    nested = Router([Route("/leaf/{id:int}", ok), Mount("/deeper", routes=[Route("/{a}/{b}", other)])])
    sub = Starlette(routes=[Route("/in/{x}", ok)])
    return Starlette(
        routes=[
            Route("/", ok),
            Route("/items/{item}", ok),
            Route("/numbers/{n:int}/halves/{h:float}", ok),
            Route("/files/{path:path}", ok),
            Route("/ids/{id:uuid}", ok),
            Route("/shown/{x}", Shown),
            Route("/twice/one/{x}", twice),
            Route("/twice/two/{y}", twice),
            Route("/slashed/", ok),
            Route("/posted", other, methods=["POST"]),
            Mount("/nested", nested),
            Mount("/outer/{tenant}", routes=[Mount("/inner", routes=[Route("/x/{y}", ok)])]),
            Mount("/sub", sub),
            Mount("/again", sub),
            Mount("/wrapped", GZipMiddleware(sub)),
            Mount("/static", StaticFiles(directory=folder)),
            Mount("/opaque", opaque),
            Host("{name}.api.example", Router([Route("/hosted/{x}", ok)])),
            Mount("/rooted", routes=[Route("/", ok)]),
        ]
    )


STARLETTE = {
    "/": "/",
    "/items/1": "/items/{item}",
    "/items/a%20b": "/items/{item}",
    "/numbers/3/halves/1.5": "/numbers/{n}/halves/{h}",
    "/files/a/b/c.txt": "/files/{path}",
    "/ids/12345678-1234-5678-1234-567812345678": "/ids/{id}",
    "/shown/1": "/shown/{x}",
    "/twice/one/1": "/twice/one/{x}",
    "/twice/two/1": "/twice/two/{y}",
    "/slashed/": "/slashed/",
    "/slashed": "<unmatched>",
    "/posted": "/posted",
    "/nested/leaf/7": "/nested/leaf/{id}",
    "/nested/leaf/x": "/nested/{path}",
    "/nested/deeper/1/2": "/nested/deeper/{a}/{b}",
    "/outer/acme/inner/x/1": "/outer/{tenant}/inner/x/{y}",
    "/outer/acme/nothing": "/outer/{tenant}/{path}",
    "/sub/in/1": "/sub/in/{x}",
    "/again/in/1": "/again/in/{x}",
    "/sub/nothing": "/sub/{path}",
    "/wrapped/in/1": "/wrapped/in/{x}",
    "/static/there.txt": "/static/{path}",
    "/static/missing.txt": "/static/{path}",
    "/opaque/anything/at/all": "/opaque/{path}",
    "/rooted/": "/rooted/",
    "/nowhere": "<unmatched>",
    "/numbers/x/halves/y": "<unmatched>",
}


def fastapi_app(folder) -> FastAPI:
    items = APIRouter(prefix="/items")

    @items.get("/{item_id}")
    async def item(item_id: int) -> int:
        if item_id > 99:
            raise HTTPException(404)
        return item_id

    @items.get("/by/{path:path}")
    async def by(path: str) -> str:
        return path

    outer = APIRouter(prefix="/outer/{tenant}")
    outer.include_router(items)
    app = FastAPI()
    app.include_router(items)
    app.include_router(items, prefix="/v2")
    app.include_router(outer, prefix="/v3")
    sub = FastAPI()
    sub.include_router(items)
    app.mount("/sub", sub)
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    return app


FASTAPI = {
    "/items/1": "/items/{item_id}",
    "/items/100": "/items/{item_id}",
    "/items/x": "/items/{item_id}",
    "/items/by/a/b": "/items/by/{path}",
    "/v2/items/1": "/v2/items/{item_id}",
    "/v3/outer/acme/items/1": "/v3/outer/{tenant}/items/{item_id}",
    "/sub/items/1": "/sub/items/{item_id}",
    "/sub/nothing": "/sub/{path}",
    "/sub/docs": "/sub/docs",
    "/static/there.txt": "/static/{path}",
    "/plain": "/plain",
    "/docs": "/docs",
    "/openapi.json": "/openapi.json",
    "/nowhere": "<unmatched>",
    "/items/1/": "<unmatched>",
}
APPS = {"starlette": (starlette_app, STARLETTE), "fastapi": (fastapi_app, FASTAPI)}
WRAPPINGS = {
    "nothing": lambda app: app,
    "BaseHTTPMiddleware": lambda app: _with(app, BaseHTTPMiddleware, dispatch=_passing),
    "GZipMiddleware": lambda app: _with(app, GZipMiddleware),
    "a middleware that copies the scope": lambda app: _with(app, Copying),
}


async def _passing(request, call_next):
    return await call_next(request)


def _with(app, middleware, **options):
    app.add_middleware(middleware, **options)
    return app


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "there.txt").write_text("there")
    return tmp_path


@pytest.fixture
def routes(totals):
    """Ask an application for a path, and give the one route that was counted for it."""

    async def ask(app, path, method="GET", **client):
        options = {"base_url": "http://shop.example", **client}
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=options.pop("root_path", ""))
        before = totals("counted")
        async with httpx.AsyncClient(transport=transport, **options) as asking:
            await asking.request(method, path)
        after = totals("counted")
        (route,) = {key[1] for key in after if after[key] != before.get(key)}
        return route

    return ask


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("framework", APPS)
async def test_every_shape_of_route_is_its_template(framework, wrapping, folder, registry, routes):
    build, expected = APPS[framework]
    app = asyncmetrics.instrument(WRAPPINGS[wrapping](build(folder)), registry=registry)
    found = {path: await routes(app, path) for path in expected}
    assert found == expected


async def test_a_host_route_is_the_template_below_it(folder, registry, routes):
    app = asyncmetrics.instrument(starlette_app(folder), registry=registry)
    assert await routes(app, "/hosted/1", base_url="http://a.api.example") == "/hosted/{x}"


async def test_a_405_has_the_template(folder, registry, routes):
    app = asyncmetrics.instrument(starlette_app(folder), registry=registry)
    assert await routes(app, "/items/1", "DELETE") == "/items/{item}"


@pytest.mark.parametrize("framework", APPS)
async def test_the_root_path_of_a_proxy_is_not_part_of_the_route(framework, folder, registry, routes):
    build, expected = APPS[framework]
    app = asyncmetrics.instrument(build(folder), registry=registry)
    found = {path: await routes(app, f"/proxied{path}", root_path="/proxied") for path in expected}
    assert found == expected


@pytest.mark.parametrize("framework", APPS)
async def test_a_root_path_that_the_proxy_has_stripped_is_not_part_of_the_route(framework, folder, registry, routes):
    build, expected = APPS[framework]
    mounts = ("/nested", "/outer", "/sub", "/again", "/wrapped", "/rooted")  # in these Starlette answers with a 404
    unmounted = {path: route for path, route in expected.items() if not path.startswith(mounts)}
    app = asyncmetrics.instrument(build(folder), registry=registry)
    assert {path: await routes(app, path, root_path="/proxied") for path in unmounted} == unmounted


async def test_a_route_that_is_added_later_is_found(registry, routes):
    app = asyncmetrics.instrument(Starlette(routes=[Route("/first", ok)]), registry=registry)
    assert await routes(app, "/first") == "/first"
    app.router.routes.append(Route("/later/{x}", other))
    assert await routes(app, "/later/1") == "/later/{x}"


async def test_a_route_that_is_added_to_a_mount_later_is_found(registry, routes):
    nested = Router([Route("/first", ok)])
    app = asyncmetrics.instrument(Starlette(routes=[Mount("/nested", nested)]), registry=registry)
    assert await routes(app, "/nested/first") == "/nested/first"
    nested.routes.append(Route("/later/{x}", other))
    assert await routes(app, "/nested/later/1") == "/nested/later/{x}"


async def test_a_route_included_later_is_found(registry, routes):
    app = asyncmetrics.instrument(FastAPI(), registry=registry)
    assert await routes(app, "/docs") == "/docs"
    router = APIRouter(prefix="/late")
    router.get("/{x}")(lambda x: x)
    app.include_router(router)
    assert await routes(app, "/late/1") == "/late/{x}"


async def test_an_instrumented_application_under_one_that_is_not_has_the_whole_template(registry, routes):
    inner = asyncmetrics.instrument(Starlette(routes=[Route("/in/{x}", ok)]), registry=registry)
    outer = Starlette(routes=[Mount("/out/{y}", inner)])
    assert await routes(outer, "/out/1/in/2") == "/out/{y}/in/{x}"


async def test_an_answer_before_the_router_is_unmatched(registry, routes):
    """A CORS preflight is answered by a middleware; it is counted all the same."""
    cors = Middleware(CORSMiddleware, allow_origins=["*"])
    app = asyncmetrics.instrument(Starlette(routes=[Route("/x", ok)], middleware=[cors]), registry=registry)
    headers = {"origin": "http://a.example", "access-control-request-method": "GET"}
    assert await routes(app, "/nowhere", "OPTIONS", headers=headers) == "<unmatched>"


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason=f"FastAPI {fastapi.__version__} has no frontend()")
async def test_a_frontend_is_one_route(tmp_path, registry, routes):
    (tmp_path / "index.html").write_text("<html></html>")
    app = asyncmetrics.instrument(FastAPI(), registry=registry)
    app.frontend("/", directory=tmp_path)
    assert await routes(app, "/some/page") == "<frontend>"
