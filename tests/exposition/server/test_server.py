"""The port of its own: real sockets, keep-alive, refusals, slow and silent clients, starting and stopping."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from contextlib import closing, suppress

import httpx
import pytest

from asyncmetrics import Counter
from asyncmetrics.exposition import start_http_server
from tests.patience import PATIENCE_SECONDS

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def _received(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


def _is_closed(client: socket.socket) -> bool:
    """Whether the server closes, after what it may still send and with or without having read everything."""
    try:
        _received(client)
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def test_it_serves_the_registry_with_the_standard_librarys_client(start, registry):
    Counter("jobs", "Jobs.", registry=registry).inc()
    with urllib.request.urlopen(f"http://127.0.0.1:{start()}/metrics") as answer:
        assert b"jobs_total 1" in answer.read()


def test_its_result_unpacks_as_with_prometheus_client(registry):
    server, thread = start_http_server(0, "127.0.0.1", registry)
    assert thread.is_alive() and thread.daemon
    server.shutdown()
    assert not thread.is_alive()


def test_it_is_a_context_manager(registry):
    with start_http_server(0, registry=registry) as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{server.port}/")


def test_one_connection_serves_many_requests(start, connect):
    client = connect(start())
    for _ in range(3):
        client.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_sent_at_once_are_answered_one_after_the_other(start, connect):
    client = connect(start())
    client.sendall(GET + GET + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert _received(client).count(b"HTTP/1.1 200 OK") == 3


def test_http_1_0_gets_a_whole_body_and_a_closed_connection(start, connect, paged):
    registry, _ = paged(5)
    client = connect(start(registry))
    client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    answer = _received(client)
    assert answer.count(b"\npage_") == 10_000
    assert b"chunked" not in answer.lower()


def test_a_client_that_has_closed_its_sending_side_is_still_answered(start, connect, paged):
    """As with ``printf … | nc -N``."""
    registry, _ = paged(20)
    client = connect(start(registry))
    client.sendall(GET)
    client.shutdown(socket.SHUT_WR)
    assert _received(client).count(b"\npage_") == 40_000


def test_every_answer_is_dated(start):
    assert httpx.get(f"http://127.0.0.1:{start()}/").headers["date"].endswith(" GMT")


def test_head_has_no_body(start):
    answer = httpx.head(f"http://127.0.0.1:{start()}/metrics")
    assert (answer.status_code, answer.content) == (200, b"")


def test_gzip_is_spoken(start, paged):
    registry, _ = paged(5)
    answer = httpx.get(f"http://127.0.0.1:{start(registry)}/metrics")
    assert (answer.headers["content-encoding"], answer.text.count("\npage_")) == ("gzip", 10_000)


def test_compression_can_be_disabled(start):
    answer = httpx.get(f"http://127.0.0.1:{start(disable_compression=True)}/metrics")
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"x" * 1000, b"x" * 50_000])
def test_other_methods_are_refused_and_the_connection_is_closed(start, connect, body):
    """After the whole answer: a reset because of the body would lose it."""
    client = connect(start())
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = _received(client)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert {b"allow: GET, HEAD", b"connection: close"} <= set(
        answer.lower().replace(b"get, head", b"GET, HEAD").split(b"\r\n")
    )
    assert answer.endswith(b"Only GET and HEAD are served here.\n")


@pytest.mark.parametrize("target", [b"/favicon.ico", b"/?name[]=" + b"x" * 2000])
def test_every_refusal_closes_the_connection(start, connect, target):
    client = connect(start())
    client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert _received(client).startswith(b"HTTP/1.1 4")


def test_wrong_credentials_close_the_connection(start, connect):
    client = connect(start(auth="secret"))
    client.sendall(GET * 100)
    assert _received(client).count(b"HTTP/1.1 401 ") == 1


def test_a_body_too_large_to_skip_ends_the_connection(start, connect):
    client = connect(start())
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 70_000)
    assert client.recv(10000).startswith(b"HTTP/1.1 200 ")
    assert _is_closed(client)


def test_a_client_that_waits_for_leave_to_send_a_body_gets_none(start, connect):
    client = connect(start())
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
    assert _received(client).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00 a TLS hello \r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", b"400"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
            b"400",
        ),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: x\r\nContent-length: 0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, b"431"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"405"),
    ],
)
def test_bytes_that_are_no_request_are_refused_and_the_connection_is_closed(start, connect, sent, status):
    client = connect(start())
    client.sendall(sent)
    assert _received(client).startswith(b"HTTP/1.1 " + status + b" ")


def test_a_body_that_breaks_http_after_the_answer_ends_the_connection(start, connect):
    client = connect(start())
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n")
    assert _received(client).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("target", [b"*", b"//", b"/%ff%00", b"/?name[]=%ff&%", b"http://other/metrics", b"/\xff"])
def test_odd_targets_are_answered(start, connect, target):
    client = connect(start())
    client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert _received(client)[9:12] in {b"200", b"400"}


def test_a_client_that_sends_nothing_is_disconnected(start, connect):
    port = start(timeout_seconds=0.2)
    begin = time.monotonic()
    assert _received(connect(port)) == b""
    assert time.monotonic() - begin > 0.1


def test_a_client_that_drips_its_request_is_disconnected(start, connect):
    """Slowloris: a header every 50 ms does not extend the time."""
    client = connect(start(timeout_seconds=0.3))
    begin = time.monotonic()
    client.sendall(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ConnectionError):
        while time.monotonic() - begin < PATIENCE_SECONDS:
            client.sendall(b"X: x\r\n")
            time.sleep(0.05)


def test_a_client_that_reads_nothing_is_disconnected_and_the_rendering_stops(start, connect, paged, wait_for_outcome):
    registry, pages = paged(400)
    client = connect(start(registry, timeout_seconds=0.3))
    client.sendall(GET)
    wait_for_outcome(registry, "abandoned")
    assert 0 < len(pages.rendered) < 300
    assert _is_closed(client)


def test_a_kept_connection_may_be_silent_for_longer_than_a_request(start, connect):
    """A scraper comes back after its interval."""
    port = start(timeout_seconds=0.2)
    client = connect(port)
    while not _is_answered(client):  # on a busy machine the first request may come too late
        client = connect(port)
    time.sleep(0.5)
    assert _is_answered(client)


def _is_answered(client: socket.socket) -> bool:
    try:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        return client.recv(10000).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


def test_a_slow_client_gets_all_of_it(start, connect, paged):
    """Slower than the rendering, but never silent for too long; the last chunk is not cut off either."""
    registry, _ = paged(30)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with closing(client):
        client.connect(("127.0.0.1", start(registry, timeout_seconds=PATIENCE_SECONDS)))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        parts = []
        while data := client.recv(20_000):
            parts.append(data)
            time.sleep(0.001)
    assert b"".join(parts).count(b"\npage_") == 60_000


def test_a_slow_client_does_not_hold_up_the_others(start, connect, paged):
    registry, _ = paged(100)
    port = start(registry)
    connect(port).sendall(GET)  # and never reads
    assert httpx.get(f"http://127.0.0.1:{port}/?name[]=page_1").status_code == 200


def test_a_client_that_is_gone_stops_the_rendering(start, connect, paged, wait_for_outcome):
    registry, pages = paged(400)
    client = connect(start(registry))
    client.sendall(GET)
    client.recv(1000)
    client.close()
    wait_for_outcome(registry, "abandoned")
    assert 0 < len(pages.rendered) < 300


def test_a_new_connection_displaces_the_one_that_has_been_idle_longest(start, connect):
    port = start(max_connections=2)
    clients = []
    for _ in range(3):
        clients.append(connect(port))
        clients[-1].sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert clients[-1].recv(10000).startswith(b"HTTP/1.1 200 ")
    assert _is_closed(clients[0])
    clients[1].sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert _received(clients[1]).startswith(b"HTTP/1.1 200 ")


def test_a_new_connection_does_not_displace_a_scrape_under_way(start, connect, registry):
    """It is closed at once: the scrape waits for its collectors."""
    go, asked = threading.Event(), threading.Event()

    class Waiting:
        def collect(self):
            asked.set()
            go.wait(PATIENCE_SECONDS)
            return []

    registry.register(Waiting())
    port = start(max_connections=1)
    first = connect(port)
    first.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert asked.wait(PATIENCE_SECONDS)
    assert _is_closed(connect(port))
    go.set()
    assert _received(first).startswith(b"HTTP/1.1 200 ")


def test_a_connection_that_ends_makes_room_for_another(start, connect):
    port = start(max_connections=1)
    client = connect(port)
    client.sendall(GET)
    assert client.recv(10000).startswith(b"HTTP/1.1 200 ")
    client.close()
    answered = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answered and time.monotonic() < deadline:  # the server may not have noticed yet
        with closing(connect(port)) as another, suppress(ConnectionError):
            another.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answered = _received(another)
    assert answered.startswith(b"HTTP/1.1 200 ")


def test_a_response_that_breaks_off_is_cut_and_the_server_goes_on(start, paged, caplog):
    registry, pages = paged(30, broken_at=20)
    port = start(registry)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/")
    pages.broken_at = None
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    assert "internal errors in exposition" in caplog.text


def test_half_a_body_that_only_the_connections_end_would_end_is_not_taken_for_a_whole_one(
    start, connect, paged, caplog
):
    registry, _ = paged(30, broken_at=20)
    client = connect(start(registry))
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        _received(client)
