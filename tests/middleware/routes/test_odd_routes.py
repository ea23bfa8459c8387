"""Routes that cannot be read, that no table knows, or that contain themselves."""

from __future__ import annotations

import sys

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match, Mount, Route, Router

from tests.middleware.routes.endpoints import ok, other

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


class Odd(Route):
    """A route that the framework can match, but whose template cannot be read."""

    @property
    def path_format(self):
        raise RuntimeError

    @path_format.setter
    def path_format(self, value):
        pass


class OddMount(Mount):
    """A mount of the same kind."""

    path_format = Odd.path_format


class Own(BaseRoute):
    """A route of the user's own making, whose endpoint no table knows."""

    def matches(self, scope):
        return (Match.FULL, {"endpoint": self}) if scope["path"] == "/own" else (Match.NONE, {})

    async def handle(self, scope, receive, send):
        await PlainTextResponse("own")(scope, receive, send)


async def test_an_odd_route_costs_its_own_label_and_no_other(route_of, totals):
    app = Starlette(routes=[Odd("/odd", ok), Route("/good/{x}", other), Mount("/m", routes=[Odd("/odd", ok)])])
    assert await route_of(app, "/good/1") == "/good/{x}"
    assert await route_of(app, "/odd") == "<unmatched>"
    assert totals("internal") == {"middleware.route": 2}  # once for each of them, however many requests come


@pytest.mark.framework("fastapi")
async def test_an_odd_route_of_an_included_router_costs_its_own_label_and_no_other(route_of):
    router = APIRouter(prefix="/in")
    router.get("/good/{x}")(lambda x: x)
    router.routes.insert(0, OddMount("/odd", routes=[Route("/x", ok)]))
    app = FastAPI()
    app.include_router(router)
    assert await route_of(app, "/in/good/1") == "/in/good/{x}"


async def test_an_unknown_kind_of_route_is_unmatched(route_of, totals):
    app = Starlette(routes=[Own(), Route("/good", ok)])
    assert [await route_of(app, path) for path in ("/own", "/good")] == ["<unmatched>", "/good"]
    assert totals("internal") == {}


async def test_a_router_that_is_mounted_within_itself_has_an_end(route_of, totals):
    tree = Router([Route("/leaf", ok)])
    tree.routes.append(Mount("/child", tree))
    app = Starlette(routes=[Mount("/tree", tree), Route("/x", other)])
    assert await route_of(app, "/tree/child/child/leaf") == "/tree/leaf"
    assert (await route_of(app, "/x"), totals("internal")) == ("/x", {})


async def test_middleware_that_wraps_itself_has_an_end(route_of):
    class Endless:
        app = property(lambda self: self)

        async def __call__(self, scope, receive, send):
            await PlainTextResponse("endless")(scope, receive, send)

    assert await route_of(Starlette(routes=[Mount("/endless", Endless())]), "/endless/x") == "/endless/{path}"


async def test_a_router_of_no_framework_that_is_known_is_unmatched(ask, measured, totals, monkeypatch):
    router = Router([Route("/x", ok)])
    monkeypatch.delitem(sys.modules, "starlette.routing")

    async def app(scope, receive, send):
        scope.update(router=router, endpoint=ok)
        await send({"type": "http.response.start", "status": 200})

    await ask(measured(app), "/x")
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}
