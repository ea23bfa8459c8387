"""`HttpSink`: what is refused at once, and what each fault of a server becomes."""

from __future__ import annotations

import logging
import re
import ssl
import sys

import anyio
import pytest
import trustme

from asyncmetrics import instrument_all
from asyncmetrics.bridges import Part, Pusher
from asyncmetrics.errors import DefinitionError, MissingExtraError, PushError
from tests.forks import run_forked
from tests.loops import on_every_loop
from tests.servers.push_receiver import JsonSink, run_receiver

URL = "http://host/push"
PART = Part(b"data")
SHORT = 0.3  # seconds, which run out


@pytest.fixture(scope="module")
def running():
    with run_receiver() as running:
        yield running


@pytest.fixture
def receiver(running):
    running.answers.clear()
    running.received.clear()
    running.headers.clear()
    running.peers.clear()
    running.drips, running.body = False, b"thanks"
    return running


async def send(receiver, **options):
    """Send one part, and return the error if that fails."""
    sink = JsonSink(receiver if isinstance(receiver, str) else receiver.url, **options)
    try:
        await sink.send_part(PART)
    except PushError as error:
        return error
    finally:
        await sink.close()
    return None


WRONG = {
    "no scheme": ({"url": "host:9090/push"}, "url: expected a URL such as .*write 'http://host:9090/push'"),
    "scheme": ({"url": "ftp://host/"}, "url"),
    "no host": ({"url": "http:///push"}, "url"),
    "port": ({"url": "http://host:http/"}, "url"),
    "space": ({"url": "http://host/a b"}, "url"),
    "bytes": ({"url": b"http://host/"}, "url"),
    "line end": ({"headers": {"X-Id": "a\r\nX-Other: b"}}, "without line ends"),
    "name": ({"headers": {"X Id": "a"}}, "names of headers"),
    "number": ({"headers": {"X-Id": 3}}, "a str of printable ASCII for 'X-Id'"),
    "list": ({"headers": [("a", "b")]}, "headers"),
    "colon": ({"auth": ("a:b", "c")}, "auth"),
    "token": ({"auth": "to ken"}, "auth"),
    "three": ({"auth": ("a", "b", "c")}, "auth"),
    "token of bytes": ({"auth": b"token"}, r"write auth=token\.decode\(\)"),
    "token with a line end": ({"auth": "token\n"}, r"write auth=token\.strip\(\)"),
    "whole header": ({"auth": "Bearer token"}, "write the token without 'Bearer'"),
    "empty token": ({"auth": ""}, "write None for no credentials"),
    "user and password in one": ({"auth": "us er:password"}, r"write auth=\('user', 'password'\)"),
    "number as user": ({"auth": (123456, "token")}, r"write auth=\(str\(user\), str\(password\)\)"),
    "timeout": ({"timeout": 0}, "timeout"),
    "label": ({"labels": {"a-b\n": "c", 3: "x"}}, "labels"),
    "tls": ({"tls": True}, "tls: expected an ssl.SSLContext, or the path"),
    "file": ({"tls": __file__}, "it has no certificate in PEM"),
    "no file": ({"tls": "/no/such/file"}, "/no/such/file.*: No such file or directory"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused(case):
    arguments, message = WRONG[case]
    with pytest.raises(DefinitionError, match=message):
        JsonSink(**{"url": URL} | arguments)


@pytest.mark.parametrize(
    "options", [{"url": "http://me:secret@host/"}, {"auth": "sec ret"}, {"headers": {"A": "sec\nret"}}]
)
def test_no_secret_is_in_a_message(options):
    with pytest.raises(DefinitionError) as caught:
        JsonSink(**{"url": URL} | options)
    assert "secret" not in str(caught.value)
    assert "ret'" not in str(caught.value)


def test_no_secret_is_in_the_representation():
    assert repr(JsonSink(URL, auth="secret", headers={"X-Key": "secret"})) == f"JsonSink({URL!r})"


def test_without_httpx_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match="push"):
        JsonSink(URL)


@on_every_loop
async def test_headers_and_credentials_are_sent(receiver):
    assert await send(receiver, auth=("me", "ü"), headers={"X-Scope-OrgID": "shop"}) is None
    assert receiver.headers[0]["Authorization"] == "Basic bWU6w7w="
    assert receiver.headers[0]["X-Scope-OrgID"] == "shop"
    assert await send(receiver, auth="token") is None
    assert receiver.headers[1]["Authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [(429, False), (500, False), (503, False), (408, False), (400, True), (401, True), (404, True), (415, True)],
)
async def test_a_status_is_permanent_or_not(receiver, status, is_permanent):
    receiver.answers.append((status, {}))
    error = await send(receiver)
    assert (error.is_permanent, error.retry_after) == (is_permanent, None)
    assert f"the answer was {status}" in str(error)
    assert "thanks" in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("-1", None)]
)
async def test_retry_after_is_read(receiver, text, seconds):
    receiver.answers.append((429, {"Retry-After": text}))
    assert (await send(receiver)).retry_after == seconds


