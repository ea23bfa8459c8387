"""What every server makes of clients that behave and of those that do not, and what is counted for them."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

import httpx
import pytest

pytestmark = pytest.mark.real

ITEMS = "/items/{n}"
REQUEST = b"%s %s HTTP/1.1\r\nhost: shop.example\r\n%s\r\n"


def get(path: bytes, method: bytes = b"GET", headers: bytes = b"") -> bytes:
    return REQUEST % (method, path, headers)


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d+)", answers)


def test_requests_are_counted_by_their_routes(server):
    with httpx.Client(base_url=server.base) as client:  # one connection, kept alive
        for path in ("/items/1", "/items/2", "/mounted/acme/items/3", "/nowhere", "/items/x"):
            client.get(path)
    server.expect(
        server.counted,
        {
            ("GET", ITEMS, "200"): 2,
            ("GET", "/mounted/{tenant}/items/{n}", "200"): 1,
            ("GET", "<unmatched>", "404"): 2,
        },
    )
    assert server.active() == {}


def test_the_exposition_answers_with_and_without_a_slash_and_is_not_counted(server):
    for path in ("/metrics", "/metrics/"):
        answer = httpx.get(server.base + path)
        assert (answer.status_code, "http_server_request_duration_seconds" in answer.text) == (200, True)
    assert server.counted() == {}


def test_a_head_request_has_no_body_and_is_counted_as_head(server):
    answer = httpx.head(f"{server.base}/items/1")
    assert (answer.status_code, answer.content) == (200, b"")
    server.expect(server.counted, {("HEAD", ITEMS, "200"): 1})


def test_a_method_that_a_route_does_not_have_is_a_405_of_it(server):
    assert httpx.delete(f"{server.base}/items/1").status_code == 405
    server.expect(server.counted, {("DELETE", ITEMS, "405"): 1})


def test_an_exception_is_a_500_with_its_type(server):
    before = server.exceptions().get(("/raising", "LookupError"), 0)
    assert httpx.get(f"{server.base}/raising").status_code == 500
    server.expect(server.counted, {("GET", "/raising", "500"): 1})
    assert server.exceptions()["/raising", "LookupError"] == before + 1


def test_a_body_that_comes_in_chunks_is_read(server):
    answer = httpx.post(f"{server.base}/echo", content=iter([b"a" * 70_000] * 3))
    assert (answer.status_code, answer.text) == (200, "210000")
    server.expect(server.counted, {("POST", "/echo", "200"): 1})


def test_pipelined_requests_are_answered_in_order_and_all_counted(server):
    with server.connect() as client:
        client.sendall(get(b"/items/1") + get(b"/nowhere") + get(b"/items/2", headers=b"connection: close\r\n"))
        answers = read_all(client)
    assert statuses(answers) == [b"200", b"404", b"200"]
    server.expect(server.counted, {("GET", ITEMS, "200"): 2, ("GET", "<unmatched>", "404"): 1})
    assert server.active() == {}


def test_invented_methods_make_at_most_one_series(server):
    """Servers refuse them with a 400 of their own, or pass them on."""
    passed = 0
    for number in range(20):
        with server.connect() as client:
            client.sendall(get(b"/items/1", b"EVIL%d" % number, b"connection: close\r\n"))
            passed += statuses(read_all(client)) == [b"405"]
    assert passed in (0, 20)
    server.expect(server.counted, {("_OTHER", ITEMS, "405"): 20} if passed else {})


def test_a_response_arrives_part_by_part_and_is_under_way_until_its_end(server):
    with httpx.Client(base_url=server.base) as client, client.stream("GET", "/gated/parts") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"
        assert server.active() == {("GET", "/gated/{name}"): 1}
        assert server.samples("http_server_oldest_active_request_seconds", "route")["/gated/{name}",] > 0
        assert server.counted() == {}
        httpx.get(f"{server.base}/open/parts")
        assert list(parts) == [b"second"]
    server.expect(server.counted, {("GET", "/open/{name}", "200"): 1, ("GET", "/gated/{name}", "200"): 1})
    assert server.active() == {}


@pytest.mark.parametrize("path", ["/waiting", "/probing"])
def test_a_client_that_goes_before_the_response_is_a_499(server, path):
    """Both for an application that waits for the disconnect, and for one that asks again and again."""
    if (server.name, path) == ("hypercorn-trio", "/probing"):
        pytest.skip("Starlette probes with a receive that is cancelled at once, to which trio's channels give nothing")
    with server.connect() as client:
        client.sendall(get(path.encode()))
        server.expect(server.active, {("GET", path): 1})
    server.expect(server.counted, {("GET", path, "499"): 1})
    assert server.active() == {}


def test_a_client_that_goes_during_the_response_has_the_status_it_was_sent(server):
    before = server.exceptions()
    with server.connect() as client:
        client.sendall(get(b"/endless"))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    server.expect(server.counted, {("GET", "/endless", "200"): 1})
    assert server.active() == {}
    assert server.exceptions() == before


def test_a_client_that_resets_its_connection_is_no_exception(server):
    before = server.exceptions()
    with server.connect() as client:
        client.sendall(get(b"/endless"))
        client.recv(65536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close with a reset
    server.expect(server.counted, {("GET", "/endless", "200"): 1})
    assert server.active() == {}
    assert server.exceptions() == before


@pytest.mark.parametrize("path", [b"/items/1", b"/lazy"])
def test_a_client_that_closes_its_half_is_counted_once(server, path, request):
    """Some servers take it for gone, and answer nothing, cancel, or (granian) may not call the application at all."""
    with server.connect() as client:
        client.sendall(get(path, headers=b"connection: close\r\n"))
        client.shutdown(socket.SHUT_WR)
        answers = statuses(read_all(client))
    if answers or "granian" not in request.node.name:
        server.expect(lambda: sum(server.counted().values()), 1)
    server.expect(server.active, {})
    assert [status for _, _, status in server.counted()] in (
        [["200"]] if answers == [b"200"] else [[], ["200"], ["499"]]
    )
    assert sum(server.counted().values()) <= 1


def test_a_request_that_never_ends_its_headers_is_not_counted(server):
    with server.connect() as client:
        client.sendall(b"GET /items/1 HTTP/1.1\r\nhost: shop")
    assert httpx.get(f"{server.base}/items/1").status_code == 200
    server.expect(server.counted, {("GET", ITEMS, "200"): 1})


def test_a_body_that_is_broken_off_is_a_499(server):
    """The application waits for the rest of it when the client goes."""
    with server.connect() as client:
        client.sendall(get(b"/echo", b"POST", b"content-length: 100\r\n") + b"half")
        server.expect(server.active, {("POST", "/echo"): 1})
    server.expect(server.counted, {("POST", "/echo", "499"): 1})
    assert server.active() == {}
