"""The proxy of ``asyncmetrics live``: whom it answers, what reaches the other server, what comes back."""

from __future__ import annotations

import json
import socket
from http.client import HTTPResponse
from itertools import chain

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import Counter, start_http_server
from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli.live import LiveServer, start_live_server
from asyncmetrics.cli.proxy.upstream import Upstream
from asyncmetrics.errors import SourceError
from asyncmetrics.exposition.live.page import load_page
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.raw_server import RawServer

PAGE = load_page()
SECRET = "s3cret-of-the-upstream"
METRICS = b"# TYPE jobs_total counter\njobs_total 1\n"
EVIL = b"set-cookie: a=b\r\naccess-control-allow-origin: *\r\nlocation: http://evil.example/\r\nx-evil: \xff\r\n"


def answer(body: bytes = METRICS, status: bytes = b"200 OK", kind: bytes = b"text/plain") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\n" + EVIL + b"content-type: " + kind + b"\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.fixture(scope="module")
def upstream():
    """The other server, which sends hostile headers and records its requests."""
    with RawServer(answer()) as server:
        yield server


def serve_upstream(server: RawServer, **options) -> LiveServer:
    target = Target(f"{server.url}?own=1", {"Authorization": f"Bearer {SECRET}"}, timeout=PATIENCE_SECONDS)
    return start_live_server(Upstream(target, **options))


@pytest.fixture(scope="module")
def served(upstream):
    with serve_upstream(upstream) as served:
        yield served


@pytest.fixture(scope="module")
def base(served) -> str:
    """The URL of the metrics: that of the page without ``/live``."""
    return served.url.removesuffix("/live")