async def test_a_redirect_is_not_followed_and_said(receiver):
    receiver.answers.append((307, {"Location": "http://evil.example/"}))
    error = await send(receiver, auth="secret")
    assert error.is_permanent
    assert "it redirects to http://evil.example/" in str(error)
    assert len(receiver.headers) == 1


@on_every_loop
async def test_a_server_that_sends_a_byte_now_and_then_costs_the_timeout(receiver):
    receiver.drips = True
    error = await send(receiver, timeout=SHORT)
    assert "no whole answer came within 0.3 s" in str(error)
    assert not error.is_permanent


async def test_a_long_answer_is_not_read_for_ever(receiver):
    receiver.body = b"x" * 5_000_000
    assert await send(receiver) is None


@on_every_loop
async def test_a_connection_is_used_again(receiver):
    sink = JsonSink(receiver.url)
    for _ in range(3):
        await sink.send_part(PART)
    await sink.close()
    assert len(receiver.peers) == 1


def test_one_sink_is_used_on_one_loop_after_the_other(receiver):
    sink = JsonSink(receiver.url)

    async def main():
        await sink.send_part(PART)
        await sink.close()

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(main, backend=backend)
    assert len(receiver.received) == 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_sink_is_used_in_a_forked_process(receiver, backend):
    sink = JsonSink(receiver.url)

    async def send_twice():
        await sink.send_part(PART)
        await sink.send_part(PART)
        await sink.close()

    anyio.run(send_twice, backend=backend)
    run_forked(lambda: anyio.run(send_twice, backend=backend))
    assert len(receiver.received) == 4


@on_every_loop
async def test_faults_of_the_connection_are_said_clearly():
    cases = {
        "http://127.0.0.1:1/": "refused",
        "http://no-such-host.invalid/": "[Nn]ame or service not known|[Nn]ame resolution|nodename",
    }
    for url, text in cases.items():
        error = await send(url)
        assert not error.is_permanent
        assert re.search(text, str(error)), str(error)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with run_receiver(tls=context) as secure:
        yield secure


@on_every_loop
async def test_a_wrong_certificate_is_said(secure):
    assert "the certificate of the server is not trusted" in str(await send(secure))


@on_every_loop
async def test_a_file_of_certificates_is_trusted(secure, authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert await send(secure, tls=str(tmp_path / "ca.pem")) is None
    assert await send(secure, tls=tmp_path / "ca.pem") is None


async def test_plain_http_at_a_tls_port_is_said(receiver):
    assert "TLS failed" in str(await send(receiver.url.replace("http", "https")))


async def test_a_proxy_of_the_environment_is_used(receiver, monkeypatch):
    monkeypatch.setenv("http_proxy", f"localhost:{receiver.server_port}")
    assert await send("http://metrics.example/push") is None
    assert receiver.headers[0]["Host"] == "metrics.example"
    monkeypatch.setenv("no_proxy", "metrics.invalid")
    assert await send("http://metrics.invalid/push") is not None


async def test_no_line_is_logged_for_each_request(receiver, caplog):
    with caplog.at_level(logging.INFO):
        assert await send(receiver) is None
    assert caplog.text == ""


async def test_instrumented_clients_do_not_matter(receiver, registry):
    with instrument_all(only=["httpx"], registry=registry):
        async with Pusher(JsonSink(receiver.url), registry):
            pass
    assert len(receiver.received) == 1
