"""Which template is counted when one endpoint has several routes, or the path is not the one that was routed."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router, WebSocketRoute

from tests.middleware.routes.endpoints import ok, other

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


async def test_a_root_path_ends_where_a_segment_does(route_of):
    """``/apiary`` is not below the root ``/api`` of a proxy that has taken it off."""
    app = Starlette(routes=[Route("/first/{x}", ok), Route("/apiary/{x}", ok)])
    assert await route_of(app, "/apiary/1", root_path="/api") == "/apiary/{x}"
    assert await route_of(app, "/api/apiary/1", root_path="/api") == "/apiary/{x}"


@pytest.mark.framework("fastapi")
@pytest.mark.filterwarnings("ignore:.*root_path")  # the newest FastAPI would have it given to the server
async def test_a_fastapi_with_a_root_path_of_its_own_has_templates_without_it(route_of):
    app = FastAPI(root_path="/api")
    app.get("/apiary/{x}")(app.get("/first/{x}")(lambda x: x))
    assert await route_of(app, "/apiary/1") == "/apiary/{x}"


async def test_an_endpoint_that_gets_a_second_route_later_has_the_route_of_the_path(route_of):
    app = Starlette(routes=[Route("/first", ok)])
    assert await route_of(app, "/first") == "/first"
    app.router.routes.append(Route("/second", ok))
    assert await route_of(app, "/second") == "/second"
    assert await route_of(app, "/first") == "/first"


async def test_a_route_that_is_replaced_is_found(route_of):
    app = Starlette(routes=[Route("/first", ok)])
    assert await route_of(app, "/first") == "/first"
    app.router.routes[0] = Route("/instead", other)
    assert await route_of(app, "/instead") == "/instead"


async def test_an_endpoint_on_one_path_twice_has_the_route_of_the_method(route_of):
    app = Starlette(routes=[Route("/x/{a}", ok, methods=["GET"]), Route("/x/{b}", ok, methods=["POST"])])
    assert [await route_of(app, "/x/1", method) for method in ("GET", "HEAD", "POST")] == [
        "/x/{a}",
        "/x/{a}",
        "/x/{b}",
    ]


async def test_a_405_on_one_path_twice_is_the_first_route(route_of):
    app = Starlette(routes=[Route("/x/{a}", ok, methods=["GET"]), Route("/x/{b}", ok, methods=["POST"])])
    assert await route_of(app, "/x/1", "DELETE") == "/x/{a}"


async def test_a_path_that_was_rewritten_beyond_every_pattern_is_unmatched(route_of):
    """A guess among several templates would be a wrong label."""
    router = Router([Route("/a/{x}", ok), Route("/b/{x}", ok)])

    async def rewriting(scope, receive, send):
        scope.update(router=router, endpoint=ok, path="/something/else")
        await PlainTextResponse("ok")(scope, receive, send)

    assert await route_of(rewriting, "/a/1") == "<unmatched>"


async def test_a_websocket_route_is_not_the_route_of_a_request(route_of):
    app = Starlette(routes=[WebSocketRoute("/x", ok), Route("/y", ok)])
    assert await route_of(app, "/y") == "/y"
    assert await route_of(app, "/x") == "<unmatched>"
