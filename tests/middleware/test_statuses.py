"""Which status is recorded, and what counts as an exception."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

pytestmark = pytest.mark.edge("status")

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"done"}
MORE = {"type": "http.response.body", "body": b"part", "more_body": True}


class ClientDisconnect(Exception):
    """Stands for Starlette's, which is known by its name."""


def sending(*messages, error=None):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


def after_disconnect(*messages, error=None):
    inner = sending(*messages, error=error)

    async def app(scope, receive, send):
        await receive()
        await receive()
        await inner(scope, receive, send)

    return app


STATUSES = {
    "as it was sent": (sending({**START, "status": 201}, END), "201"),
    "an HTTPStatus": (sending({**START, "status": HTTPStatus.NOT_FOUND}, END), "404"),
    "messages before the start": (sending({"type": "http.response.debug"}, START, END), "200"),
    "an exception before the start": (sending(error=ValueError()), "500"),
    "an exception after the start": (sending(START, error=ValueError()), "200"),
    "an exception after the end": (sending(START, END, error=ValueError()), "200"),
    "nothing was started": (sending(), "500"),
    "started and left": (sending(START), "200"),
    "nothing was started for a client that went": (after_disconnect(), "499"),
    "an answer to a client that went": (after_disconnect(START, END), "499"),
    "cancelled before the start": (sending(error=asyncio.CancelledError()), "499"),
    "cancelled after the start": (sending(START, error=asyncio.CancelledError()), "200"),
    "dropped before the start": (sending(error=GeneratorExit()), "499"),
    "ClientDisconnect": (after_disconnect(error=ClientDisconnect()), "499"),
    "a status that is none": (sending({**START, "status": 1000}, END), "_OTHER"),
    "no status at all": (sending({"type": "http.response.start"}, END), "_OTHER"),
    "a status of None": (sending({**START, "status": None}, END), "_OTHER"),
    "a status that nothing can be looked up by": (sending({**START, "status": [200]}, END), "_OTHER"),
    "a status that is a text": (sending({**START, "status": "200"}, END), "_OTHER"),
    "a status beyond every number": (sending({**START, "status": 10**100}, END), "_OTHER"),
}


@pytest.mark.parametrize("case", STATUSES)
async def test_the_status_recorded_is(case, ask, measured, totals):
    app, status = STATUSES[case]
    await ask(measured(app))
    assert totals("counted") == {("GET", "<unmatched>", status): 1}


EXCEPTIONS = {
    "before the start": (sending(error=ValueError()), {("<unmatched>", "ValueError"): 1}),
    "after the start": (sending(START, error=KeyError()), {("<unmatched>", "KeyError"): 1}),
    "in the background": (sending(START, END, error=OSError()), {("<unmatched>", "OSError"): 1}),
    "a BaseException": (sending(error=KeyboardInterrupt()), {("<unmatched>", "KeyboardInterrupt"): 1}),
    "cancellation": (sending(error=asyncio.CancelledError()), {}),
    "being dropped": (sending(error=GeneratorExit()), {}),
    "the client's going": (after_disconnect(error=ClientDisconnect()), {}),
    "none": (sending(START, END), {}),
}


@pytest.mark.parametrize("case", EXCEPTIONS)
async def test_the_exceptions_counted_are(case, ask, measured, totals):
    app, expected = EXCEPTIONS[case]
    await ask(measured(app))
    assert totals("exceptions") == expected


async def test_a_disconnect_after_the_response_excuses_no_exception(ask, measured, totals):
    """Servers report a disconnect once a response is complete. An OSError that follows is not one of that client."""

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(END)
        assert (await receive())["type"] == "http.disconnect"
        raise ConnectionRefusedError("the database is down")

    await ask(measured(app))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}
    assert totals("exceptions") == {("<unmatched>", "ConnectionRefusedError"): 1}


@pytest.mark.parametrize("case", EXCEPTIONS)
async def test_what_the_application_raises_is_raised_again(case, ask, measured):
    app, _ = EXCEPTIONS[case]
    assert type((await ask(measured(app))).error) is type((await ask(app)).error)


