"""Scrapes at any moment, exceptions in groups, exclusions behind a root path, and faults of the guards themselves."""

from __future__ import annotations

import asyncio
import re
import sys
import threading

import anyio
import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import asyncmetrics
from tests.loops import on_every_loop
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.edge("guard")

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"done"}


async def hello(scope, receive, send):
    await send(START)
    await send(END)


async def refuse(scope, receive, send):
    await send({"type": "websocket.close"})


@pytest.fixture
def rapid_switches():
    """Let threads take turns a thousand times more often than they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_scrape_in_another_thread_never_meets_what_has_only_begun(kind, registry, measured, rapid_switches):
    """The scrape would lose the family of what is under way, 6 % of the time."""
    done = threading.Event()
    app = measured(hello if kind == "http" else refuse)

    def scrape():
        while not done.is_set():
            for family in registry.collect():
                list(family.samples)

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    async def requests():
        for _ in range(20_000):
            await app({"type": kind, "method": "GET", "path": "/"}, receive, send)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        asyncio.run(requests())
    finally:
        done.set()
        thread.join()
    errors = [s for f in registry.collect() for s in f.samples if s.name == "asyncmetrics_collector_errors_total"]
    assert errors == []


def test_what_a_cancelled_nursery_of_trio_raises_is_a_cancellation(measured, totals):
    async def app(scope, receive, send):
        async with trio.open_nursery() as nursery, trio.open_nursery() as inner:
            nursery.start_soon(trio.sleep_forever)
            inner.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            outside.cancel()
            await trio.sleep_forever()

    outside = trio.CancelScope()

    async def main():
        with outside:
            await measured(app)({"type": "http", "method": "GET", "path": "/"}, None, None)

    trio.run(main)
    assert (totals("counted"), totals("exceptions")) == ({("GET", "<unmatched>", "499"): 1}, {})


class ClientDisconnect(Exception):
    """Stands for Starlette's, which is known by its name."""


class WebSocketDisconnect(Exception):
    """Stands for Starlette's, which is known by its name and its code."""

    code = 1001


GROUPS = {
    "a client's going": (ExceptionGroup("", [ClientDisconnect()]), "499", {}),
    "a client's going, in a group in a group": (
        ExceptionGroup("", [ExceptionGroup("", [ClientDisconnect()])]),
        "499",
        {},
    ),
    "cancellations": (BaseExceptionGroup("", [asyncio.CancelledError(), asyncio.CancelledError()]), "499", {}),
    "an error": (ExceptionGroup("", [ValueError()]), "500", {("<unmatched>", "ExceptionGroup"): 1}),
    "an error beside a cancellation": (
        BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]),
        "500",
        {("<unmatched>", "BaseExceptionGroup"): 1},
    ),
}


@pytest.mark.parametrize("case", GROUPS)
async def test_a_group_is_no_fault_if_nothing_in_it_is(case, ask, measured, totals):
    error, status, exceptions = GROUPS[case]

    async def app(scope, receive, send):
        raise error

    asked = await ask(measured(app))
    assert asked.error is error
    assert (totals("counted"), totals("exceptions")) == ({("GET", "<unmatched>", status): 1}, exceptions)


class Unseen(Exception):
    """An exception that does not let itself be looked at."""

    def __getattribute__(self, name):
        raise RuntimeError


class Uncoded(Exception):
    """One that looks like a framework's, with a code that is none."""

    code = [1000]


Uncoded.__name__ = "WebSocketDisconnect"
ODD = {"unseen": Unseen, "uncoded": Uncoded}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("odd", ODD)
async def test_an_exception_that_cannot_be_looked_at_is_counted_and_raised_again(odd, kind, ask, measured, totals):
    error = ODD[odd]()

    async def app(scope, receive, send):
        raise error

    asked = await ask(measured(app), type=kind)
    assert asked.error is error
    exceptions = {"http": "exceptions", "websocket": "websocket exceptions"}[kind]
    assert totals(exceptions) == {("<unmatched>", type(error).__name__): 1}
    assert sum(totals("active").values()) == sum(totals("open").values()) == 0


@pytest.mark.parametrize("end", [ClientDisconnect, ValueError])
async def test_a_group_may_be_as_deep_as_it_likes(end, ask, measured, totals):
    error = end()
    for _ in range(3000):
        error = ExceptionGroup("", [error])

    async def app(scope, receive, send):
        raise error

    assert (await ask(measured(app))).error is error
    assert sum(totals("exceptions").values()) == (end is ValueError)


