"""Ready-made checks of servers, against servers that answer, refuse, hang up and hang."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager

import anyio
import httpx
import pytest
import requests
import trustme
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from asyncmetrics import start_http_server
from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs import http_check, tcp_check
from tests.loops import on_every_loop
from tests.servers.processes import find_free_port


async def answer(request):
    return PlainTextResponse(str(request.url), int(request.path_params["status"]))


async def redirect(_):
    return RedirectResponse("http://127.0.0.1:1/")


async def show_headers(request):
    is_known = request.headers.get("authorization") == "Bearer x" and request.headers["host"].startswith("127.0.0.1:")
    return PlainTextResponse("", 200 if is_known else 401)


async def show_target(request):
    return PlainTextResponse("", 200 if request.url.query == "a=b%20c" else 400)


@pytest.fixture(scope="module")
def base(serving):
    routes = [
        Route("/status/{status}", answer),
        Route("/redirect", redirect),
        Route("/secret", show_headers),
        Route("/query", show_target),
        Route("/", lambda _: PlainTextResponse("")),
    ]
    with serving(Starlette(routes=routes)) as base:
        yield base


@contextmanager
def answering(text):
    """Answer one connection with ``text``, and close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(text)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


@on_every_loop
async def test_a_port_that_listens_is_up(base):
    await tcp_check("127.0.0.1", int(base.rpartition(":")[2]))()


@on_every_loop
async def test_a_port_that_nothing_listens_on_is_down():
    with pytest.raises(OSError):
        await tcp_check("127.0.0.1", find_free_port())()


@pytest.mark.parametrize("path", ["", "/", "/status/200", "/status/204", "/redirect", "/query?a=b%20c", "/query?a=b c"])
def test_a_status_below_400_is_up(path, base, run):
    run(http_check(f"{base}{path}"))


@pytest.mark.parametrize("path", ["/status/404", "/status/503"])
def test_a_status_of_an_error_is_down(path, base, run):
    with pytest.raises(ConnectionError, match=f"expected a status below 400, got {path[-3:]}"):
        run(http_check(f"{base}{path}"))


@on_every_loop
async def test_the_text_of_a_failure_has_no_query(base):
    with pytest.raises(ConnectionError) as raised:
        await http_check(f"{base}/status/503?key=secret")()
    assert "secret" not in str(raised.value)


@on_every_loop
async def test_headers_are_sent(base):
    await http_check(f"{base}/secret", headers={"Authorization": "Bearer x"})()


@on_every_loop
async def test_a_server_that_hangs_up_is_down():
    with answering(b"") as url, pytest.raises(ConnectionError, match="without an answer"):
        await http_check(url)()


@on_every_loop
async def test_a_server_of_another_protocol_is_down():
    with answering(b"220 mail.example ESMTP\r\n\r\n") as url, pytest.raises(ConnectionError, match="no HTTP"):
        await http_check(url)()


@on_every_loop
async def test_an_interim_answer_is_none():
    text = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"
    with answering(text) as url:
        await http_check(url)()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    server, thread = start_http_server(0, certfile=str(folder / "cert.pem"), keyfile=str(folder / "key.pem"))
    yield f"https://127.0.0.1:{server.port}/metrics"
    server.shutdown()
    thread.join()


@on_every_loop
async def test_https_is_checked_by_the_certificate_that_is_trusted(secure, authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    await http_check(secure, ssl_context=context)()


@on_every_loop
async def test_a_certificate_that_is_not_trusted_is_down(secure):
    with pytest.raises(ssl.SSLCertVerificationError):
        await http_check(secure)()


@pytest.mark.parametrize("path", ["/status/200", "/status/503"])
@on_every_loop
async def test_an_async_client_sends_the_request_itself(path, base):
    async with httpx.AsyncClient(base_url=base) as client:
        check = http_check(path, client=client)
        if path.endswith("200"):
            await check()
        else:
            with pytest.raises(ConnectionError, match="got 503"):
                await check()


def test_a_sync_client_sends_the_request_itself(base):
    with httpx.Client(base_url=base) as client, pytest.raises(ConnectionError, match="got 503"):
        http_check("/status/503", client=client)()


def test_a_session_of_requests_sends_the_request_itself(base):
    with requests.Session() as session, pytest.raises(ConnectionError, match="got 503"):
        http_check(f"{base}/status/503", client=session)()


@on_every_loop
async def test_a_client_of_httpx_with_a_base_url_is_a_check(base, checks):
    async with httpx.AsyncClient(base_url=f"{base}/status/200") as up, httpx.AsyncClient(base_url=f"{base}/no") as down:
        checks.add("up", up)
        checks.add("down", down)
        async with checks:
            while any(result.reason == "pending" for result in checks.read().values()):
                await anyio.sleep(0.01)
            assert {name: result.reason for name, result in checks.read().items()} == {"up": "", "down": "error"}


@pytest.mark.parametrize("client", [httpx.Client, httpx.AsyncClient, requests.Session])
def test_a_client_without_an_address_is_refused_with_advice(client, checks):
    with pytest.raises(DefinitionError, match=r"write http_check\(url, client=…\)"):
        checks.add("bank", client())


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        (1, {}, "url: expected a str such as"),
        ("127.0.0.1:80", {}, "url: expected a URL of http or https"),
        ("ftp://x/", {}, "url: expected a URL of http or https"),
        ("http://", {}, "url: expected a URL of http or https"),
        ("http://x:y/", {}, "url: expected a URL of http or https"),
        ("http://user:secret@x/", {}, "url: expected no user and no password in it"),
        ("http://x/", {"headers": [1]}, "headers: expected a mapping"),
        ("http://x/", {"headers": {"a b": "c"}}, "headers: expected names and texts that HTTP allows"),
        ("http://x/", {"headers": {"a": "ü\n"}}, "headers: expected names and texts that HTTP allows"),
        ("http://x/", {"headers": {1: "c"}}, "headers: expected names and texts that HTTP allows, got 1"),
        ("http://x/", {"headers": {"Authorization": "Bearer secret\n"}}, "got the string 'Authorization'"),
        ("http://x/", {"ssl_context": 1}, "ssl_context: expected an ssl.SSLContext or None, got 1"),
        ("http://a..b/", {}, "url: expected a URL with a valid host, got the string 'http://a..b/'"),
        ("http://x/", {"client": 1}, "client: expected a client of httpx or a session of requests, got 1"),
        ("http://x/", {"client": httpx.Client(), "headers": {"a": "b"}}, "client: expected no headers="),
    ],
)
def test_a_wrong_argument_of_http_check_is_refused(url, options, message):
    with pytest.raises(DefinitionError) as raised:
        http_check(url, **options)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("host", "port"), [("", 80), (1, 80), ("x", 0), ("x", 65_536), ("x", "80"), ("x", True)])
def test_a_wrong_argument_of_tcp_check_is_refused(host, port):
    with pytest.raises(DefinitionError):
        tcp_check(host, port)
