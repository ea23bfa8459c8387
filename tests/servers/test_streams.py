"""What every server makes of server-sent events, and what is counted for them."""

from __future__ import annotations

import socket

import httpx
import pytest

pytestmark = pytest.mark.real


def test_server_sent_events_are_a_stream_from_their_start(server):
    with httpx.Client(base_url=server.base) as client, client.stream("GET", "/events/one") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"
        active = server.samples("http_server_active_streams", "method", "route")
        assert active["GET", "/events/{name}"] == 1
        assert ("/events/{name}",) not in server.samples("http_server_oldest_active_request_seconds", "route")
        httpx.get(f"{server.base}/open/one")
        assert list(parts) == [b"second"]
    server.expect(lambda: server.streamed().get(("GET", "/events/{name}", "completed")), 1)
    assert set(server.counted()) <= {("GET", "/open/{name}", "200")}


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_its_events_has_closed_them(server, reset):
    closed = ("GET", "/events/endless", "client_closed")
    before = server.streamed().get(closed, 0)
    exceptions = server.exceptions()
    with server.connect() as client:
        client.sendall(b"GET /events/endless HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    server.expect(lambda: server.streamed().get(closed), before + 1)
    assert server.counted() == {}
    assert server.exceptions() == exceptions
