"""Finding a route compiles no pattern, and keeps no router of a single request."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from tests.middleware.routes.endpoints import ok

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


async def test_routers_that_are_made_for_each_request_are_not_kept(route_of):
    made = []

    async def app(scope, receive, send):
        router = Router([Route("/x", ok)])
        made.append(weakref.ref(router))
        await router(scope, receive, send)

    assert {await route_of(app, "/x") for _ in range(200)} == {"/x"}
    gc.collect()
    assert sum(router() is not None for router in made) <= 64


@pytest.fixture
def compiled(monkeypatch):
    """List the patterns that are compiled from now on; what `re` remembers is not among them."""
    compiler = re._compiler if sys.version_info >= (3, 11) else re.sre_compile
    compile_, seen = compiler.compile, []
    monkeypatch.setattr(compiler, "compile", lambda pattern, flags: seen.append(pattern) or compile_(pattern, flags))
    return seen


MORE_THAN_RE_REMEMBERS = 600


@pytest.mark.parametrize("path", ["/nowhere/{}", "/mounted/nowhere/{}", "/mounted/route/599/{}"])
async def test_a_route_that_is_found_without_the_router_costs_no_compilation(path, ask, measured, compiled):
    """A preflight to an application of 600 routes once held the loop for 30 ms."""
    routes = [Route(f"/route/{number}/{{x}}", ok) for number in range(MORE_THAN_RE_REMEMBERS)]
    app = Starlette(routes=[*routes, Mount("/mounted", routes=routes)])

    async def preflight(scope, receive, send):
        scope["app"] = app
        await PlainTextResponse("early")(scope, receive, send)

    compiled.clear()
    wrapped = measured(preflight)
    for number in range(3):
        await ask(wrapped, path.format(number))
    assert compiled == []


async def test_endpoints_in_several_places_cost_no_compilation(ask, measured, totals, compiled):
    endpoints = [partial(ok) for _ in range(MORE_THAN_RE_REMEMBERS)]
    routes = [(version, number) for version in ("v1", "v2") for number in range(MORE_THAN_RE_REMEMBERS)]
    router = Router([Route(f"/{version}/{number}/{{x}}", endpoints[number]) for version, number in routes])

    async def answer(scope, receive, send):
        scope.update(router=router, endpoint=endpoints[scope["number"]])
        await PlainTextResponse("")(scope, receive, send)

    compiled.clear()
    wrapped = measured(answer)
    for number in range(MORE_THAN_RE_REMEMBERS):
        await ask(wrapped, f"/v2/{number}/1", number=number)
    assert compiled == []
    assert set(totals("counted")) == {("GET", f"/v2/{n}/{{x}}", "200") for n in range(MORE_THAN_RE_REMEMBERS)}
