"""Route tables that change, are odd, are large or have no end: the label stays right, and cheap."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from functools import partial

import fastapi
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router, WebSocketRoute

from asyncmetrics import MetricsMiddleware

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("starlette")]


async def ok(request):
    return PlainTextResponse("ok")


async def other(request):
    return PlainTextResponse("other")


@pytest.fixture
def route_of(ask, measured, totals):
    """Ask an application, and give the one route that was counted: ``await route_of(app, "/x", "POST")``."""
    wrapped = {}

    async def asking(app, path, method="GET", **scope):
        app = wrapped.setdefault(id(app), measured(app))
        before = totals("counted")
        await ask(app, path, method, **scope)
        after = totals("counted")
        (route,) = {key[1] for key in after if after[key] != before.get(key)}
        return route

    return asking


async def test_a_root_path_ends_where_a_segment_does(route_of):
    """``/apiary`` is not below the root ``/api`` of a proxy that has taken it off."""
    app = Starlette(routes=[Route("/first/{x}", ok), Route("/apiary/{x}", ok)])
    assert await route_of(app, "/apiary/1", root_path="/api") == "/apiary/{x}"
    assert await route_of(app, "/api/apiary/1", root_path="/api") == "/apiary/{x}"


@pytest.mark.framework("fastapi")
@pytest.mark.filterwarnings("ignore:.*root_path")  # the newest FastAPI would have it given to the server
async def test_a_fastapi_with_a_root_path_of_its_own_is_told_by_the_rest(route_of):
    app = FastAPI(root_path="/api")
    app.get("/apiary/{x}")(app.get("/first/{x}")(lambda x: x))
    assert await route_of(app, "/apiary/1") == "/apiary/{x}"


async def test_an_endpoint_that_gets_a_second_route_later_is_told_by_the_path(route_of):
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


async def test_an_endpoint_on_one_path_twice_is_told_by_the_method(route_of):
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


class Odd(Route):
    """A route that the framework can match, and nobody can read."""

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


async def test_a_kind_of_route_that_nobody_knows_is_unmatched(route_of, totals):
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


async def test_an_endpoint_told_by_what_is_behind_an_opaque_mount_is_the_mounts(route_of):
    """Another framework there may write the same keys into the scope."""
    inner = Router([Route("/hidden/{x}", other)])

    async def opaque(scope, receive, send):
        await inner(scope, receive, send)

    app = Starlette(routes=[Mount("/a/{b}", routes=[Mount("/opaque", opaque)]), Host("h.example", opaque)])
    assert await route_of(app, "/a/1/opaque/hidden/2") == "/a/{b}/opaque/{path}"
    assert await route_of(app, "/p/a/1/opaque/hidden/2", root_path="/p") == "/a/{b}/opaque/{path}"
    assert await route_of(app, "/hidden/2", headers=[(b"host", b"h.example")]) == "<unmatched>"


async def test_an_application_mounted_at_the_root_is_told_by_its_own_templates(route_of):
    app = Starlette(routes=[Route("/x", other), Mount("/", Starlette(routes=[Route("/in/{x}", ok)]))])
    assert [await route_of(app, path) for path in ("/x", "/in/1", "/nowhere")] == ["/x", "/in/{x}", "/{path}"]


async def test_whatever_answers_for_a_host_is_everything_below_it(route_of):
    async def opaque(scope, receive, send):
        await PlainTextResponse("opaque")(scope, receive, send)

    app = Starlette(routes=[Host("h.example", opaque)])
    assert await route_of(app, "/anything", headers=[(b"host", b"h.example")]) == "/{path}"


def included() -> tuple[FastAPI, APIRouter]:
    """Make a router with every kind of route, included within another one."""
    inner = APIRouter(prefix="/inner/{i}")
    inner.get("/api/{x}")(lambda i, x: x)
    inner.routes.append(Route("/inner/{i}/plain/{x}", ok))
    inner.routes.append(Mount("/inner/{i}/mounted", Router([Route("/leaf/{x}", ok)])))
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app = FastAPI()
    app.include_router(outer, prefix="/v1")
    return app, inner


@pytest.mark.framework("fastapi")
async def test_a_route_of_a_router_within_an_included_router_is_its_template(route_of):
    app, _ = included()
    assert await route_of(app, "/v1/outer/inner/1/api/2") == "/v1/outer/inner/{i}/api/{x}"


live = pytest.mark.skipif(
    not hasattr(fastapi.routing, "iter_route_contexts"),
    reason=f"FastAPI {fastapi.__version__} copies routes when a router is included, and leaves out Starlette's",
)


@pytest.mark.framework("fastapi")
@live
async def test_starlettes_routes_in_an_included_router_have_their_templates(route_of):
    app, _ = included()
    assert await route_of(app, "/v1/outer/inner/1/plain/2") == "/v1/outer/inner/{i}/plain/{x}"
    assert await route_of(app, "/v1/outer/inner/1/mounted/leaf/2") == "/v1/outer/inner/{i}/mounted/leaf/{x}"


@pytest.mark.framework("fastapi")
@live
async def test_what_comes_to_a_router_within_an_included_router_later_is_found(route_of):
    app, inner = included()
    assert await route_of(app, "/v1/outer/inner/1/api/2") == "/v1/outer/inner/{i}/api/{x}"
    inner.get("/late/{x}")(lambda x: x)
    assert await route_of(app, "/v1/outer/inner/1/late/2") == "/v1/outer/inner/{i}/late/{x}"


@pytest.mark.framework("fastapi")
@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason=f"FastAPI {fastapi.__version__} has no frontend()")
async def test_a_frontend_of_an_included_router_is_one_route_and_no_fault(tmp_path, route_of, totals):
    (tmp_path / "index.html").write_text("<html></html>")
    router = APIRouter()
    router.get("/api/{x}")(lambda x: x)
    router.frontend("/site", directory=tmp_path)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    assert await route_of(app, "/v1/site/page") == "<frontend>"
    assert (await route_of(app, "/v1/api/1"), totals("internal")) == ("/v1/api/{x}", {})

    async def preflight(scope, receive, send):
        scope["app"] = app
        await PlainTextResponse("early")(scope, receive, send)

    assert await route_of(preflight, "/nowhere") == "<unmatched>"


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
async def test_a_path_told_without_the_router_costs_no_compilation(path, ask, measured, compiled):
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


async def test_a_router_of_no_framework_that_is_known_is_unmatched(ask, measured, totals, monkeypatch):
    router = Router([Route("/x", ok)])
    monkeypatch.delitem(sys.modules, "starlette.routing")

    async def app(scope, receive, send):
        scope.update(router=router, endpoint=ok)
        await send({"type": "http.response.start", "status": 200})

    await ask(measured(app), "/x")
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


async def test_a_websocket_route_is_no_place_of_a_request(route_of):
    app = Starlette(routes=[WebSocketRoute("/x", ok), Route("/y", ok)])
    assert await route_of(app, "/y") == "/y"
    assert await route_of(app, "/x") == "<unmatched>"
