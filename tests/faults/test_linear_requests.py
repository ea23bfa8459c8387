"""Megabytes in a request, an application's messages or a label cost time that grows with their length, and no faster.

An entry of a table makes an input of ``n`` parts, as in `test_linear_time`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Gauge,
    MetricsMiddleware,
    bind_labels,
    bound_labels,
    clear_labels,
    make_asgi_app,
    make_wsgi_app,
    unbind_labels,
)
from asyncmetrics.exposition.latest import choose_encoder, gzip_accepted

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

Call = Callable[[], object]

# Of a request: its headers and, under the empty name, its query.
REQUESTS: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "ranges": (b"accept", lambda n: b"text/plain;version=0.0.4;q=0.5," * n),
    "parameters": (b"accept", lambda n: b"text/plain" + b"; a = b" * n),
    "parameters without values": (b"accept", lambda n: b"text/plain" + b";a" * n),
    "quality": (b"accept", lambda n: b"text/plain;q=0." + b"1" * n),
    "blanks in Accept": (b"accept", lambda n: b"text/plain;" + b" \t" * n + b"q" + b" " * n + b"x"),
    "quotes": (b"accept", lambda n: b'"' * n),
    "quotes in parameters": (b"accept", lambda n: b';a="' * n),
    "backslashes in quotes": (b"accept", lambda n: b';a="' + b"\\" * n),
    "semicolons": (b"accept", lambda n: b";" * n),
    "commas": (b"accept", lambda n: b"," * n),
    "codings": (b"accept-encoding", lambda n: b"gzip;q=0," * n),
    "blanks in Accept-Encoding": (b"accept-encoding", lambda n: b"\xa0 " * n + b"gzip"),
    "seconds": (b"x-prometheus-scrape-timeout-seconds", lambda n: b"1" * n),
    "seconds with a point": (b"x-prometheus-scrape-timeout-seconds", lambda n: b"1." + b"1" * n + b"x"),
    "token": (b"authorization", lambda n: b"Bearer " + b"x" * n),
    "scheme": (b"authorization", lambda n: b"B" * n),
    "blanks in credentials": (b"authorization", lambda n: b"Basic" + b" \t" * n + b"x" + b" " * n + b"x"),
    "credentials": (b"authorization", lambda n: b"Basic " + b"QQ==" * n),
    "padding": (b"authorization", lambda n: b"Basic " + b"=" * n),
    "other headers": (b"x-other", lambda n: b"x" * n),
    "filters": (b"", lambda n: b"name[]=jobs_total&" * n),
    "filter": (b"", lambda n: b"name[]=" + b"x" * n),
    "percent signs": (b"", lambda n: b"name[]=" + b"%" * n),
    "escapes in the query": (b"", lambda n: b"name[]=" + b"%ff%41" * n),
    "pluses": (b"", lambda n: b"name[]=" + b"+" * n),
    "ampersands": (b"", lambda n: b"&" * n),
    "equals signs": (b"", lambda n: b"=" * n),
}


def jobs_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("jobs", "Jobs.", registry=registry).inc()
    return registry


# What is asked of a request; only those with the right credentials have the rest of it read.
ASKED = [(name, auth) for name in REQUESTS for auth in (None, "s3cret", ("user", "password"))]
ASKED = [(name, auth) for name, auth in ASKED if auth is None or REQUESTS[name][0] == b"authorization"]


@pytest.mark.parametrize(("name", "auth"), ASKED)
def test_a_request_to_the_asgi_application_takes_linear_time(assert_linear, scrape, name, auth):
    app = make_asgi_app(jobs_registry(), auth=auth)
    header, value = REQUESTS[name]

    def prepare(n: int) -> Call:
        scope = {"query_string": value(n)} if not header else {"headers": {header.decode(): value(n).decode("latin-1")}}
        return lambda: anyio.run(lambda: scrape(app, **scope))

    assert_linear(prepare, 20_000)


@pytest.mark.parametrize(("name", "auth"), ASKED)
def test_a_request_to_the_wsgi_application_takes_linear_time(assert_linear, name, auth):
    app = make_wsgi_app(jobs_registry(), auth=auth)
    header, value = REQUESTS[name]
    key = f"HTTP_{header.decode().upper().replace('-', '_')}" if header else "QUERY_STRING"

    def prepare(n: int) -> Call:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", key: value(n).decode("latin-1")}
        return lambda: [*app(environ, lambda status, headers: None)]

    assert_linear(prepare, 20_000)


@pytest.mark.parametrize("read", [choose_encoder, gzip_accepted])
@pytest.mark.parametrize("name", [name for name in REQUESTS if REQUESTS[name][0].startswith(b"accept")])
def test_a_header_is_negotiated_in_linear_time(assert_linear, name, read):
    def prepare(n: int) -> Call:
        header = REQUESTS[name][1](n).decode("latin-1")
        return lambda: read(header)

    assert_linear(prepare, 20_000)


@pytest.mark.parametrize("name", [b"accept", b"accept-encoding", b"authorization", b"x-other"])
def test_many_headers_take_linear_time(assert_linear, name):
    app = make_asgi_app(jobs_registry())

    async def send(message) -> None:
        pass

    def prepare(n: int) -> Call:
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(name, b"x")] * n}
        return lambda: anyio.run(app, scope, anyio.sleep_forever, send)

    assert_linear(prepare, 5000)


class ClientDisconnect(Exception):
    """A name of frameworks for a client that has gone. It is no fault, so a look at one exception does not suffice."""


def nested(levels: int) -> BaseException:
    """Return groups that hold each other twice: ``2 ** levels`` times the same exception."""
    error: Exception = ClientDisconnect()
    for _ in range(levels):
        error = ExceptionGroup("", [error, error])
    return error


# What a middleware meets: changes to the scope, and what the application sends or raises.
EXCHANGES: dict[str, Callable[[int], tuple[dict, list[dict] | BaseException]]] = {
    "path": lambda n: ({"path": "/a" * n}, []),
    "path of slashes": lambda n: ({"path": "/" * n}, []),
    "path below the root": lambda n: ({"path": "/a" * n, "root_path": "/a" * (n - 1)}, []),
    "method": lambda n: ({"method": "G" * n}, []),
    "scheme": lambda n: ({"scheme": "h" * n}, []),
    "Content-Length": lambda n: ({"headers": [(b"content-length", b"1" * n)]}, []),
    "blanks in Content-Length": lambda n: ({"headers": [(b"content-length", b" " * n + b"1" + b" " * n + b"x")]}, []),
    "headers": lambda n: ({"headers": [(b"content-length", b"x")] * n}, []),
    "Content-Length of a response": lambda n: (
        {},
        [{"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"1" * n)]}],
    ),
    "status": lambda n: ({}, [{"type": "http.response.start", "status": 10**n}]),
    "count": lambda n: ({}, [{"type": "http.response.zerocopysend", "count": 10**n}]),
    "body": lambda n: ({}, [{"type": "http.response.body", "body": b"x" * n}]),
    "messages": lambda n: ({}, [{"type": "http.response.body", "body": b"x", "more_body": True}] * n),
    "exception": lambda n: ({}, OSError("x" * n)),
    "exception group": lambda n: ({}, nested(n // 4000)),
    "websocket's exception group": lambda n: ({"type": "websocket"}, nested(n // 4000)),
    "websocket's path": lambda n: ({"type": "websocket", "path": "/a" * n}, [{"type": "websocket.accept"}]),
    "websocket's text": lambda n: ({"type": "websocket"}, [{"type": "websocket.send", "text": "ä\ud800" * n}]),
    "close code": lambda n: (
        {"type": "websocket"},
        [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 10**n}],
    ),
    "refusal": lambda n: ({"type": "websocket"}, [{"type": "websocket.http.response.start", "status": 10**n}]),
}


def run_without_loop(coroutine, error: BaseException | None = None) -> None:
    """Run what awaits nothing that an event loop would have to bring about, and may raise ``error``."""
    with suppress(StopIteration, type(error or StopIteration())):
        coroutine.send(None)


async def nothing(message=None) -> dict:
    return {"type": "http.request"}


HTTP = {"type": "http", "method": "GET", "path": "/", "headers": []}


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_is_measured_in_linear_time(assert_linear, name):
    def prepare(n: int) -> Call:
        scope, told = EXCHANGES[name](n)
        error = told if isinstance(told, BaseException) else None

        async def app(scope, receive, send) -> None:
            if error is not None:
                raise error
            for message in told:
                await send(message)

        options = {"first_byte": True, "body_sizes": True, "background": True, "conventions": "opentelemetry"}
        measured = MetricsMiddleware(app, registry=CollectorRegistry(), exclude=["/health"], **options)
        return lambda: run_without_loop(measured({**HTTP, **scope}, nothing, nothing), error)

    assert_linear(prepare, 20_000)


@pytest.mark.parametrize("path", ["/a", "/files", "/files/a", "/"])
@pytest.mark.parametrize("copied", [False, True], ids=["scope", "copied scope"])
def test_a_route_is_found_in_linear_time(assert_linear, path, copied):
    async def endpoint(request) -> Response:
        return Response()

    routes = [Mount("/files", Starlette(routes=[Route("/{path:path}", endpoint)])), Route("/{name}/{rest}", endpoint)]
    starlette = Starlette(routes=routes)

    async def copying(scope, receive, send) -> None:
        await starlette(dict(scope), receive, send)

    measured = MetricsMiddleware(copying if copied else starlette, registry=CollectorRegistry())

    def prepare(n: int) -> Call:
        scope = {**HTTP, "path": path + "/a" * n, "app": starlette}
        return lambda: run_without_loop(measured(dict(scope), nothing, nothing))

    assert_linear(prepare, 5000)


def test_a_label_value_is_taken_in_linear_time(assert_linear):
    registry = CollectorRegistry()
    jobs = Counter("jobs", "Jobs.", ["kind", "other"], registry=registry)
    assert_linear(lambda n: lambda: jobs.labels('\\\n"\ud800' * n, kind_of(n)).inc(), 20_000)


class kind_of:
    """A label value that makes its text when it is asked."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __str__(self) -> str:
        return "ä" * self._n


