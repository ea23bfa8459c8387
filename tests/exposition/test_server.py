"""The port of its own: real sockets, keep-alive, refusals, slow and silent clients, starting and stopping."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from asyncmetrics import Counter
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import start_http_server

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def start(registry):
    """Start servers that are closed at the end: ``port = start()``."""
    running = []

    def start(of=registry, **options) -> int:
        running.append(start_http_server(0, registry=of, **options))
        return running[-1].port

    yield start
    for server in running:
        server.close()


@pytest.fixture
def connect():
    """Open connections that are closed at the end, and wait for 5 s at most: ``client = connect(port)``."""
    opened = []

    def connect(port: int, **options) -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=5, **options))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


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


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("asyncmetrics")}


def test_it_serves_the_registry_with_the_standard_librarys_client(start, registry):
    Counter("jobs", "Jobs.", registry=registry).inc()
    with urllib.request.urlopen(f"http://127.0.0.1:{start()}/metrics") as answer:
        assert b"jobs_total 1" in answer.read()


def test_its_result_unpacks_as_with_prometheus_client(registry):
    server, thread = start_http_server(0, "127.0.0.1", registry)
    assert thread.is_alive() and thread.daemon
    server.shutdown()
    thread.join(1)
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


@pytest.mark.parametrize("body", [b"", b"x" * 1000])
def test_other_methods_are_refused_and_the_connection_is_kept(start, body):
    with httpx.Client() as client:
        url = f"http://127.0.0.1:{start()}/metrics"
        assert (refused := client.post(url, content=body)).status_code == 405
        assert refused.headers["allow"] == "GET, HEAD"
        assert client.get(url).status_code == 200


def test_a_body_too_large_to_skip_ends_the_connection(start, connect):
    client = connect(start())
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 70_000)
    assert client.recv(10000).startswith(b"HTTP/1.1 405 ")
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
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, b"431"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"405"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(start, connect, sent, status):
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


def test_a_client_that_sends_nothing_is_let_go(start, connect):
    client = connect(start(timeout_seconds=0.2))
    begin = time.monotonic()
    assert _received(client) == b""
    assert 0.1 < time.monotonic() - begin < 2


def test_a_client_that_drips_its_request_is_let_go(start, connect):
    """Slowloris: a header every 50 ms does not extend the time."""
    client = connect(start(timeout_seconds=0.3))
    begin = time.monotonic()
    client.sendall(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ConnectionError):
        while time.monotonic() - begin < 5:
            client.sendall(b"X: x\r\n")
            time.sleep(0.05)
    assert time.monotonic() - begin < 2


def test_a_client_that_reads_nothing_is_let_go_and_the_rendering_stops(start, connect, paged):
    registry, pages = paged(400)
    client = connect(start(registry, timeout_seconds=0.3))
    client.sendall(GET)
    assert 0 < pages.settled() < 300
    assert _is_closed(client)


def test_a_kept_connection_may_be_silent_for_longer_than_a_request(start, connect):
    """A scraper comes back after its interval."""
    client = connect(start(timeout_seconds=0.2))
    for _ in range(2):
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10000).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.5)


def test_a_slow_client_gets_all_of_it(start, connect, paged):
    """Slower than the rendering, but never silent for too long; the last chunk is not cut off either."""
    registry, _ = paged(30)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with closing(client):
        client.connect(("127.0.0.1", start(registry, timeout_seconds=2)))
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
    assert httpx.get(f"http://127.0.0.1:{port}/?name[]=page_1", timeout=5).status_code == 200


def test_a_client_that_is_gone_stops_the_rendering(start, connect, paged):
    registry, pages = paged(400)
    client = connect(start(registry))
    client.sendall(GET)
    client.recv(1000)
    client.close()
    assert 0 < pages.settled() < 300


def test_connections_above_the_limit_are_closed_at_once(start, connect):
    port = start(max_connections=2)
    first, second = connect(port), connect(port)
    time.sleep(0.1)
    assert _received(connect(port)) == b""
    first.close()
    second.close()
    time.sleep(0.1)
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


def test_a_response_that_breaks_off_is_cut_and_the_server_goes_on(start, paged, caplog):
    registry, pages = paged(30, broken_at=20)
    port = start(registry)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/")
    pages.broken_at = None
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    assert "a response broke off" in caplog.text


def test_a_port_in_use_is_the_callers_error(start, registry):
    port = start()
    with pytest.raises(OSError, match=f"cannot be served on '127.0.0.1', port {port}: .*ddress already in use"):
        start_http_server(port, registry=registry)


def test_an_address_that_is_not_ours_is_the_callers_error(registry):
    with pytest.raises(OSError, match="cannot be served on '192.0.2.1', port 0"):
        start_http_server(0, "192.0.2.1", registry)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(registry, port):
    with pytest.raises(DefinitionError, match="port"):
        start_http_server(port, registry=registry)


@pytest.mark.parametrize("addr", ["", "0.0.0.0", "localhost"])
def test_it_listens_on_all_interfaces_or_by_name_when_told(registry, addr):
    with start_http_server(0, addr, registry) as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 200


def test_the_ipv6_address_of_all_interfaces_is_reached_by_both_protocols(registry):
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with start_http_server(0, "::", registry) as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}/").status_code == 200
        assert httpx.get(f"http://[::1]:{server.port}/").status_code == 200


def test_it_listens_on_the_loopback_alone_by_default(registry):
    with start_http_server(0, registry=registry) as running:
        assert running.server._listening.getsockname()[0] == "127.0.0.1"


def test_stopping_ends_the_thread_and_every_connection(registry, connect, paged):
    """An idle one, one in the middle of a request, and one in the middle of an answer."""
    registry, _ = paged(200)
    running = start_http_server(0, registry=registry)
    clients = [connect(running.port) for _ in range(3)]
    clients[1].sendall(b"GET / HT")
    clients[2].sendall(GET)
    clients[2].recv(1000)
    begin = time.monotonic()
    running.close()
    assert time.monotonic() - begin < 1
    assert not running.thread.is_alive()
    assert all(map(_is_closed, clients[:2]))


def test_stopping_twice_and_from_several_threads_is_no_error(registry):
    running = start_http_server(0, registry=registry)
    threads = [threading.Thread(target=running.server.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2)
    running.close()
    assert not running.thread.is_alive()


def test_starting_and_stopping_leaks_no_thread_descriptor_or_warning(registry):
    """Warnings of unclosed sockets and loops come from the collector, which runs here."""
    before, threads = _descriptors(), _threads()
    for _ in range(20):
        with start_http_server(0, registry=registry) as server:
            httpx.get(f"http://127.0.0.1:{server.port}/")
    gc.collect()
    assert (_descriptors(), _threads()) == (before, threads)


def test_the_port_can_be_had_again_at_once(registry):
    with start_http_server(0, registry=registry) as server:
        httpx.get(f"http://127.0.0.1:{server.port}/")
    with start_http_server(server.port, registry=registry) as again:
        assert httpx.get(f"http://127.0.0.1:{again.port}/").status_code == 200


def test_a_server_that_cannot_start_its_thread_keeps_no_port(registry, monkeypatch):
    def refuse(self) -> None:
        raise RuntimeError("can't start new thread")

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listening.close()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        start_http_server(port, registry=registry)
    monkeypatch.undo()
    start_http_server(port, registry=registry).close()


def test_a_server_whose_loop_cannot_start_tells_the_caller(registry, monkeypatch):
    def refuse(coroutine) -> None:
        coroutine.close()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("asyncio.run", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        start_http_server(0, registry=registry)


def test_it_survives_running_out_of_file_descriptors(start, connect, monkeypatch):
    import asyncio

    accept = asyncio.SelectorEventLoop.sock_accept
    failures = iter([OSError(24, "Too many open files")] * 2)

    async def sock_accept(self, listening):
        for error in failures:
            raise error
        return await accept(self, listening)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_accept", sock_accept)
    assert httpx.get(f"http://127.0.0.1:{start()}/").status_code == 200


def test_a_program_that_ends_does_not_wait_for_it():
    """The thread is a daemon: the program's end is quick and quiet, though a client is connected."""
    program = """
import socket
from asyncmetrics.exposition import start_http_server
server, thread = start_http_server(0)
client = socket.create_connection(("127.0.0.1", server.port))
client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(client.recv(100)[:15].decode())
client.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "HTTP/1.1 200 OK\n", "")
