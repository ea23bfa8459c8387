"""The labels that users add, those of the context, and those of OpenTelemetry's conventions."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from asyncmetrics.errors import DefinitionError, DuplicateMetricError

pytestmark = pytest.mark.edge("label")

HTTP = (
    "http_server_request_duration_seconds_count",
    "http_server_exceptions_total",
    "http_server_time_to_first_byte_seconds_count",
    "http_server_request_body_size_bytes_count",
    "http_server_response_body_size_bytes_count",
    "http_server_background_duration_seconds_count",
)
WEBSOCKET = (
    "websocket_server_connection_duration_seconds_count",
    "websocket_server_messages_total",
    "websocket_server_message_bytes_total",
    "websocket_server_exceptions_total",
)
UNDER_WAY = (
    "http_server_active_requests",
    "http_server_oldest_active_request_seconds",
    "websocket_server_active_connections",
)
EVERYTHING = {"first_byte": True, "body_sizes": True, "background": True}


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def failing(scope, receive, send):
    """Do all that is measured: answer, or exchange messages, and fail."""
    await receive()
    if scope["type"] == "http":
        await hello(scope, receive, send)
    else:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "x"})
        await send({"type": "websocket.close"})
    raise ValueError


@pytest.fixture
def labels_of_all(ask, connect, measured, labels):
    """Serve a request and a websocket that do all that is measured, and read the labels of every family."""

    async def read(names, **options):
        seen = {}

        async def app(scope, receive, send):
            seen.update({name: labels(name) for name in UNDER_WAY if not seen.get(name)})
            await failing(scope, receive, send)

        wrapped = measured(app, **EVERYTHING, **options)
        await ask(wrapped)
        await connect(wrapped)
        return {name: seen.get(name) or labels(name) for name in names}

    return read


async def test_a_static_label_is_on_every_family(labels_of_all):
    found = await labels_of_all(HTTP + WEBSOCKET + UNDER_WAY, extra_labels={"service": "shop"})
    assert {name: {one.get("service") for one in all_} for name, all_ in found.items()} == {
        name: {"shop"} for name in HTTP + WEBSOCKET + UNDER_WAY
    }


async def test_a_label_by_a_callable_on_the_scope_is_on_every_family(labels_of_all):
    found = await labels_of_all(HTTP + WEBSOCKET + UNDER_WAY, extra_labels={"kind": lambda scope: scope["type"]})
    expected = {name: {"http"} for name in HTTP} | {name: {"websocket"} for name in WEBSOCKET}
    assert {name: {one["kind"] for one in found[name]} for name in HTTP + WEBSOCKET} == expected
    assert all("kind" in one for name in UNDER_WAY for one in found[name])


async def test_a_callable_sees_what_the_application_wrote_into_the_scope(ask, measured, labels):
    async def app(scope, receive, send):
        scope["user_kind"] = "admin"
        await hello(scope, receive, send)

    await ask(measured(app, extra_labels={"user": lambda scope: scope.get("user_kind", "nobody")}))
    assert labels(HTTP[0])[0]["user"] == "admin"


async def test_a_value_that_is_no_text_is_written_as_one(ask, measured, labels):
    await ask(measured(hello, extra_labels={"shard": lambda scope: 7}))
    assert labels(HTTP[0])[0]["shard"] == "7"


async def test_extra_labels_come_last_in_their_order(ask, measured, labels):
    await ask(measured(hello, extra_labels={"b": "1", "a": lambda scope: "2"}))
    assert list(labels(HTTP[0])[0]) == ["method", "route", "status", "b", "a"]


async def test_a_callable_that_fails_costs_its_label_and_harms_no_response(ask, measured, labels, totals):
    options = {"extra_labels": {"bad": lambda scope: 1 / 0, "good": "kept"}}
    asked = await ask(measured(hello, **options))
    assert (asked.error, asked.sent[1]["body"]) == (None, b"hello")
    assert labels(HTTP[0]) == [{"method": "GET", "route": "<unmatched>", "status": "200", "bad": "", "good": "kept"}]
    assert totals("internal")["middleware.extra_labels"] >= 1


async def test_a_callable_that_fails_harms_no_scrape(ask, measured, totals):
    async def app(scope, receive, send):
        assert totals("active") == {("GET", "<pending>"): 1}
        await hello(scope, receive, send)

    assert (await ask(measured(app, extra_labels={"bad": lambda scope: 1 / 0}))).error is None


async def test_a_callable_that_fails_harms_no_websocket(connect, measured, totals):
    asked = await connect(measured(failing, extra_labels={"bad": lambda scope: 1 / 0}))
    assert type(asked.error) is ValueError
    assert totals("connected") == {("/socket", "accepted", "1000"): 1}


@pytest.mark.parametrize("name", ["route", "le", "not a name", "__mine"])
def test_an_extra_label_that_cannot_be_is_refused(name, measured):
    with pytest.raises(DefinitionError, match=name):
        measured(hello, extra_labels={name: "x"})


def test_other_labels_on_the_same_registry_are_refused(measured):
    measured(hello, extra_labels={"service": "a"})
    measured(hello, extra_labels={"service": "b"})
    with pytest.raises(DuplicateMetricError):
        measured(hello)


async def test_applications_with_other_values_share_the_metrics(ask, measured, labels):
    for service in ("a", "b"):
        await ask(measured(hello, extra_labels={"service": service}))
    assert [one["service"] for one in labels(HTTP[0])] == ["a", "b"]
    assert [one["service"] for one in labels("http_server_active_requests")] == ["a", "b"]


async def test_a_context_label_is_on_every_family_but_of_what_is_under_way(labels_of_all):
    with asyncmetrics.bound_labels(tenant="acme"):
        found = await labels_of_all(HTTP + WEBSOCKET + UNDER_WAY, context_labels=["tenant"])
    assert {name: {one.get("tenant") for one in all_} for name, all_ in found.items()} == {
        **{name: {"acme"} for name in HTTP + WEBSOCKET},
        **{name: {None} for name in UNDER_WAY},
    }


@pytest.mark.parametrize(("kind", "method"), [("active", ("GET",)), ("open", ())])
async def test_what_has_ended_is_none_under_way_whatever_the_context_said(kind, method, ask, connect, measured, totals):
    with asyncmetrics.bound_labels(tenant="acme"):
        await (ask if kind == "active" else connect)(
            measured(hello, context_labels=["tenant"]), **{"asyncmetrics.route": "/x"}
        )
    assert list(totals(kind).values()) == [0]


async def test_a_context_label_may_be_bound_by_the_application(ask, measured, labels):
    async def app(scope, receive, send):
        asyncmetrics.bind_labels(tenant=scope["path"][1:])
        await hello(scope, receive, send)

    await ask(measured(app, context_labels=["tenant"]), "/acme")
    assert labels(HTTP[0])[0]["tenant"] == "acme"


async def test_a_context_label_that_fails_harms_no_response(ask, measured, totals):
    with asyncmetrics.bound_labels(tenant=lambda: 1 / 0):
        asked = await ask(measured(hello, context_labels=["tenant"]))
    assert (asked.error, sum(totals("counted").values())) == (None, 1)
    assert totals("internal") == {"context_labels": 1}


OPENTELEMETRY = {
    "http_server_request_duration_seconds_count": {
        "http_request_method": "GET",
        "http_route": "<unmatched>",
        "http_response_status_code": "200",
        "url_scheme": "http",
    },
    "http_server_exceptions_total": {"http_route": "<unmatched>", "error_type": "ValueError", "url_scheme": "http"},
    "http_server_response_body_size_bytes_count": {
        "http_request_method": "GET",
        "http_route": "<unmatched>",
        "url_scheme": "http",
    },
    "http_server_background_duration_seconds_count": {"http_route": "<unmatched>", "url_scheme": "http"},
    "websocket_server_messages_total": {"http_route": "/socket", "direction": "sent", "url_scheme": "ws"},
    "http_server_active_requests": {
        "http_request_method": "GET",
        "http_route": "<pending>",
        "url_scheme": "http",
    },
    "websocket_server_active_connections": {"http_route": "/socket", "url_scheme": "ws"},
}


@pytest.mark.parametrize("name", OPENTELEMETRY)
async def test_the_labels_by_opentelemetrys_conventions_are(name, labels_of_all):
    found = await labels_of_all([name], conventions="opentelemetry")
    assert found[name] == [OPENTELEMETRY[name]]


async def test_an_invented_scheme_is_no_label(ask, measured, labels):
    await ask(measured(hello, conventions="opentelemetry"), scheme="evil")
    assert labels(HTTP[0])[0]["url_scheme"] == "_OTHER"


async def test_a_scope_without_a_scheme_is_http(measured, labels):
    async def send(message):
        pass

    await measured(hello, conventions="opentelemetry")({"type": "http", "method": "GET", "path": "/"}, None, send)
    assert labels(HTTP[0])[0]["url_scheme"] == "http"


def test_conventions_that_are_none_are_refused(measured):
    with pytest.raises(DefinitionError, match="conventions: expected 'prometheus' or 'opentelemetry', got 'otel'"):
        measured(hello, conventions="otel")


async def answer(request):
    return PlainTextResponse("ok")


BUILDERS = {"starlette": lambda: Starlette(routes=[Route("/", answer)]), "fastapi": FastAPI}


@pytest.mark.parametrize("framework", BUILDERS)
async def test_instrument_passes_every_option_on(framework, ask, registry, labels):
    app = asyncmetrics.instrument(
        BUILDERS[framework](),
        registry=registry,
        extra_labels={"service": "shop"},
        context_labels=["tenant"],
        conventions="opentelemetry",
        **EVERYTHING,
    )
    await ask(app)
    for name in ("http_server_response_body_size_bytes_count", "http_server_time_to_first_byte_seconds_count"):
        assert set(labels(name)[0]) == {"http_request_method", "http_route", "url_scheme", "service", "tenant"}
    assert labels("http_server_background_duration_seconds_count") != []
