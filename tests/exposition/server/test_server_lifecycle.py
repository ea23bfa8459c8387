"""Starting and stopping the port of its own: whose error is what, and what is left behind."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import httpx
import pytest

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import start_http_server
from tests.patience import PATIENCE_SECONDS

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("asyncmetrics")}


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
def test_it_listens_on_all_interfaces_or_by_name(registry, addr):
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
        assert running.server.server_address[0] == "127.0.0.1"


def test_stopping_waits_for_no_client(connect, paged):
    """For none that is idle, in the middle of a request, or in the middle of an answer."""
    registry, _ = paged(200)
    running = start_http_server(0, registry=registry, timeout_seconds=10 * PATIENCE_SECONDS)
    clients = [connect(running.port) for _ in range(3)]
    clients[1].sendall(b"GET / HT")
    clients[2].sendall(GET)
    clients[2].recv(1000)
    begin = time.monotonic()
    running.close()
    assert time.monotonic() - begin < PATIENCE_SECONDS
    assert not running.thread.is_alive()
    assert all(map(_is_closed, clients[:2]))


def test_stopping_twice_and_from_several_threads_is_no_error(registry):
    running = start_http_server(0, registry=registry)
    threads = [threading.Thread(target=running.server.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.close()
    assert not running.thread.is_alive()


def test_starting_and_stopping_leaks_no_thread_descriptor_or_warning(registry):
    """Warnings of unclosed sockets and loops come from the collector, which runs here."""
    gc.collect()  # what other tests have left open
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


def test_a_server_whose_loop_cannot_start_raises_in_the_caller(registry, monkeypatch):
    def refuse(function) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("anyio.run", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        start_http_server(0, registry=registry)


def test_it_survives_running_out_of_file_descriptors(start, connect, monkeypatch):
    failures = iter([OSError(24, "Too many open files")] * 2)

    async def wait_readable(listening):
        for error in failures:
            raise error
        await anyio.wait_readable(listening)

    monkeypatch.setattr("asyncmetrics.exposition.server.connections.wait_readable", wait_readable)
    assert httpx.get(f"http://127.0.0.1:{start()}/").status_code == 200


def test_a_program_that_ends_does_not_wait_for_it():
    """The thread is a daemon: the program's end is quick and quiet, though a client is connected."""
    program = """
import socket
from asyncmetrics.exposition import start_http_server
from tests.patience import PATIENCE_SECONDS
server, thread = start_http_server(0)
client = socket.create_connection(("127.0.0.1", server.port))
client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(client.recv(100)[:15].decode())
client.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "HTTP/1.1 200 OK\n", "")