def test_children_are_made_in_linear_time(assert_linear):
    def prepare(n: int) -> Call:
        jobs = Counter("jobs", "Jobs.", ["kind"], registry=None)
        return lambda: [jobs.labels(str(number)) for number in range(n)]

    assert_linear(prepare, 1000)


def test_an_amount_is_refused_in_linear_time(assert_linear):
    gauge = Gauge("jobs", "Jobs.", registry=None)

    def prepare(n: int) -> Call:
        amount = 10**n
        return lambda: gauge.set(amount)

    assert_linear(prepare, 4000)


@pytest.fixture
def nothing_bound():
    clear_labels()
    yield
    clear_labels()


def test_a_context_label_is_read_in_linear_time(assert_linear, nothing_bound):
    jobs = Counter("jobs", "Jobs.", context_labels=["tenant"], registry=None)

    def prepare(n: int) -> Call:
        def call() -> None:
            bind_labels(tenant='\\\n"\ud800' * n)
            jobs.inc()

        return call

    assert_linear(prepare, 20_000)


def test_labels_are_bound_and_unbound_in_linear_time(assert_linear, nothing_bound):
    def prepare(n: int) -> Call:
        labels = {f"label{number}": "" for number in range(n)}

        def call() -> None:
            bind_labels(**labels)
            unbind_labels(*labels)

        return call

    assert_linear(prepare, 1000)


def test_managers_of_labels_are_nested_in_linear_time(assert_linear, nothing_bound):
    def prepare(n: int) -> Call:
        def call() -> None:
            with ExitStack() as stack:
                for _ in range(n):
                    stack.enter_context(bound_labels(tenant="acme"))

        return call

    assert_linear(prepare, 2000)
