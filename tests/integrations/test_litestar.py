"""Litestar's routes, and what its own handlers of errors and mounts make of them."""

from __future__ import annotations

import mimetypes
from uuid import UUID

import httpx
import pytest

import asyncmetrics

litestar = pytest.importorskip("litestar")

from litestar import Controller, Litestar, Router, WebSocket, asgi, get, post, websocket  # noqa: E402
from litestar.background_tasks import BackgroundTask  # noqa: E402
from litestar.config.cors import CORSConfig  # noqa: E402
from litestar.exceptions import HTTPException  # noqa: E402
from litestar.response import Response, Stream  # noqa: E402
from litestar.static_files import create_static_files_router  # noqa: E402
from litestar.testing import AsyncTestClient  # noqa: E402
from litestar.types import Receive, Scope, Send  # noqa: E402

mimetypes.init()  # reads files, which must not happen on the loop of a test
# Litestar's younger way to declare parameters does not exist in its older versions.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*declared using deprecated"),
    pytest.mark.edge("route"),
    pytest.mark.framework("litestar"),
]


@get("/")
async def root() -> str:
    return "root"


@get("/items/{item:str}")
async def item(item: str) -> str:
    return item


@get("/numbers/{n:int}/ids/{u:uuid}")
async def typed(n: int, u: UUID) -> int:
    return n


@get("/files/{name:path}")
async def files(name: str) -> str:
    return name


@get(["/one/{x:int}", "/two/{x:int}"])
async def twice(x: int) -> int:
    return x


@post("/posted")
async def posted() -> str:
    return "posted"


@get("/sync", sync_to_thread=False)
def sync() -> str:
    return "sync"


@get("/raising")
async def raising() -> str:
    raise RuntimeError


@get("/teapot")
async def teapot() -> str:
    raise HTTPException(status_code=418)


@get("/streamed")
async def streamed() -> Stream:
    async def parts():
        for part in ("a", "b", "c"):
            yield part

    return Stream(parts())


class Orders(Controller):
    path = "/orders"

    @get("/{number:int}")
    async def order(self, number: int) -> int:
        return number


@asgi("/opaque", is_mount=True, copy_scope=True)
async def opaque(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"opaque", "more_body": False})


@asgi(["/first", "/second"], is_mount=True, copy_scope=True)
async def mounted_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await opaque.fn(scope, receive, send)


@asgi("/exact", copy_scope=True)
async def exact(scope: Scope, receive: Receive, send: Send) -> None:
    await opaque.fn(scope, receive, send)


# What is asked for, and the route and the status that are counted for it.
EXPECTED = {
    "the root": ("/", "/", "200"),
    "a parameter": ("/items/1", "/items/{item}", "200"),
    "a parameter with an encoded space": ("/items/a%20b", "/items/{item}", "200"),
    "a parameter and a slash": ("/items/1/", "/items/{item}", "200"),
    "parameters of a type": ("/numbers/3/ids/12345678-1234-5678-1234-567812345678", "/numbers/{n}/ids/{u}", "200"),
    "the rest of a path": ("/files/a/b/c.txt", "/files/{name}", "200"),
    "the first of two places": ("/one/1", "/one/{x}", "200"),
    "the second of two places": ("/two/1", "/two/{x}", "200"),
    "a path without parameters": ("/sync", "/sync", "200"),
    "an exception": ("/raising", "/raising", "500"),
    "an exception that is an answer": ("/teapot", "/teapot", "418"),
    "a stream": ("/streamed", "/streamed", "200"),
    "a class of methods": ("/v1/orders/7", "/v1/orders/{number}", "200"),
    "a router in a router": ("/v1/inner/items/7", "/v1/inner/items/{item}", "200"),
    "the root of a mount": ("/opaque", "/opaque/{path}", "200"),
    "an application without routes": ("/opaque/anything/at/all", "/opaque/{path}", "200"),
    "an application in a router": ("/v2/opaque/x", "/v2/opaque/{path}", "200"),
    "the first place of a mount": ("/first/x", "/first/{path}", "200"),
    "the root of the second place of a mount": ("/second", "/second/{path}", "200"),
    "the second place of a mount": ("/second/x/y", "/second/{path}", "200"),
    "an application at one path": ("/exact", "/exact", "200"),
    "a static file": ("/static/there.txt", "/static/{file_path}", "200"),
    "a static file that is missing": ("/static/missing.txt", "/static/{file_path}", "404"),
    "nothing that is routed": ("/nowhere", "<unmatched>", "404"),
    "parameters of another type": ("/numbers/x/ids/y", "<unmatched>", "404"),
    "a 405": ("/posted", "<unmatched>", "405"),
}


def build(folder, *more, **options) -> Litestar:
    handlers = [
        item, typed, files, twice, posted, sync, raising, teapot, streamed, opaque, mounted_twice, exact,
        Router("/v1", route_handlers=[Orders, Router("/inner", route_handlers=[item])]),
        Router("/v2", route_handlers=[opaque]),
        create_static_files_router("/static", directories=[folder]),
    ]  # fmt: skip
    return Litestar([*handlers, *more], logging_config=None, **options)


