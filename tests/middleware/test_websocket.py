"""How websockets come out, what passes over them, and that they are let alone."""

from __future__ import annotations

import asyncio
from time import perf_counter

import anyio
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

import asyncmetrics

pytestmark = pytest.mark.edge("websocket")

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
DENY = {"type": "websocket.http.response.start", "status": 401, "headers": []}
DENIED = {"type": "websocket.http.response.body", "body": b"no"}
GONE = "until the client goes"


def playing(*steps):
    """Make an application that sends messages, raises exceptions, and waits for the client to go."""

    async def app(scope, receive, send):
        await receive()
        for step in steps:
            if step is GONE:
                while (await receive())["type"] != "websocket.disconnect":
                    pass
            elif isinstance(step, BaseException):
                raise step
            else:
                await send(step)

    return app


OUTCOMES = {
    "closed by the client without a code": (playing(ACCEPT, GONE), "accepted", "1005"),
    "closed by the application": (playing(ACCEPT, CLOSE), "accepted", "1000"),
    "closed by the application with a code": (playing(ACCEPT, {**CLOSE, "code": 1011}), "accepted", "1011"),
    "closed by the application, then by the client": (
        playing(ACCEPT, {**CLOSE, "code": 1003}, GONE),
        "accepted",
        "1003",
    ),
    "closed with a code of a framework": (playing(ACCEPT, {**CLOSE, "code": 3999}), "accepted", "3xxx"),
    "closed with a code of the application": (playing(ACCEPT, {**CLOSE, "code": 4404}), "accepted", "4xxx"),
    "closed with a code that is none": (playing(ACCEPT, {**CLOSE, "code": 77}), "accepted", "_OTHER"),
    "closed with what is no number": (playing(ACCEPT, {**CLOSE, "code": "1000"}), "accepted", "_OTHER"),
    "left open": (playing(ACCEPT), "accepted", "1006"),
    "failed": (playing(ACCEPT, ValueError()), "accepted", "1006"),
    "refused": (playing(CLOSE), "rejected_403", ""),
    "refused with a response": (playing(DENY, DENIED), "rejected_401", ""),
    "refused with a response in parts": (playing(DENY, {**DENIED, "more_body": True}, DENIED), "rejected_401", ""),
    "refused with a response that was left": (playing(DENY), "rejected_401", ""),
    "refused with a status that is none": (playing({**DENY, "status": 7}, DENIED), "rejected__OTHER", ""),
    "neither accepted nor refused": (playing(), "rejected_500", ""),
    "failed before it was accepted": (playing(ValueError()), "rejected_500", ""),
    "gone before it was accepted": (playing(GONE), "abandoned", ""),
    "cancelled before it was accepted": (playing(asyncio.CancelledError()), "abandoned", ""),
    "WebSocketDisconnect(1001) of which nobody has heard": (
        playing(ACCEPT, WebSocketDisconnect(1001)),
        "accepted",
        "1001",
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
async def test_a_connection_comes_out_as(case, connect, measured, totals):
    app, outcome, close_code = OUTCOMES[case]
    await connect(measured(app))
    assert totals("connected") == {("/socket", outcome, close_code): 1}


@pytest.mark.parametrize("code", [*range(1000, 1016), 3000, 3999, 4000, 4999])
async def test_the_code_that_a_client_closes_with_is_a_bounded_label(code, connect, measured, totals):
    await connect(measured(playing(ACCEPT, GONE)), {"type": "websocket.disconnect", "code": code})
    label = str(code) if code < 3000 else f"{code // 1000}xxx"
    assert totals("connected") == {("/socket", "accepted", label): 1}


async def test_ten_thousand_invented_close_codes_are_few_series(connect, measured, totals):
    app = measured(playing(ACCEPT, GONE))
    for code in range(10_000):
        await connect(app, {"type": "websocket.disconnect", "code": code})
    assert len(totals("connected")) <= 16 + 2 + 2


EXCEPTIONS = {
    "an exception": (playing(ACCEPT, ValueError()), {("/socket", "ValueError"): 1}),
    "an exception before it was accepted": (playing(KeyError()), {("/socket", "KeyError"): 1}),
    "WebSocketDisconnect(1000)": (playing(ACCEPT, WebSocketDisconnect(1000)), {}),
    "WebSocketDisconnect(1001)": (playing(ACCEPT, GONE, WebSocketDisconnect(1001)), {}),
    "WebSocketDisconnect of a plain close": (playing(ACCEPT, GONE, WebSocketDisconnect(1005)), {}),
    "WebSocketDisconnect of a server that restarts": (playing(ACCEPT, GONE, WebSocketDisconnect(1012)), {}),
    "WebSocketDisconnect(1011)": (
        playing(ACCEPT, GONE, WebSocketDisconnect(1011)),
        {("/socket", "WebSocketDisconnect"): 1},
    ),
    "cancellation": (playing(ACCEPT, asyncio.CancelledError()), {}),
    "the client's going": (playing(ACCEPT, GONE, OSError()), {}),
    "none": (playing(ACCEPT, CLOSE), {}),
}


@pytest.mark.parametrize("case", EXCEPTIONS)
async def test_the_exceptions_counted_of_a_connection_are(case, connect, measured, totals):
    app, expected = EXCEPTIONS[case]
    await connect(measured(app))
    assert totals("websocket exceptions") == expected


@pytest.mark.parametrize("case", EXCEPTIONS)
async def test_what_a_connection_raises_is_raised_again(case, connect, measured):
    app, _ = EXCEPTIONS[case]
    assert (await connect(measured(app))).error is (await connect(app)).error


async def test_a_failed_send_is_a_disconnect_and_no_exception(connect, measured, totals):
    def gone(message):
        if message["type"] == "websocket.send":
            raise BrokenPipeError

    app = playing(ACCEPT, {"type": "websocket.send", "text": "x"})
    asked = await connect(measured(app), send=gone)
    assert isinstance(asked.error, BrokenPipeError)
    assert (totals("connected"), totals("websocket exceptions")) == ({("/socket", "accepted", "1006"): 1}, {})


async def test_messages_are_counted_by_direction(connect, measured, totals):
    received = {"type": "websocket.receive", "text": "x"}
    sent = {"type": "websocket.send", "text": "x"}
    await connect(measured(playing(ACCEPT, sent, GONE)), received, received)
    assert totals("messages") == {("/socket", "received"): 2, ("/socket", "sent"): 1}


PAYLOADS = {
    "text": ({"text": "abc"}, 3),
    "text beyond ASCII": ({"text": "äö€"}, 7),
    "half a character": ({"text": "\ud800"}, 3),
    "bytes": ({"bytes": b"abcd"}, 4),
    "bytes beside a text of None": ({"bytes": b"abcd", "text": None}, 4),
    "text beside bytes of None": ({"bytes": None, "text": "ab"}, 2),
    "nothing at all": ({}, 0),
}


@pytest.mark.parametrize("case", PAYLOADS)
async def test_the_bytes_of_a_message_are_those_of(case, connect, measured, totals):
    payload, size = PAYLOADS[case]
    app = playing(ACCEPT, {"type": "websocket.send", **payload}, GONE)
    await connect(measured(app), {"type": "websocket.receive", **payload})
    assert totals("message bytes") == {("/socket", "received"): size, ("/socket", "sent"): size}


async def test_messages_are_counted_while_the_connection_is_open(connect, measured, totals):
    async def app(scope, receive, send):
        await receive()
        await send(ACCEPT)
        await receive()
        assert totals("messages") == {("/socket", "received"): 1}

    asked = await connect(measured(app), {"type": "websocket.receive", "text": "x"})
    assert asked.error is None


async def test_a_connection_is_active_until_it_is_closed(connect, measured, totals):
    seen = []

    async def app(scope, receive, send):
        del scope["asyncmetrics.route"]
        seen.append(totals("open"))
        scope["asyncmetrics.route"] = "/socket"
        await send(ACCEPT)
        seen.append(totals("open"))
        await send(CLOSE)
        seen.append(totals("open"))

    assert (await connect(measured(app))).error is None
    assert seen == [{"<pending>": 1}, {"/socket": 1}, {"/socket": 0}]


async def test_a_refusal_in_parts_ends_with_the_last(connect, measured, totals):
    seen = []

    async def app(scope, receive, send):
        for message in (DENY, {**DENIED, "more_body": True}, DENIED):
            await send(message)
            seen.append(sum(totals("connected").values()))

    await connect(measured(app))
    assert seen == [0, 0, 1]


async def test_the_duration_is_that_of_the_connection(connect, measured, registry):
    times = [perf_counter()]

    async def app(scope, receive, send):
        await send(ACCEPT)
        await anyio.sleep(0.05)
        await send(CLOSE)
        times.append(perf_counter())
        await anyio.sleep(0.05)

    await connect(measured(app))
    labels = {"route": "/socket", "outcome": "accepted", "close_code": "1000"}
    seconds = registry.get_sample_value("websocket_server_connection_duration_seconds_sum", labels)
    assert 0.05 <= seconds <= times[1] - times[0]


async def test_no_family_of_websockets_has_a_method(connect, measured, registry):
    await connect(measured(playing(ACCEPT, {"type": "websocket.send", "text": "x"}, CLOSE)))
    samples = [s for f in registry.collect() if f.name.startswith("websocket") for s in f.samples]
    assert samples and not [s for s in samples if "method" in s.labels]


async def test_a_websocket_is_no_request(connect, measured, totals):
    await connect(measured(playing(ACCEPT, CLOSE)))
    assert (totals("counted"), totals("active")) == ({}, {})


async def test_messages_pass_unchanged(connect, measured):
    steps = [ACCEPT, {"type": "websocket.send", "text": "x", "y": 1}, CLOSE]
    asked = await connect(measured(playing(*steps)))
    assert all(sent is step for sent, step in zip(asked.sent, steps, strict=True))


async def test_a_websocket_that_is_excluded_is_not_counted(connect, measured, totals):
    await connect(measured(playing(ACCEPT, CLOSE), exclude=["/socket"]))
    assert totals("connected") == {}


async def test_a_websocket_that_is_measured_further_out_is_counted_once(connect, measured, totals):
    await connect(measured(measured(playing(ACCEPT, CLOSE))))
    assert sum(totals("connected").values()) == 1


async def test_an_odd_message_is_counted_as_a_fault_and_passes(connect, measured, totals):
    app = playing(ACCEPT, {"type": "websocket.send", "text": 5}, GONE)
    asked = await connect(measured(app), {"type": "websocket.receive", "bytes": 5})
    assert (asked.error, asked.sent[1]["text"], totals("internal")) == (None, 5, {"middleware.websocket": 2})


async def test_a_fault_in_a_metric_is_counted_and_harms_no_connection(connect, measured, totals, monkeypatch):
    app = measured(playing(ACCEPT, CLOSE))
    monkeypatch.setattr(asyncmetrics.Histogram, "labels", lambda *_: 1 / 0)
    assert (await connect(app)).error is None
    assert totals("internal") == {"middleware.record": 1}


async def test_a_fault_while_an_exception_is_counted_harms_no_connection(connect, measured, totals, monkeypatch):
    app = measured(playing(ACCEPT, ValueError()))
    monkeypatch.setattr(asyncmetrics.Counter, "labels", lambda *_: 1 / 0)
    assert type((await connect(app)).error) is ValueError
    assert totals("internal") == {"middleware.record": 1}


async def echo(websocket: WebSocket, x: str = "") -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def starlette_app():
    return Starlette(
        routes=[WebSocketRoute("/echo/{x}", echo), Mount("/sub/{y}", routes=[WebSocketRoute("/in/{z:int}", echo)])]
    )


def fastapi_app():
    router = APIRouter(prefix="/sub/{y}")
    router.websocket("/in/{z}")(echo)
    app = FastAPI()
    app.websocket("/echo/{x}")(echo)
    app.include_router(router)
    return app


ROUTED = {"starlette": starlette_app, "fastapi": fastapi_app}


@pytest.mark.parametrize("framework", ROUTED)
@pytest.mark.parametrize(
    ("path", "route"),
    [("/echo/1", "/echo/{x}"), ("/sub/1/in/2", "/sub/{y}/in/{z}"), ("/nowhere", "<unmatched>")],
)
async def test_the_route_of_a_websocket_is_its_template(framework, path, route, ask, registry, totals):
    app = asyncmetrics.instrument(ROUTED[framework](), registry=registry)
    events = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "x"}]
    await ask(app, path, type="websocket", scheme="ws", events=events)
    assert {key[0] for key in totals("connected")} == {route}
    assert {key[0] for key in totals("messages")} == ({route} if route != "<unmatched>" else set())
