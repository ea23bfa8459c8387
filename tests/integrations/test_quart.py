"""Quart's rules, and what its own handlers of errors make of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import asyncmetrics

pytest.importorskip("quart")

from hypercorn.middleware import ProxyFixMiddleware  # noqa: E402
from quart import Blueprint, Quart, abort  # noqa: E402
from quart.views import MethodView  # noqa: E402

from tests.patience import PATIENCE_SECONDS  # noqa: E402

pytestmark = [pytest.mark.edge("route"), pytest.mark.framework("quart")]


def build(folder, **options) -> Quart:
    app = Quart("shop", static_folder=str(folder), static_url_path="/static", **options)
    for rule in ("/", "/items/<item>", "/numbers/<int:n>/halves/<float:h>", "/ids/<uuid:id>", "/files/<path:name>"):
        app.add_url_rule(rule, rule, lambda **_: "ok")
    app.add_url_rule("/slashed/", "slashed", lambda: "ok")
    app.add_url_rule("/posted", "posted", lambda: "ok", methods=["POST", "PUT"])
    app.add_url_rule("/one/<x>", "twice", lambda x: x)
    app.add_url_rule("/two/<y>", "twice", defaults={"x": "1"}, view_func=app.view_functions["twice"])
    app.add_url_rule("/view/<x>", view_func=View.as_view("view"))
    app.route("/raising")(raising)
    app.route("/teapot")(teapot)
    app.route("/streamed")(streamed)
    inner = Blueprint("inner", "inner", url_prefix="/inner")
    inner.add_url_rule("/<int:x>", "x", lambda x: str(x))
    outer = Blueprint("outer", "outer", url_prefix="/outer/<tenant>")
    outer.add_url_rule("/leaf", "leaf", lambda tenant: tenant)
    outer.register_blueprint(Blueprint("deep", "deep", url_prefix="/deep"))
    app.register_blueprint(inner)
    app.register_blueprint(inner, name="again", url_prefix="/again")
    app.register_blueprint(outer)
    return app


class View(MethodView):
    async def get(self, x: str) -> str:
        return x


async def raising():
    raise RuntimeError


async def teapot():
    abort(418)


async def streamed():
    async def parts():
        for part in (b"a", b"b", b"c"):
            yield part
            await asyncio.sleep(0)

    return parts()


# What is asked for, and the route and the status that are counted for it.
EXPECTED = {
    "the root": ("/", "/", "200"),
    "a parameter": ("/items/1", "/items/{item}", "200"),
    "a parameter with an encoded space": ("/items/a%20b", "/items/{item}", "200"),
    "parameters of a type": ("/numbers/3/halves/1.5", "/numbers/{n}/halves/{h}", "200"),
    "a uuid": ("/ids/12345678-1234-5678-1234-567812345678", "/ids/{id}", "200"),
    "the rest of a path": ("/files/a/b/c.txt", "/files/{name}", "200"),
    "a slash at the end": ("/slashed/", "/slashed/", "200"),
    "a redirect to a slash": ("/slashed", "<unmatched>", "308"),
    "the first of two places": ("/one/1", "/one/{x}", "200"),
    "a class of methods": ("/view/1", "/view/{x}", "200"),
    "a 405": ("/posted", "/posted", "405"),
    "an exception": ("/raising", "/raising", "500"),
    "an exception that is an answer": ("/teapot", "/teapot", "418"),
    "a stream": ("/streamed", "/streamed", "200"),
    "a blueprint": ("/inner/1", "/inner/{x}", "200"),
    "nothing in a blueprint": ("/inner/x", "<unmatched>", "404"),
    "the same blueprint again": ("/again/1", "/again/{x}", "200"),
    "a blueprint with a parameter": ("/outer/acme/leaf", "/outer/{tenant}/leaf", "200"),
    "a static file that is missing": ("/static/missing.txt", "/static/{filename}", "404"),
    "nothing that is routed": ("/nowhere", "<unmatched>", "404"),
    "parameters of another type": ("/numbers/x/halves/y", "<unmatched>", "404"),
}


@pytest.fixture
def app(tmp_path, registry) -> Quart:
    return asyncmetrics.instrument(build(tmp_path), registry=registry)


@pytest.mark.parametrize("around", ["", "/proxied"])
@pytest.mark.parametrize("case", EXPECTED)
async def test_the_route_that_is_counted_for(case, around, app, seen, asserted):
    """The same for the bare application and behind a proxy, whose root path is not part of it."""
    path, route, status = EXPECTED[case]
    asserted(f"GET {path} is {route}, {status}")
    assert await seen(app, f"{around}{path}", root_path=around) == (route, status)


async def test_a_405_has_the_template_and_a_preflight_too(app, seen):
    assert await seen(app, "/items/1", "DELETE") == ("/items/{item}", "405")
    assert await seen(app, "/items/1", "OPTIONS") == ("/items/{item}", "200")


async def test_a_head_request_has_the_rule_of_get(app, seen):
    assert await seen(app, "/items/1", "HEAD") == ("/items/{item}", "200")


async def test_a_function_before_the_request_that_answers_early_does_not_hide_the_rule(tmp_path, registry, seen):
    app = build(tmp_path)
    app.before_request(lambda: ("not you", 403))
    assert await seen(asyncmetrics.instrument(app, registry=registry), "/items/1") == ("/items/{item}", "403")


async def test_a_middleware_around_quart_that_answers_early_leaves_no_rule(tmp_path, registry, seen):
    async def refusing(scope, receive, send):
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = build(tmp_path)
    app.asgi_app = refusing
    assert await seen(asyncmetrics.instrument(app, registry=registry), "/items/1") == ("<unmatched>", "401")


async def test_rules_of_hosts_are_kept_apart(registry, ask, counted):
    app = Quart("shop", host_matching=True, static_folder=None)
    app.add_url_rule("/<x>", "shop", lambda x: x, host="shop.example")
    app.add_url_rule("/<y>", "other", lambda y: y, host="other.example")
    asyncmetrics.instrument(app, registry=registry)
    await ask(app, "/1")
    await ask(app, "/1", headers={"host": "other.example"})
    assert {route for _, route, _ in counted()} == {"/{x}", "/{y}"}


async def test_a_request_under_way_has_its_rule(registry, ask, samples):
    found = []
    app = Quart("shop")

    @app.route("/slow/<int:x>")
    async def slow(x):
        found.append(samples("http_server_active_requests", "method", "route"))
        return "slow"

    await ask(asyncmetrics.instrument(app, registry=registry), "/slow/1")
    assert found == [{("GET", "/slow/{x}"): 1}]


async def test_a_route_that_the_application_writes_into_the_scope_from_outside_wins(tmp_path, registry, seen):
    app = build(tmp_path)
    inner = app.asgi_app

    async def writing(scope, receive, send):
        scope["asyncmetrics.route"] = "/written"
        await inner(scope, receive, send)

    app.asgi_app = writing
    assert await seen(asyncmetrics.instrument(app, registry=registry), "/items/1") == ("/written", "200")


async def test_internals_that_moved_cost_a_label_and_no_request(app, ask, seen, samples, monkeypatch):
    monkeypatch.setattr(Quart, "create_url_adapter", _moving())
    assert await seen(app, "/items/1", "DELETE") == ("<unmatched>", "405")
    assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.quart",): 1}


def _moving():
    """Only the second use in a request, which is ours, finds the method gone."""
    real, uses = Quart.create_url_adapter, []

    def create(self, connection):
        uses.extend([connection] if connection is not None else [])
        if len(uses) > 1:
            raise AttributeError
        return real(self, connection)

    return create


async def test_an_exception_is_counted_though_the_client_has_gone(registry, counted, samples):
    app = Quart("shop")

    @app.route("/late")
    async def late():
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError

    async def receive():
        return events.pop(0)

    async def send(message):
        pass

    events = [{"type": "http.request"}, {"type": "http.disconnect"}]
    scope = {"type": "http", "method": "GET", "path": "/late", "raw_path": b"/late", "headers": [], "scheme": "http"}
    scope |= {"query_string": b"", "root_path": "", "http_version": "1.1"}
    with suppress(Exception):  # Quart raises from 0.23 on
        await asyncmetrics.instrument(app, registry=registry)(scope, receive, send)
    assert counted() == {("GET", "/late", "499"): 1}
    assert samples("http_server_exceptions_total", "route", "type") == {("/late", "RuntimeError"): 1}


async def test_all_is_counted_under_a_middleware_that_copies_the_scope(tmp_path, registry, seen, samples):
    """Such a middleware informs Quart of a proxy in front of it."""
    app = build(tmp_path)
    app.asgi_app = ProxyFixMiddleware(app.asgi_app)
    asyncmetrics.instrument(app, registry=registry)
    assert await seen(app, "/items/1") == ("/items/{item}", "200")
    assert await seen(app, "/raising") == ("/raising", "500")
    assert samples("http_server_exceptions_total", "route", "type") == {("/raising", "RuntimeError"): 1}


async def test_a_request_that_is_not_measured_does_not_change_the_one_around_it(tmp_path, registry, ask, counted):
    app = asyncmetrics.instrument(build(tmp_path), registry=registry, exclude=["/items/1"])

    async def outer(scope, receive, send):
        await ask(app, "/items/1")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    await ask(asyncmetrics.MetricsMiddleware(outer, registry=registry), "/")
    assert counted() == {("GET", "<unmatched>", "200"): 1}


async def test_what_a_background_task_does_is_not_part_of_the_request(registry, ask, counted):
    app = Quart("shop")
    done = asyncio.Event()

    @app.route("/")
    async def root():
        app.add_background_task(later)
        return "root"

    async def later():
        done.set()

    await ask(asyncmetrics.instrument(app, registry=registry), "/")
    await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    assert counted() == {("GET", "/", "200"): 1}


async def test_quarts_own_test_client_is_served_and_measured(app, counted):
    assert (await app.test_client().get("/items/1")).status_code == 200
    assert counted() == {("GET", "/items/{item}", "200"): 1}


async def test_a_websocket_has_its_rule(app, samples):
    @app.websocket("/rooms/<room>")
    async def talk(room):
        from quart import websocket

        await websocket.send(await websocket.receive())

    async with app.test_client().websocket("/rooms/1") as connection:
        await connection.send("hello")
        assert await connection.receive() == "hello"
    assert {route for (route,) in samples("websocket_server_connection_duration_seconds_count", "route")} == {
        "/rooms/{room}"
    }
