"""Routes that come later, applications within applications, and answers before any router."""

from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route, Router

import asyncmetrics
from tests.middleware.routes.endpoints import ok, other

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


@pytest.fixture
def routes(totals):
    """Ask an application for a path, and return the one route that was counted for it."""

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


@pytest.mark.framework("fastapi")
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


def starlette_app() -> Starlette:
    return Starlette(routes=[Route("/items/{item}", ok), Mount("/sub", routes=[Route("/{x}", ok)])])


def fastapi_app() -> FastAPI:
    router = APIRouter(prefix="/items")
    router.get("/{item}")(lambda item: item)
    app = FastAPI()
    app.include_router(router)
    app.mount("/sub", starlette_app())
    return app


INVENTED = ("/{}", "/items/{}", "/items/{}/", "/items/{}/more", "/sub/{}", "/sub/{}/more", "/items/{}?q={}", "/%ff{}")
FRAMEWORKS = {"starlette": starlette_app, "fastapi": fastapi_app}


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_ten_thousand_invented_requests_add_no_series(framework, ask, registry, asserted):
    """Methods, paths, hosts, schemes and lengths, with everything measured that can be."""

    async def invent(number):
        path = INVENTED[number % len(INVENTED)].replace("{}", str(number))
        headers = [(b"host", b"%d.example" % number), (b"content-length", b"%d" % number)]
        await ask(app, path, f"EVIL{number}", headers=headers, scheme=f"s{number}")

    def series():
        return sum(len(list(family.samples)) for family in registry.collect())

    options = {"first_byte": True, "body_sizes": True, "background": True, "conventions": "opentelemetry"}
    app = asyncmetrics.instrument(FRAMEWORKS[framework](), registry=registry, **options)
    for number in range(len(INVENTED)):
        await invent(number)
    before = series()
    for number in range(10_000):
        await invent(number)
    asserted(f"{before} series before, {series()} after")
    assert series() == before


async def test_an_answer_before_the_router_is_unmatched(registry, routes):
    """A CORS preflight is answered by a middleware; it is counted all the same."""
    cors = Middleware(CORSMiddleware, allow_origins=["*"])
    app = asyncmetrics.instrument(Starlette(routes=[Route("/x", ok)], middleware=[cors]), registry=registry)
    headers = {"origin": "http://a.example", "access-control-request-method": "GET"}
    assert await routes(app, "/nowhere", "OPTIONS", headers=headers) == "<unmatched>"
