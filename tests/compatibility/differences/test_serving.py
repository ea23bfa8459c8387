"""What applications, servers and pushes do differently on purpose, as docs/migrating.md lists it, on both libraries."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from asyncmetrics.errors import PushError
from tests.compatibility.libraries import both, declare, part
from tests.patience import PATIENCE_SECONDS


async def receive():
    return {"type": "http.request", "body": b""}


def make_scope(method="GET", path="/"):
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}


def answer(library, method="GET", path="/"):
    """Return the status, the headers and the body of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    registry, _ = declare(library, "Gauge")
    asyncio.run(library.make_asgi_app(registry)(make_scope(method, path), receive, send))
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in rest)


@pytest.mark.difference("asgi-yields")
def test_an_answer_before_the_event_loop_has_run():
    async def serve(application):
        sent = []

        async def send(message):
            sent.append(message["type"])

        task = asyncio.ensure_future(application(make_scope(), receive, send))
        await asyncio.sleep(0)
        early = len(sent)
        await task
        return early, sent[-1]

    theirs, ours = both(lambda library: asyncio.run(serve(library.make_asgi_app(declare(library, "Gauge")[0]))))
    assert theirs == (2, "http.response.body")
    assert ours == (0, "http.response.body")


@pytest.mark.difference("asgi-methods")
@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/", 405), ("OPTIONS", "/", 405), ("GET", "/favicon.ico", 404)]
)
def test_a_request_that_is_no_scrape(method, path, status):
    theirs, ours = both(lambda library: answer(library, method, path))
    assert theirs[0] == 200
    assert b"m 0.0" in theirs[2]
    assert ours[0] == status
    assert b"m 0.0" not in ours[2]


@pytest.mark.difference("asgi-methods")
def test_a_request_for_the_headers_alone():
    theirs, ours = both(lambda library: answer(library, "HEAD"))
    assert b"m 0.0" in theirs[2]
    assert (ours[0], ours[2]) == (200, b"")


@pytest.mark.difference("asgi-headers")
def test_the_names_of_headers():
    theirs, ours = both(lambda library: answer(library)[1])
    assert set(theirs) == {b"Content-Type"}
    assert {b"content-type", b"vary"} <= set(ours)


@pytest.mark.difference("server-objects")
def test_what_starting_a_server_returns():
    def start(library):
        server, thread = library.start_http_server(0, "127.0.0.1", declare(library, "Gauge")[0])
        try:
            names = {
                "server_port",
                "server_address",
                "shutdown",
                "server_close",
                "serve_forever",
                "socket",
                "RequestHandlerClass",
            }
            return {name for name in names if hasattr(server, name)}
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    theirs, ours = both(start)
    assert ours == {"server_port", "server_address", "shutdown", "server_close"}
    assert theirs - ours == {"serve_forever", "socket", "RequestHandlerClass"}


@pytest.mark.difference("server-methods")
@pytest.mark.parametrize(("method", "statuses"), [("HEAD", (405, 200)), ("OPTIONS", (200, 405))])
def test_a_request_to_the_server_that_is_no_get(method, statuses):
    def ask(library):
        server, thread = library.start_http_server(0, "127.0.0.1", declare(library, "Gauge")[0])
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/", method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    assert both(ask) == statuses


@pytest.fixture
def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.mark.difference("push-errors")
def test_a_gateway_that_is_not_there(closed_port):
    def push(library):
        library.push_to_gateway(closed_port, "job", declare(library, "Gauge")[0], timeout=PATIENCE_SECONDS)

    theirs, ours = both(push)
    assert isinstance(theirs, urllib.error.URLError)
    assert isinstance(ours, PushError)
    assert isinstance(theirs, OSError)
    assert isinstance(ours, OSError)


@pytest.mark.difference("no-snappy")
def test_a_push_that_is_compressed_by_snappy(closed_port):
    def push(library):
        library.push_to_gateway(closed_port, "job", declare(library, "Gauge")[0], compression="snappy")

    theirs, ours = both(push)
    assert not isinstance(theirs, ValueError)  # they need python-snappy, or the gateway
    assert isinstance(ours, ValueError)


@pytest.mark.difference("instance-address")
def test_the_address_of_an_instance():
    theirs, ours = both(lambda library: library.instance_ip_grouping_key()["instance"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("10.255.255.255", 1))
        except OSError:
            pytest.skip("this host has no way out")
        assert (theirs, ours) == ("127.0.0.1", outward.getsockname()[0])


@pytest.mark.difference("openmetrics-0")
def test_the_draft_of_openmetrics():
    accept = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert theirs.startswith("text/plain; version=0.0.4")
    assert ours.startswith("application/openmetrics-text; version=0.0.1")


@pytest.mark.difference("protobuf")
def test_a_server_that_asks_for_protobuf():
    accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,*/*;q=0.5"
    theirs, ours = both(lambda library: part(library, "exposition").choose_encoder(accept)[1])
    assert theirs.startswith("text/plain")
    assert ours.startswith("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily")