def send(served: LiveServer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send the bytes of a request, and return the status, the headers and the body of the response."""
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        response = HTTPResponse(client)
        response.begin()
        return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()


def ask_as(served: LiveServer, host: bytes, path: str = "") -> int:
    own = path or httpx.URL(served.url).path
    return send(served, b"GET " + own.encode() + b" HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")[0]


def test_the_page_is_at_the_printed_url(served):
    response = httpx.get(served.url)
    assert (response.status_code, response.content) == (200, PAGE.body)
    for name, value in PAGE.headers:
        assert response.headers[name.decode()] == value.decode()


@pytest.mark.parametrize("suffix", ["", "/"])
def test_the_metrics_are_beside_it(base, suffix):
    response = httpx.get(base + suffix)
    assert (response.status_code, response.content) == (200, METRICS)


def test_the_url_is_of_the_loopback_and_has_a_long_secret(served):
    url = httpx.URL(served.url)
    assert url.host == "127.0.0.1"
    assert len(url.path.split("/")[1]) == 32
    assert served.server.server_address[0] == "127.0.0.1"


def test_each_server_has_another_secret_and_port(upstream, served):
    with serve_upstream(upstream) as other:
        assert httpx.URL(other.url).path != httpx.URL(served.url).path
        assert other.server.port != served.server.port


@pytest.mark.parametrize("name", [b"127.0.0.1", b"localhost"])
def test_its_own_names_are_answered(served, name):
    assert ask_as(served, name + b":%d" % served.server.port) == 200


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:{port}",
        b"127.0.0.1",
        b"localhost",
        b"127.0.0.1:1",
        b"127.0.0.1:{port}.evil.example",
        b"127.0.0.1:{port}@evil.example",
        b"evil.example@127.0.0.1:{port}",
        b"localhost.:{port}",
        b"localhost.evil.example:{port}",
        b"LOCALHOST:{port}",
        b"127.1:{port}",
        b"2130706433:{port}",
        b"0.0.0.0:{port}",
        b"[::1]:{port}",
        b"[::ffff:127.0.0.1]:{port}",
        b"127.0.0.1:0{port}",
        b"127.0.0.1:{port},evil.example",
        b"127.0.0.1:{port}, 127.0.0.1:{port}",
        b"",
    ],
)
@pytest.mark.parametrize("is_page", [True, False])
def test_another_host_is_refused(served, upstream, host, is_page):
    """A site whose name is rebound to 127.0.0.1 sends its own name as Host."""
    before = len(upstream.requests)
    path = httpx.URL(served.url).path.removesuffix("" if is_page else "/live")
    assert ask_as(served, host.replace(b"{port}", b"%d" % served.server.port), path) == 403
    assert len(upstream.requests) == before


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_request_without_a_host_is_refused(served, version):
    path = httpx.URL(served.url).path.encode()
    assert send(served, b"GET " + path + b" HTTP/" + version + b"\r\n\r\n")[0] in {400, 403}


def test_two_hosts_are_refused(served):
    path, port = httpx.URL(served.url).path.encode(), served.server.port
    hosts = b"host: 127.0.0.1:%d\r\nhost: evil.example\r\n" % port
    assert send(served, b"GET " + path + b" HTTP/1.1\r\n" + hosts + b"\r\n")[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "http://127.0.0.1:{port}.evil.example"},
        {"Origin": "http://127.0.0.1:{port}, http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        {"Sec-Fetch-Site": "Same-Origin"},
        {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-site"},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("path", ["", "/live"])
def test_a_request_that_another_site_causes_is_refused(base, served, upstream, headers, path):
    before = len(upstream.requests)
    sent = {name: value.replace("{port}", str(served.server.port)) for name, value in headers.items()}
    assert httpx.get(base + path, headers=sent).status_code == 403
    assert len(upstream.requests) == before


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://127.0.0.1:{port}"}],
    ids=json.dumps,
)
def test_a_request_of_the_page_or_of_the_user_is_answered(base, served, headers):
    sent = {name: value.replace("{port}", str(served.server.port)) for name, value in headers.items()}
    assert httpx.get(base, headers=sent).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/live",
        "//live",
        "/metrics",
        "/favicon.ico",
        "/{token}x",
        "/{token}x/live",
        "/x{token}/live",
        "//{token}",
        "//{token}/live",
        "/x/{token}",
        "/x/../{token}",
        "/./{token}",
        "/{token}/x",
        "/{token}/metrics",
        "/{token}/../metrics",
        "/{token}//",
        "/{token}//live",
        "/{token}/live/x",
        "/{token}/live//",
        "/{token}/%6cive",
        "/{token}%2flive",
        "/{token};live",
        "/{token}/http://evil.example/",
        "/{token}/live%00",
        "http://127.0.0.1:{port}/{token}",
        "http://evil.example/{token}",
        "*",
        "/\xff",
        "/" + "a" * 20_000,
    ],
)
def test_no_other_path_has_anything_or_reaches_the_upstream(served, upstream, path):
    before = len(upstream.requests)
    token = httpx.URL(served.url).path.split("/")[1]
    target = path.replace("{token}", token).replace("{port}", str(served.server.port))
    request = b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % served.server.port
    status, headers, body = send(served, request)
    assert (status, body) in {(404, b"There is nothing here.\n"), (400, b"")}
    assert token not in str(headers)
    assert len(upstream.requests) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"])
@pytest.mark.parametrize("path", ["", "/live"])
def test_other_methods_than_get_and_head_are_refused(base, upstream, method, path):
    before = len(upstream.requests)
    response = httpx.request(method, base + path, content=b"name[]=a")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert len(upstream.requests) == before


@pytest.mark.parametrize("path", ["", "/live"])
def test_head_has_the_headers_alone(base, path):
    head, get = httpx.head(base + path), httpx.get(base + path)
    assert (head.status_code, head.content) == (200, b"")
    assert {*head.headers.items()} - {("date", head.headers["date"])} <= {*get.headers.items()}


@pytest.mark.parametrize("path", ["", "/live"])
def test_a_request_after_head_is_answered_on_the_same_connection(base, served, path):
    """A body after the headers would be taken for the next response."""
    url = httpx.URL(base + path)
    requests = [
        b"%s %s HTTP/1.1\r\nhost: %s\r\n\r\n" % (method, url.raw_path, url.netloc) for method in (b"HEAD", b"GET")
    ]
    with socket.create_connection(("127.0.0.1", served.server.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(b"".join(requests))
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.endswith(httpx.get(url).content)


@pytest.mark.parametrize(
    "query", ["x=1", "name=a", "name[]=a&x=1", "name[]=a&own=2", "x", "a[]=1", "%00", "url=http://x"]
)
def test_only_names_may_be_in_the_query(base, upstream, query):
    before = len(upstream.requests)
    assert httpx.get(f"{base}?{query}").status_code == 400
    assert len(upstream.requests) == before


@pytest.mark.parametrize("query", ["&".join(["name[]=a"] * 257), f"name[]={'a' * 1025}"])
def test_names_are_limited(base, query):
    assert httpx.get(f"{base}?{query}").status_code == 400


@settings(max_examples=30)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=3))
def test_names_arrive_whatever_they_are_beside_the_query_of_the_url(upstream, base, names):
    assert httpx.get(base, params={"name[]": names}).content == METRICS
    target = upstream.requests[-1].split(b" ", 2)[1].decode()
    assert httpx.URL(target).params.multi_items() == [("own", "1"), *(("name[]", name) for name in names)]


def test_nothing_else_of_a_request_reaches_the_upstream(base, upstream):
    sent = {"Cookie": "a=marker", "Authorization": "marker", "Accept": "marker/*", "X-Marker": "marker"}
    httpx.get(base, headers={**sent, "User-Agent": "marker", "Accept-Language": "marker"})
    assert b"marker" not in upstream.requests[-1]
    assert f"authorization: Bearer {SECRET}".encode() in upstream.requests[-1]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\nx: y\r\n\r\n",
        b"GET {path} HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
        b"GET {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\ncontent-length: 9\r\n\r\nsmuggled!",
        b"GET {path}\r\nx: smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n",
        b"GET {path}?name[]=a%0d%0ax:%20smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n",
        b"GET {path}?name[]=%20HTTP/1.1%0d%0a%0d%0aGET%20/smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n",
    ],
)
def test_no_request_is_smuggled(base, served, upstream, request_):
    """The upstream sees at most one request for its own path, with no line of the client."""
    before = len(upstream.requests)
    url = httpx.URL(base)
    send(served, request_.replace(b"{path}", url.path.encode()).replace(b"{host}", url.netloc))
    seen = upstream.requests[before:]
    assert len(seen) <= 1
    for request in seen:
        assert request.startswith(b"GET /metrics?own=1")
        assert not any(line.startswith((b"x: ", b"GET /smuggled")) for line in request.split(b"\r\n"))


def test_the_credentials_and_the_headers_of_the_upstream_reach_no_browser(base, served):
    for response in (httpx.get(base), httpx.get(served.url)):
        assert SECRET not in response.text + str(response.headers)
        assert response.headers.keys().isdisjoint({"set-cookie", "access-control-allow-origin", "location", "x-evil"})


@pytest.mark.parametrize("path", ["", "/live", "/x"])
def test_every_response_is_protected(base, path):
    headers = httpx.get(base + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("kind", [b"text/html", b"text/javascript", b"text/plain\r\nx: y", b"text/css;a=b"])
def test_a_text_of_any_kind_is_plain_text(kind):
    with RawServer(answer(kind=kind)) as upstream, serve_upstream(upstream) as served:
        response = httpx.get(served.url.removesuffix("/live"))
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert response.content == METRICS


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (b"302 Found", "it redirects (302), which is not followed"),
        (b"401 Unauthorized", "the answer is 401 Unauthorized"),
        (b"503 Gone fishing", "the answer is 503 Service Unavailable"),
    ],
)
def test_a_refusal_of_the_upstream_is_a_502_with_a_sentence(status, sentence):
    """A 401 would make the browser ask for credentials, and a redirect would take it elsewhere."""
    body = f"you sent {SECRET}".encode()
    with RawServer(answer(body, status)) as upstream, serve_upstream(upstream) as served:
        response = httpx.get(served.url.removesuffix("/live"))
        assert (response.status_code, len(upstream.requests)) == (502, 1)
        assert response.text.startswith(f"The metrics cannot be read: {sentence}")
        assert SECRET not in response.text + str(response.headers)
        assert "evil" not in response.text + str(response.headers)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_an_answer_that_is_too_long_is_a_502():
    endless = chain.from_iterable
    with (
        RawServer(lambda: endless([[b"HTTP/1.1 200 OK\r\n\r\n"], iter(lambda: b"a 1\n" * 1000, None)])) as upstream,
        serve_upstream(upstream, most_bytes=10_000) as served,
    ):
        response = httpx.get(served.url.removesuffix("/live"))
        assert (response.status_code, "too long" in response.text) == (502, True)


def test_a_large_answer_arrives_whole():
    body = b"jobs_total 1\n" * 500_000
    with RawServer(answer(body)) as upstream, serve_upstream(upstream) as served:
        assert httpx.get(served.url.removesuffix("/live")).content == body


def test_the_page_stays_while_the_upstream_is_away_and_comes_back(registry):
    Counter("jobs_total", "Jobs.", registry=registry).inc()
    with start_http_server(0, registry=registry) as first:
        port = first.port
        served = start_live_server(Upstream(Target(f"http://127.0.0.1:{port}/")))
    with served:
        metrics = served.url.removesuffix("/live")
        assert httpx.get(metrics).text == "The metrics cannot be read: Connection refused.\n"
        assert httpx.get(served.url).content == PAGE.body
        with start_http_server(port, registry=registry):
            assert "jobs_total 1.0" in httpx.get(metrics).text


def test_a_slow_upstream_is_asked_by_four_at_a_time(registry):
    """Tabs that wait must not pile up more and more requests to it."""
    is_over = []

    def wait():
        wait_until(lambda: is_over)
        return [answer()]

    clients = []
    with RawServer(wait) as upstream, serve_upstream(upstream) as served:
        try:
            path = httpx.URL(served.url).path.removesuffix("/live").encode()
            for _ in range(4):
                clients.append(socket.create_connection(("127.0.0.1", served.server.port), PATIENCE_SECONDS))
                clients[-1].sendall(b"GET " + path + b" HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % served.server.port)
            wait_until(lambda: httpx.head(served.url.removesuffix("/live")).status_code, lambda status: status == 503)
            assert httpx.get(served.url).status_code == 200
        finally:
            is_over.append(True)
            for client in clients:
                client.close()


def test_a_port_that_is_taken_is_a_clear_error(upstream, served):
    with pytest.raises(SourceError, match=r"^--port: the metrics cannot be served .*: Address already in use"):
        start_live_server(Upstream(Target(upstream.url)), served.server.port)


def test_the_end_of_the_block_closes_the_port(upstream):
    with serve_upstream(upstream) as served:
        pass
    assert not served.thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)
