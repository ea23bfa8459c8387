"""One scrape of a URL: what it returns, what it sends, and what it says if the server does not answer with metrics."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from asyncmetrics import CollectorRegistry, Counter, Gauge, start_http_server
from asyncmetrics.bridges.scraping import OPENMETRICS_FIRST, Target
from asyncmetrics.errors import ScrapeError
from tests.servers.raw_server import RawServer

pytestmark = pytest.mark.blocking

SHORT_SECONDS = 0.05


class Foreign(ThreadingHTTPServer):
    """A server that answers each path of ``answers`` with (status, headers, body), and stores the requests' headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Foreign

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, headers, body = self.server.answers[self.path.partition("?")[0]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    with Foreign() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ours() -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs.", registry=registry).inc(3)
    Gauge("waiting", "Waiting.", registry=registry).set(2)
    with start_http_server(0, registry=registry) as server:
        yield f"http://127.0.0.1:{server.port}/metrics"


@pytest.mark.parametrize("accept", [OPENMETRICS_FIRST, "text/plain;version=0.0.4"])
def test_the_families_are_those_of_the_server_in_each_format(ours, accept):
    families = Target(ours).scrape(accept=accept).parse()
    assert [(family.name, family.type) for family in families] == [("jobs", "counter"), ("waiting", "gauge")]


def test_names_ask_for_their_families_only(ours):
    (family,) = Target(f"{ours}?debug=1").scrape(["waiting"]).parse()
    assert family.name == "waiting"


def test_gzip_is_read(foreign):
    foreign.answers["/"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"up 1\n"))
    assert Target(foreign.url("/")).scrape().text == "up 1\n"


def test_the_name_of_a_coding_may_be_in_capitals(foreign):
    foreign.answers["/"] = (200, {"Content-Encoding": "GZIP"}, gzip.compress(b"up 1\n"))
    assert Target(foreign.url("/")).scrape().text == "up 1\n"


def test_headers_are_sent(foreign):
    foreign.answers["/"] = (200, {}, b"")
    Target(foreign.url("/"), {"Authorization": "Bearer x"}).scrape()
    assert foreign.requests[0][1]["authorization"] == "Bearer x"


def test_a_redirect_of_the_same_server_is_followed(foreign):
    foreign.answers |= {"/a": (307, {"Location": "/a/"}, b""), "/a/": (200, {}, b"up 1\n")}
    assert Target(foreign.url("/a")).scrape().text == "up 1\n"


def test_a_redirect_to_another_server_is_refused_and_gets_no_credentials(foreign):
    with Foreign() as other:
        foreign.answers["/"] = (302, {"Location": other.url("/steal")}, b"")
        with pytest.raises(ScrapeError, match=r"it redirects to http://127\.0\.0\.1:\d+/steal: use that URL if"):
            Target(foreign.url("/"), {"Authorization": "Bearer x"}).scrape()
        assert other.requests == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((503, {}, b"busy\nmore"), "the answer is 503 Service Unavailable: busy"),
        ((404, {}, b""), "the answer is 404 Not Found"),
        ((200, {}, b"\xff"), "the answer is not UTF-8 text"),
        ((204, {}, b""), "the answer is 204 No Content"),
        ((200, {"Content-Encoding": "br"}, b""), "the answer is in the coding 'br', which was not asked for"),
        ((200, {"Content-Encoding": "gzip"}, b"no gzip"), "Not a gzipped file"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"")[:10] + b"\xff" * 20), "invalid block type"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"up 1\n" * 999)[:-9]), "Compressed file ended"),
    ],
)
def test_an_answer_without_metrics_is_explained(foreign, answer, problem):
    foreign.answers["/"] = answer
    with pytest.raises(ScrapeError, match=problem):
        Target(foreign.url("/")).scrape()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://127.0.0.1/", "file:///etc/passwd", "http:///metrics"])
def test_what_is_no_url_is_refused_with_an_example(url):
    with pytest.raises(ScrapeError, match=r"expected a URL such as http://127\.0\.0\.1:8000/metrics"):
        Target(url).scrape()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:port/", "http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1:9/a b"]
)
def test_a_malformed_url_is_a_scrape_error(url):
    with pytest.raises(ScrapeError, match=r"^cannot read http://"):
        Target(url).scrape()


def test_a_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(ScrapeError, match=r"^cannot read http://…@127\.0\.0\.1/: expected a URL without") as raised:
        Target("http://ann:secret@127.0.0.1/").scrape()
    assert "secret" not in str(raised.value)


def test_a_server_that_does_not_listen_is_explained():
    with pytest.raises(ScrapeError, match="Connection refused"):
        Target("http://127.0.0.1:9/metrics").scrape()


def test_a_server_that_does_not_answer_is_a_scrape_error():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(ScrapeError, match="timed out"):
            Target(url, timeout=SHORT_SECONDS).scrape()


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "]
)
def test_a_server_that_sends_a_byte_now_and_then_is_a_scrape_error(head):
    def answer() -> Iterator[bytes]:
        yield head
        for _ in range(20):
            time.sleep(SHORT_SECONDS / 2)
            yield b"#"

    with RawServer(answer) as server, pytest.raises(ScrapeError, match="timed out"):
        Target(server.url, timeout=SHORT_SECONDS).scrape()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\na 1\n", "the answer ended before its end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n", "the answer ended before its end"),
        (b"", "the server has closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP: it begins with 'SSH-2.0-OpenSSH"),
    ],
)
def test_an_answer_that_is_cut_off_or_not_http_is_explained(answer, problem):
    with RawServer(answer) as server, pytest.raises(ScrapeError, match=problem):
        Target(server.url).scrape()


def test_a_file_without_certificates_is_named(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(ScrapeError, match=r"ca\.pem is no file of certificates \(PEM\)"):
        Target("https://127.0.0.1:9/", ca_file=str(path)).scrape()


def test_a_server_without_tls_is_explained(foreign):
    with pytest.raises(ScrapeError, match="TLS failed: .*; is it a server of https?"):
        Target(foreign.url("/").replace("http:", "https:")).scrape()


def test_a_certificate_that_is_not_trusted_is_explained_and_one_of_the_file_is_trusted(tmp_path):
    authority = trustme.CA()
    issued, path = authority.issue_cert("127.0.0.1"), tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with start_http_server(0, registry=CollectorRegistry(), certfile=str(path), keyfile=str(path)) as server:
        url = f"https://127.0.0.1:{server.port}/metrics"
        with pytest.raises(
            ScrapeError, match="the certificate of the server is not trusted: unable to get local issuer"
        ):
            Target(url).scrape()
        assert Target(url, ca_file=str(tmp_path / "ca.pem")).scrape().text == ""