@pytest.fixture
def app(tmp_path, registry) -> Litestar:
    (tmp_path / "there.txt").write_text("there")
    return asyncmetrics.instrument(build(tmp_path, root), registry=registry)


@pytest.mark.parametrize("around", ["", "/proxied"])
@pytest.mark.parametrize("case", EXPECTED)
async def test_the_route_that_is_counted_for(case, around, app, seen, asserted):
    """The same for the bare application and behind a proxy, whose root path is not part of it."""
    path, route, status = EXPECTED[case]
    if around and case == "the root":
        pytest.skip("Litestar finds nothing at the root below a root path")
    asserted(f"GET {path} is {route}, {status}")
    assert await seen(app, f"{around}{path}", root_path=around) == (route, status)


async def test_a_mount_has_its_template_where_nothing_is_routed_at_the_root(tmp_path, registry, seen):
    """Litestar assigns a mount the template of the root, which is the empty string then."""
    app = asyncmetrics.instrument(build(tmp_path), registry=registry)
    assert await seen(app, "/v2/opaque/x") == ("/v2/opaque/{path}", "200")


async def test_a_route_registered_later_is_found(app, seen):
    @get("/later/{x:int}")
    async def later(x: int) -> int:
        return x

    app.register(later)
    assert await seen(app, "/later/1") == ("/later/{x}", "200")


async def test_a_mount_registered_later_is_found(app, seen):
    assert await seen(app, "/opaque/x") == ("/opaque/{path}", "200")
    app.register(Router("/later", route_handlers=[opaque]))
    assert await seen(app, "/later/opaque/x") == ("/later/opaque/{path}", "200")


async def test_a_middleware_that_answers_instead_of_the_handler_does_not_hide_the_route(tmp_path, registry, seen):
    """Litestar's router is outside of the middleware of the application."""

    def refusing(app):
        async def call(scope, receive, send):
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return call

    app = asyncmetrics.instrument(build(tmp_path, middleware=[refusing]), registry=registry)
    assert await seen(app, "/items/1") == ("/items/{item}", "401")


async def test_a_preflight_that_litestar_answers_early_is_counted(tmp_path, registry, seen):
    app = asyncmetrics.instrument(build(tmp_path, cors_config=CORSConfig(allow_origins=["*"])), registry=registry)
    headers = {"origin": "http://a.example", "access-control-request-method": "GET"}
    assert await seen(app, "/items/1", "OPTIONS", headers=headers) == ("<unmatched>", "204")


async def test_the_exposition_is_in_no_schema(app, ask):
    schema = (await ask(app, "/schema/openapi.json")).json()
    assert "/items/{item}" in schema["paths"]
    assert not any("metrics" in path for path in schema["paths"])


async def test_a_route_callable_wins_and_none_leaves_it_to_litestar(tmp_path, registry, seen):
    def route(scope):
        return "/chosen" if scope.get("path") == "/sync" else None

    app = asyncmetrics.instrument(build(tmp_path), registry=registry, route=route)
    assert [(await seen(app, path))[0] for path in ("/sync", "/items/1")] == ["/chosen", "/items/{item}"]


async def test_a_route_that_the_application_writes_into_the_scope_wins_over_litestars(registry, seen):
    @get("/plain")
    async def plain(scope: Scope) -> str:
        scope["asyncmetrics.route"] = "/written"
        return "plain"

    app = asyncmetrics.instrument(Litestar([plain]), registry=registry)
    assert await seen(app, "/plain") == ("/written", "200")


async def test_a_request_under_way_has_its_route(registry, ask, samples):
    found = []

    @get("/slow/{x:int}")
    async def slow(x: int) -> str:
        found.append(samples("http_server_active_requests", "method", "route"))
        return "slow"

    await ask(asyncmetrics.instrument(Litestar([slow]), registry=registry), "/slow/1")
    assert found == [{("GET", "/slow/{x}"): 1}]


async def _fail() -> None:
    raise KeyError


@get("/background")
async def background() -> Response[str]:
    return Response("done", background=BackgroundTask(_fail))


async def test_an_exception_after_the_start_is_counted_as_itself_and_not_as_litestars(registry, seen, samples):
    app = asyncmetrics.instrument(Litestar([background], logging_config=None), registry=registry)
    assert await seen(app, "/background") == ("/background", "200")
    assert samples("http_server_exceptions_total", "route", "type") == {("/background", "KeyError"): 1}


async def test_lifespan_runs_as_before(registry):
    started = []
    app = Litestar([root], on_startup=[lambda: started.append("up")], on_shutdown=[lambda: started.append("down")])
    async with asyncmetrics.instrument(app, registry=registry).lifespan():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            assert (await client.get("/")).text == "root"
    assert started == ["up", "down"]


async def test_a_websocket_has_its_template(registry, samples):
    @websocket("/rooms/{room:str}")
    async def talk(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    app = asyncmetrics.instrument(Litestar([talk], logging_config=None), registry=registry)
    async with AsyncTestClient(app) as client:
        connection = await client.websocket_connect("/rooms/1")
        with connection:
            connection.send_text("hello")
            assert connection.receive_text() == "hello"
    assert {route for (route,) in samples("websocket_server_connection_duration_seconds_count", "route")} == {
        "/rooms/{room}"
    }
