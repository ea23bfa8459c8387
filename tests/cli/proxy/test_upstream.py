"""The server that a live page shows: exactly one request to one host, and bounds for whatever comes back."""

from __future__ import annotations

import gzip
import itertools
import time
import tracemalloc
from contextlib import ExitStack
from urllib.parse import parse_qsl

import anyio
import pytest
import trustme
from anyio import BrokenResourceError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncmetrics import Counter, Gauge, start_http_server
from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli.proxy.upstream import Answer, Upstream
from asyncmetrics.errors import ScrapeError
from tests.patience import PATIENCE_SECONDS
from tests.servers.processes import find_free_port
from tests.servers.raw_server import RawServer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SHORT_SECONDS = 0.2


def with_body(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"content-length: %d\r\n\r\n" % len(body) + body


def fetch(url: str, names=(), *, timeout: float = PATIENCE_SECONDS, most_bytes: int = 1000, **options) -> Answer:
    upstream = Upstream(Target(url, timeout=timeout, **options), most_bytes)
    return anyio.run(upstream.fetch, names)


def find_problem(url: str, **options) -> str:
    with pytest.raises(ScrapeError) as caught:
        fetch(url, **options)
    return caught.value.problem


@pytest.fixture
def answering():
    """Serve bytes, or what a function yields for each request: ``server = answering(b"HTTP/1.1 200 OK…")``."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(RawServer(answer))


def test_the_body_is_passed_on_as_it_is(answering):
    body = 'a{b="\u00fc"} 1\n\r\n\x1b'.encode()
    assert fetch(answering(with_body(body)).url) == Answer(body, TEXT)


def test_one_request_with_the_given_headers_is_sent(answering):
    server = answering(with_body(b"a 1\n"))
    fetch(server.url, headers={"Authorization": "Bearer s3cret", "X-Scope-OrgID": "7"})
    (request,) = server.requests
    line, *headers = request.decode().split("\r\n")
    assert line == "GET /metrics HTTP/1.1"
    assert {f"host: 127.0.0.1:{server.port}", "authorization: Bearer s3cret", "x-scope-orgid: 7"} <= set(headers)


@pytest.mark.parametrize("name", ["Host", "accept", "ACCEPT"])
def test_a_header_of_the_user_replaces_ours(answering, name):
    server = answering(with_body(b"a 1\n"))
    fetch(server.url, headers={name: "mine"})
    assert server.requests[0].lower().count(b"\r\n" + name.lower().encode() + b": ") == 1
    assert b": mine\r\n" in server.requests[0]


@pytest.mark.parametrize(
    ("suffix", "target"),
    [
        ("", b"/metrics"),
        ("?a=1&b=%26", b"/metrics?a=1&b=%26"),
        ("#part", b"/metrics"),
        ("/a b\u00e9", b"/metrics/a%20b%C3%A9"),
        ("\r\nX-Evil: 1", b"/metricsX-Evil:%201"),
        ("?a=\r\nX-Evil: 1", b"/metrics?a=X-Evil:%201"),
        ("\x00\x7f", b"/metrics%00%7F"),
    ],
)
def test_the_url_is_written_as_http_wants_it(answering, suffix, target):
    server = answering(with_body(b"a 1\n"))
    fetch(server.url + suffix)
    assert server.requests[0].split(b" HTTP/1.1\r\n")[0] == b"GET " + target
    assert b"evil: 1\r\n" not in server.requests[0].lower().partition(b"\r\n")[2]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://shop.example/metrics", b"shop.example"),
        ("http://Shop.Example:80/metrics", b"shop.example:80"),
        ("http://[::1]:8000/metrics", b"[::1]:8000"),
        ("http://b\u00fccher.example/", b"xn--bcher-kva.example"),
        (f"http://{'a' * 63}.example:8000/", b"a" * 63 + b".example:8000"),
    ],
)
def test_the_host_is_that_of_the_url(url, host, monkeypatch):
    """No connection is made: a server of the test would have another name."""
    sent = []

    class Stream:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            pass

        async def send(self, data):
            sent.append(data)
            raise BrokenResourceError

    async def connect(*_, **__):
        return Stream()

    monkeypatch.setattr("asyncmetrics.cli.proxy.upstream.connect_tcp", connect)
    find_problem(url)
    assert b"\r\nhost: " + host + b"\r\n" in sent[0]


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "."])
def test_a_host_that_cannot_be_is_refused_at_once(host):
    with pytest.raises(ScrapeError, match="the name of its host is not valid"):
        Upstream(Target(f"http://{host}/metrics"))


def test_bytes_that_are_no_text_arrive_as_they_were_given(answering):
    server = answering(with_body(b"a 1\n"))
    fetch(f"{server.url}/\udcff?\udcfe", headers={"Authorization": "Bearer \udcff"})
    assert server.requests[0].startswith(b"GET /metrics/%FF?%FE HTTP/1.1\r\n")
    assert b"authorization: Bearer \xff\r\n" in server.requests[0]


def test_port_0_is_no_default_port():
    assert "answer" not in find_problem("http://127.0.0.1:0/metrics")


@pytest.fixture(scope="module")
def recording():
    """A server that is the same for all examples."""
    with RawServer(with_body(b"a 1\n")) as server:
        yield server


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=4))
@example(["a&b=c", "x\r\nHost: evil", "#", "%0d%0a", " ", "a HTTP/1.1\r\n\r\nGET /secret HTTP/1.1\r\n\r\n"])
def test_names_are_values_of_the_query_and_nothing_else(recording, names):
    fetch(recording.url + "?own=1", names)
    line, _, rest = recording.requests[-1].partition(b"\r\n")
    method, target, version = line.split(b" ")
    assert (method, version, rest.count(b"\r\nhost: ") + rest.startswith(b"host: ")) == (b"GET", b"HTTP/1.1", 1)
    pairs = parse_qsl(target.decode().partition("?")[2], keep_blank_values=True)
    assert pairs == [("own", "1"), *(("name[]", name) for name in names)]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_no_redirect_is_followed(answering, status):
    other = answering(with_body(b"stolen 1\n"))
    answer = b"HTTP/1.1 %d X\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, other.url.encode())
    problem = find_problem(answering(answer).url, headers={"Authorization": "Bearer s3cret"})
    assert problem.startswith(f"it redirects ({status})")
    assert other.requests == []


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (b"401 Bearer s3cret", "the answer is 401 Unauthorized"),
        (b"500 <script>", "the answer is 500 Internal Server Error"),
        (b"500 \x1b[2J", "the answer is 500 Internal Server Error"),
        (b"299 s3cret", "the answer is 299"),
        (b"999 s3cret", "the answer is 999"),
    ],
)
def test_a_refusal_is_named_without_a_word_of_the_server(answering, status, problem):
    """The server may repeat the credentials that it was sent."""
    answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: 6\r\nwww-authenticate: s3cret\r\n\r\ns3cret"
    assert find_problem(answering(answer).url) == problem


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        (b"text/plain; version=0.0.4", TEXT),
        (b"text/plain; version=1.0.0; escaping=allow-utf-8; x=y", "text/plain; version=1.0.0; charset=utf-8"),
        (b"text/html", TEXT),
        (b"TEXT/javascript", TEXT),
        (b"application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        (b"Application/OpenMetrics-Text; charset=x;\ta=\xff", OPENMETRICS),
    ],
)
def test_there_are_three_content_types_whatever_the_server_says(answering, sent, content_type):
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: " + sent + b"\r\ncontent-length: 4\r\n\r\na 1\n"
    assert fetch(answering(answer).url) == Answer(b"a 1\n", content_type)


def test_names_come_as_they_are(registry):
    Gauge("http.requests", "Requests.", ["gr\u00f6\u00dfe"], registry=registry).labels("1").set(1)
    with start_http_server(0, registry=registry) as server:
        body = fetch(f"http://127.0.0.1:{server.port}/", most_bytes=10_000).body.decode()
    assert '{"http.requests","gr\u00f6\u00dfe"="1"} 1.0' in body


def test_an_answer_without_a_content_type_is_text(answering):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na 1\n"
    assert fetch(answering(answer).url) == Answer(b"a 1\n", TEXT)


@pytest.mark.parametrize("kind", [b"image/png", b"application/vnd.google.protobuf", b"application/json", b"x"])
def test_another_content_type_is_refused(answering, kind):
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ncontent-length: 4\r\n\r\na 1\n"
    assert find_problem(answering(answer).url).startswith("the answer is no text")


def test_a_page_of_html_is_refused(answering):
    assert "a page of HTML" in find_problem(answering(with_body(b"\n <!doctype html>")).url)


def test_gzip_is_decompressed(answering):
    server = answering(with_body(gzip.compress(b"a 1\n"), b"content-encoding: gzip"))
    assert fetch(server.url).body == b"a 1\n"


@pytest.mark.parametrize(
    ("body", "encoding", "problem"),
    [
        (gzip.compress(b"a" * 10_000_000), b"gzip", "the answer is too long"),
        (gzip.compress(b"a 1\n")[:-9], b"gzip", "the answer is cut off"),
        (b"", b"gzip", "the answer is cut off"),
        (b"a 1\n", b"gzip", "the answer is not compressed"),
        (b"a 1\n", b"br", "the answer is compressed in another way"),
        (gzip.compress(gzip.compress(b"a 1\n")), b"gzip, gzip", "the answer is compressed in another way"),
    ],
    ids=["bomb", "cut", "empty", "plain", "brotli", "twice"],
)
def test_a_wrong_compression_is_refused(answering, body, encoding, problem):
    server = answering(with_body(body, b"content-encoding: " + encoding))
    assert find_problem(server.url, most_bytes=50_000).startswith(problem)


def test_a_bomb_takes_little_memory(answering):
    server = answering(with_body(gzip.compress(b"a" * 30_000_000), b"content-encoding: gzip"))
    tracemalloc.start()
    try:
        assert find_problem(server.url, most_bytes=50_000).startswith("the answer is too long")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_data_after_the_compressed_text_does_not_count(answering):
    server = answering(with_body(gzip.compress(b"a 1\n") + b"garbage", b"content-encoding: gzip"))
    assert fetch(server.url).body == b"a 1\n"


@pytest.mark.parametrize(
    ("headers", "piece"),
    [
        (b"\r\n", b"a 1\n" * 100),
        (b"transfer-encoding: chunked\r\n\r\n", b"4\r\na 1\n\r\n" * 100),
        (b"content-encoding: gzip\r\n\r\n", gzip.compress(b"") * 50),
        (b"content-length: 99999999999\r\n\r\n", b"a 1\n" * 100),
    ],
    ids=["until it closes", "chunked", "empty parts of gzip", "length"],
)
def test_an_answer_without_an_end_is_broken_off(answering, headers, piece):
    server = answering(lambda: itertools.chain([HEAD + headers], itertools.repeat(piece)))
    assert find_problem(server.url).startswith("the answer is too long")


def test_an_answer_of_exactly_the_limit_is_read(answering):
    assert len(fetch(answering(with_body(b"a" * 1000)).url).body) == 1000
    assert find_problem(answering(with_body(b"a" * 1001)).url).startswith("the answer is too long")


def drip(*first: bytes):
    def answer():
        yield from first
        while True:
            time.sleep(SHORT_SECONDS / 10)
            yield b"a"

    return answer


@pytest.mark.parametrize(
    "first",
    [[], [b"HTTP/1.1 200 OK\r\nx: "], [HEAD + b"\r\n"], [b"HTTP/1.1 100 Continue\r\n\r\n"]],
    ids=["status", "header", "body", "after a 100"],
)
def test_a_server_that_drips_its_bytes_has_one_timeout_for_all_of_them(answering, first):
    problem = find_problem(answering(drip(*first)).url, timeout=SHORT_SECONDS, most_bytes=1 << 20)
    assert problem in {"there is no whole answer after 0.2 seconds", "the answer is not HTTP/1.1, or is cut off"}


def test_a_server_that_sends_nothing_is_given_up(answering):
    def answer():
        time.sleep(SHORT_SECONDS * 2)
        return []

    assert find_problem(answering(answer).url, timeout=SHORT_SECONDS) == "there is no whole answer after 0.2 seconds"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(answering, answer):
    assert find_problem(answering(answer).url) in {
        "the answer is not HTTP/1.1, or is cut off",
        "the server has broken off the connection",
    }


def test_a_refused_connection_says_so():
    assert find_problem(f"http://127.0.0.1:{find_free_port()}/") == "Connection refused"


@pytest.mark.parametrize(
    "url",
    ["", "http://", "http:///metrics", "ftp://x/", "file:///etc/passwd", "http://[::1/", "http://x:99999/", "x:8000"],
)
def test_a_url_that_cannot_be_read_is_refused_at_once(url):
    with pytest.raises(ScrapeError, match="expected a URL such as"):
        Upstream(Target(url))


def test_a_url_with_credentials_is_refused_and_not_repeated():
    with pytest.raises(ScrapeError) as caught:
        Upstream(Target("http://user:s3cret@shop.example/metrics"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer s3cret\r\nX: y"},
        {"Authorization": "Bearer s3cret\0"},
        {"s3cret name": "x"},
        {"Content-Length": "5"},
        {"Transfer-Encoding": "s3cret"},
    ],
    ids=str,
)
def test_a_header_that_http_does_not_allow_is_refused_and_not_repeated(headers):
    with pytest.raises(ScrapeError, match="cannot be sent over HTTP") as caught:
        Upstream(Target("http://shop.example/metrics", headers))
    assert "s3cret" not in str(caught.value)


def test_the_environment_has_no_say_in_the_host(answering, monkeypatch):
    proxy, server = answering(with_body(b"proxy 1\n")), answering(with_body(b"a 1\n"))
    monkeypatch.setenv("http_proxy", proxy.url)
    assert fetch(server.url).body == b"a 1\n"
    assert proxy.requests == []


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(registry, authority, tmp_path):
    Counter("jobs_total", "Jobs.", registry=registry).inc()
    files = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(files))
    with start_http_server(0, registry=registry, certfile=str(files)) as server:
        yield f"https://localhost:{server.port}/metrics"


def test_a_certificate_of_the_users_own_is_trusted(tls_server, authority, tmp_path):
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    assert b"jobs_total 1.0" in fetch(tls_server, ca_file=str(trusted)).body


def test_a_certificate_that_is_not_trusted_is_refused(tls_server):
    assert "certificate verify failed" in find_problem(tls_server)


def test_a_certificate_of_another_host_is_refused(tls_server, authority, tmp_path):
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    problem = find_problem(tls_server.replace("localhost", "127.0.0.1"), ca_file=str(trusted))
    assert "certificate verify failed" in problem


def test_files_that_are_no_certificates_are_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("x")
    with pytest.raises(ScrapeError, match="cannot be used"):
        Upstream(Target("https://localhost/", ca_file=str(tmp_path / "ca.pem")))