CONNECTIONS = {
    "the client's going": (ExceptionGroup("", [WebSocketDisconnect()]), "1001", {}),
    "an error": (ExceptionGroup("", [ValueError()]), "1006", {("/socket", "ExceptionGroup"): 1}),
}


@pytest.mark.parametrize("case", CONNECTIONS)
async def test_a_group_that_leaves_a_connection_is_no_fault_if_nothing_in_it_is(case, connect, measured, totals):
    error, code, exceptions = CONNECTIONS[case]

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        raise error

    asked = await connect(measured(app))
    assert asked.error is error
    assert totals("connected") == {("/socket", "accepted", code): 1}
    assert totals("websocket exceptions") == exceptions


EXCLUSIONS = {"a path": "/health", "a path with a slash": "/health/", "a pattern": re.compile("/hea.*")}
SCOPES = {
    "of a proxy": {"path": "/proxied/health", "root_path": "/proxied"},
    "of a proxy that has taken it off": {"path": "/health", "root_path": "/proxied"},
    "that only looks like the path's": {"path": "/health", "root_path": "/hea"},
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("exclusion", EXCLUSIONS)
async def test_a_path_is_excluded_whatever_the_root_path(exclusion, scope, ask, measured, totals):
    await ask(measured(hello, exclude=[EXCLUSIONS[exclusion]]), **SCOPES[scope])
    assert totals("counted") == {}


async def test_a_path_is_excluded_from_a_mounted_application(ask, registry, totals):
    async def health(request):
        return PlainTextResponse("well")

    inner = Starlette(routes=[Route("/health", health), Route("/other", health)])
    outer = Starlette(routes=[Mount("/inner", asyncmetrics.instrument(inner, registry=registry, exclude=["/health"]))])
    for path in ("/inner/health", "/inner/other"):
        await ask(outer, path)
    assert totals("counted") == {("GET", "/inner/other", "200"): 1}


class Raising:
    @property
    def router(self):
        raise RuntimeError


async def test_an_application_that_cannot_be_looked_into_costs_a_label_and_no_request(ask, measured, totals):
    async def app(scope, receive, send):
        scope["app"] = Raising()
        await hello(scope, receive, send)

    asked = await ask(measured(app))
    assert asked.error is None and asked.sent[1]["body"] == b"done"
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}
    assert totals("internal") == {"middleware.route": 1}


async def test_a_registry_that_cannot_count_faults_harms_no_response(ask, registry, measured, totals, monkeypatch):
    app = measured(hello, route=lambda scope: 1 / 0)
    with monkeypatch.context() as patch:
        patch.setattr(registry._self_metrics.__class__, "count_internal_error", lambda *_: 1 / 0)
        asked = await ask(app)
    assert asked.error is None and asked.sent[1]["body"] == b"done"
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


async def test_a_client_that_goes_while_the_body_is_sent_leaves_the_status_as_sent(ask, measured, totals):
    def gone(message):
        if message is END:
            raise ConnectionResetError

    asked = await ask(measured(hello), send=gone)
    assert isinstance(asked.error, ConnectionResetError)
    assert (totals("counted"), totals("exceptions")) == ({("GET", "<unmatched>", "200"): 1}, {})


async def test_what_is_sent_after_the_end_counts_nothing_again(ask, measured, totals):
    """It is the server's to refuse."""

    async def app(scope, receive, send):
        await hello(scope, receive, send)
        await send(END)

    await ask(measured(app))
    assert totals("counted") == {("GET", "<unmatched>", "200"): 1}


@on_every_loop
async def test_many_at_once_half_of_them_cancelled_leave_nothing_under_way(measured, totals):
    async def app(scope, receive, send):
        await (anyio.sleep_forever() if scope["n"] % 2 else anyio.sleep(0.01))
        await hello(scope, receive, send)

    async def send(message):
        pass

    wrapped = measured(app)
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                scope = {"type": "http", "method": "GET", "path": "/", "n": number}
                tasks.start_soon(wrapped, scope, None, send)
            while totals("counted") != {("GET", "<unmatched>", "200"): 500}:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert sum(totals("active").values()) == 0
    assert totals("counted") == {("GET", "<unmatched>", "200"): 500, ("GET", "<unmatched>", "499"): 500}
    assert totals("exceptions") == {}
