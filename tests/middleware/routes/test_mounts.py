"""Applications that are mounted: measured themselves, behind middleware, opaque, at the root, at a host."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from asyncmetrics import MetricsMiddleware
from tests.middleware.routes.endpoints import ok, other

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]

WRAPPERS = {
    "MetricsMiddleware": lambda app, registry: MetricsMiddleware(app, registry=registry),
    "GZipMiddleware in MetricsMiddleware": lambda app, registry: MetricsMiddleware(
        GZipMiddleware(app), registry=registry
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
async def test_a_mounted_application_that_is_measured_itself_has_its_templates(wrapper, registry, route_of):
    sub = Starlette(routes=[Route("/in/{x}", ok)])
    app = Starlette(routes=[Mount("/sub", WRAPPERS[wrapper](sub, registry))])
    assert await route_of(app, "/sub/in/1") == "/sub/in/{x}"


class Hiding:
    """A middleware that keeps the application under a name of its own."""

    def __init__(self, app):
        self.hidden = app

    async def __call__(self, scope, receive, send):
        await self.hidden(scope, receive, send)


async def test_routes_behind_the_middleware_of_a_mount_have_their_templates(route_of):
    app = Starlette(routes=[Mount("/sub", routes=[Route("/in/{x}", ok)], middleware=[Middleware(Hiding)])])
    assert await route_of(app, "/sub/in/1") == "/sub/in/{x}"


async def test_an_endpoint_behind_an_opaque_mount_has_the_route_of_the_mount(route_of):
    """Another framework there may write the same keys into the scope."""
    inner = Router([Route("/hidden/{x}", other)])

    async def opaque(scope, receive, send):
        await inner(scope, receive, send)

    app = Starlette(routes=[Mount("/a/{b}", routes=[Mount("/opaque", opaque)]), Host("h.example", opaque)])
    assert await route_of(app, "/a/1/opaque/hidden/2") == "/a/{b}/opaque/{path}"
    assert await route_of(app, "/p/a/1/opaque/hidden/2", root_path="/p") == "/a/{b}/opaque/{path}"
    assert await route_of(app, "/hidden/2", headers=[(b"host", b"h.example")]) == "<unmatched>"


async def test_an_application_mounted_at_the_root_has_its_own_templates(route_of):
    app = Starlette(routes=[Route("/x", other), Mount("/", Starlette(routes=[Route("/in/{x}", ok)]))])
    assert [await route_of(app, path) for path in ("/x", "/in/1", "/nowhere")] == ["/x", "/in/{x}", "/{path}"]


async def test_an_opaque_application_at_a_host_has_one_route_for_all_paths(route_of):
    async def opaque(scope, receive, send):
        await PlainTextResponse("opaque")(scope, receive, send)

    app = Starlette(routes=[Host("h.example", opaque)])
    assert await route_of(app, "/anything", headers=[(b"host", b"h.example")]) == "/{path}"