async def test_a_failed_send_is_a_disconnect_and_no_exception(ask, measured, totals):
    def gone(message):
        raise BrokenPipeError

    asked = await ask(measured(sending(START, END)), send=gone)
    assert isinstance(asked.error, BrokenPipeError)
    assert (totals("counted"), totals("exceptions")) == ({("GET", "<unmatched>", "499"): 1}, {})


def refusing(server):
    """Make a server's ``send`` that raises for what it does not take."""

    def send(message):
        if server(message):
            raise ValueError("refused")

    return send


def trying(*messages):
    async def app(scope, receive, send):
        for message in messages:
            try:
                await send(message)
            except ValueError:
                pass

    return app


async def test_a_second_start_that_the_server_refuses_changes_nothing(ask, measured, totals):
    """An error handler that does not know that the response has begun sends one."""
    failed = {**START, "status": 500}
    await ask(measured(trying(START, failed, END)), send=refusing(lambda message: message is failed))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


async def test_a_first_start_that_the_server_refuses_is_none(ask, measured, totals):
    odd = {**START, "headers": [("odd",)]}
    app = measured(trying(odd, {**START, "status": 502}, END))
    await ask(app, send=refusing(lambda message: message is odd))
    assert totals("counted") == {("GET", "<unmatched>", "502"): 1}


async def test_a_disconnect_after_the_response_changes_nothing(ask, measured, totals):
    async def app(scope, receive, send):
        await send(START)
        await send(END)
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    await ask(measured(app))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


ENDINGS = {
    "the last body": [START, MORE, END],
    "trailers": [{**START, "trailers": True}, END, {"type": "http.response.trailers", "headers": []}],
    "trailers after a file": [
        {**START, "trailers": True},
        {"type": "http.response.pathsend", "path": "/tmp/x"},
        {"type": "http.response.trailers", "headers": []},
    ],
    "trailers in parts": [
        {**START, "trailers": True},
        END,
        {"type": "http.response.trailers", "headers": [], "more_trailers": True},
        {"type": "http.response.trailers", "headers": []},
    ],
    "pathsend": [START, {"type": "http.response.pathsend", "path": "/tmp/x"}],
    "zerocopysend": [START, {"type": "http.response.zerocopysend", "file": 3}],
}


@pytest.mark.parametrize("case", ENDINGS)
async def test_the_response_ends_with(case, ask, measured, totals):
    """Seen from a task after the response: nothing is under way any more, and the request is counted."""
    seen = []

    async def app(scope, receive, send):
        for message in ENDINGS[case]:
            seen.append(sum(totals("counted").values()))
            await send(message)
        seen.append(sum(totals("counted").values()))
        seen.append(sum(totals("active").values()))

    await ask(measured(app))
    assert seen == [0] * len(ENDINGS[case]) + [1, 0]


async def test_messages_pass_unchanged(ask, measured):
    messages = [{**START, "trailers": True}, MORE, END, {"type": "http.response.trailers", "headers": [], "x": 1}]
    asked = await ask(measured(sending(*messages)))
    assert all(sent is message for sent, message in zip(asked.sent, messages, strict=True))


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"]
)
async def test_a_method_of_http_is_a_label(method, ask, measured, totals):
    await ask(measured(sending(START, END)), method=method)
    assert totals("counted") == {(method, "<unmatched>", "200"): 1}


async def test_ten_thousand_invented_methods_and_paths_are_one_series(ask, measured, totals):
    app = measured(sending(START, END))
    for number in range(10_000):
        await ask(app, f"/invented/{number}", f"EVIL{number}")
    assert totals("counted") == {("_OTHER", "<unmatched>", "200"): 10_000}


@pytest.mark.parametrize("method", [None, b"GET", ["GET"], 7, "", "GET "], ids=repr)
async def test_a_value_that_is_no_method_is_counted_as_other(method, ask, measured, totals):
    await ask(measured(sending(START, END)), method=method)
    assert totals("counted") == {("_OTHER", "<unmatched>", "200"): 1}


async def test_a_method_in_lower_case_is_none(ask, measured, totals):
    await ask(measured(sending(START, END)), method="get")
    assert totals("counted") == {("_OTHER", "<unmatched>", "200"): 1}
