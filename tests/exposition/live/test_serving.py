"""Who gets the live page, where, and how: beside the metrics, with their access, and with the page's own headers."""

from __future__ import annotations

from base64 import b64encode

import anyio
import httpx
import pytest

import asyncmetrics
from asyncmetrics import Counter, MetricsMiddleware, make_asgi_app
from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.live.page import load_page

PAGE = load_page()
BASIC = [(b"authorization", b"Basic " + b64encode(b"user:password"))]
BEARER = [(b"authorization", b"Bearer s3cret")]


def allow(scope):
    return True


def refuse(scope):
    return False


def fail(scope):
    raise LookupError


@pytest.fixture
def registry(registry):
    Counter("jobs", "Jobs.", registry=registry).inc()
    return registry


@pytest.mark.parametrize("path", ["/live", "/live/", "/metrics/live", "/metrics/live/", "/prefix/of/a/proxy/live"])
def test_every_path_that_ends_in_live_has_the_page(registry, ask, backend, path):
    answer = ask(make_asgi_app(registry, live=True), backend, path=path)
    assert (answer.status, answer.text) == (200, PAGE.body.decode())


@pytest.mark.parametrize("path", ["/", "/metrics", "/metrics/", "/live/metrics", "/olive", "/metrics/live.html", ""])
def test_other_paths_have_the_metrics(registry, ask, path):
    assert "jobs_total 1.0" in ask(make_asgi_app(registry, live=True), path=path).text


@pytest.mark.parametrize("path", ["//evil.example/live", "//evil.example/live/", "///live"])
def test_a_path_that_names_another_host_has_no_page(registry, ask, path):
    """The page takes the address of the metrics from its own path."""
    assert "jobs_total 1.0" in ask(make_asgi_app(registry, live=True), path=path).text


@pytest.mark.parametrize("options", [{}, {"live": False}])
def test_without_the_option_there_are_metrics_at_every_path(registry, ask, options):
    assert "jobs_total 1.0" in ask(make_asgi_app(registry, **options), path="/metrics/live").text


def test_the_page_has_its_own_headers(registry, ask):
    headers = ask(make_asgi_app(registry, live=True), path="/metrics/live").headers
    for name, value in PAGE.headers:
        assert headers[name.decode()] == value.decode()
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_page_is_compressed_if_the_client_accepts_gzip(registry, ask):
    accepting = [(b"accept-encoding", b"br, gzip")]
    answer = ask(make_asgi_app(registry, live=True), path="/live", headers=accepting)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == PAGE.body.decode()
    assert int(answer.headers["content-length"]) == sum(map(len, answer.chunks)) != len(PAGE.body)


def test_the_page_is_not_compressed_if_compression_is_disabled(registry, ask):
    accepting = [(b"accept-encoding", b"gzip")]
    answer = ask(make_asgi_app(registry, True, live=True), path="/live", headers=accepting)
    assert "content-encoding" not in answer.headers
    assert b"".join(answer.chunks) == PAGE.body


def test_head_has_the_headers_of_the_page_alone(registry, ask):
    app = make_asgi_app(registry, live=True)
    head = ask(app, path="/live", method="HEAD")
    assert (head.status, head.text) == (200, "")
    assert head.headers == ask(app, path="/live").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_get_405(registry, ask, method):
    answer = ask(make_asgi_app(registry, live=True), path="/live", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("headers", [[], BEARER, [(b"authorization", b"Basic dXNlcjp3cm9uZw==")]])
def test_wrong_basic_credentials_get_no_page_and_a_challenge(registry, ask, headers):
    answer = ask(make_asgi_app(registry, live=True, auth=("user", "password")), path="/live", headers=headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="metrics", charset="UTF-8"'
    assert "<" not in answer.text


def test_the_right_basic_credentials_get_the_page(registry, ask):
    answer = ask(make_asgi_app(registry, live=True, auth=("user", "password")), path="/live", headers=BASIC)
    assert answer.text == PAGE.body.decode()


def test_beside_a_token_the_page_is_open_and_the_metrics_are_not(registry, ask):
    app = make_asgi_app(registry, live=True, auth="s3cret")
    assert ask(app, path="/metrics/live").text == PAGE.body.decode()
    assert ask(app, path="/metrics").status == 401
    assert "jobs_total 1.0" in ask(app, path="/metrics", headers=BEARER).text


@pytest.mark.parametrize("path", ["//evil.example/live", "/live/x", "/livex", "/live?", "/live;x", "/LIVE", "/live//x"])
def test_beside_a_token_no_path_like_that_of_the_page_has_metrics(registry, ask, path):
    answer = ask(make_asgi_app(registry, live=True, auth="s3cret"), path=path)
    assert (answer.status, "jobs" in answer.text) == (401, False)


def test_the_query_makes_no_metrics_of_the_open_page(registry, ask):
    answer = ask(make_asgi_app(registry, live=True, auth="s3cret"), path="/live", query=b"name[]=jobs_total")
    assert answer.text == PAGE.body.decode()


@pytest.mark.parametrize(("predicate", "status"), [(allow, 200), (refuse, 403), (fail, 403)])
def test_a_predicate_decides_on_the_page_too(registry, ask, predicate, status):
    answer = ask(make_asgi_app(registry, live=True, auth=predicate), path="/live")
    assert (answer.status, "<" in answer.text) == (status, status == 200)


def test_a_refused_page_counts_as_denied(registry, ask):
    """A client that guesses passwords at the page is seen as it is at the metrics."""
    ask(make_asgi_app(registry, live=True, auth=("user", "password")), path="/live", headers=BEARER)
    assert registry.get_sample_value("asyncmetrics_scrapes_total", {"outcome": "denied"}) == 1


def test_a_served_page_is_no_scrape(registry, ask):
    ask(make_asgi_app(registry, live=True), path="/live")
    assert registry.get_sample_value("asyncmetrics_scrapes_total", {"outcome": "served"}) is None


def test_middleware_around_the_page_does_not_measure_it(registry, ask):
    app = MetricsMiddleware(make_asgi_app(registry, live=True), registry=registry)
    ask(app, path="/live")
    ask(app, path="/live", method="POST")
    assert [family.name for family in registry.collect() if family.samples and "http" in family.name] == []


def test_a_client_that_has_left_is_no_error(registry, scope):
    async def send(_):
        raise OSError

    async def main():
        await make_asgi_app(registry, live=True)(scope(path="/live"), None, send)

    anyio.run(main)


@pytest.mark.parametrize("live", ["yes", 1, None])
def test_a_wrong_option_is_refused(registry, live):
    with pytest.raises(DefinitionError, match="^live: expected True or False"):
        make_asgi_app(registry, live=live)


def test_the_own_port_serves_the_page(registry, start):
    port = start(live=True)
    assert httpx.get(f"http://127.0.0.1:{port}/metrics/live").content == PAGE.body
    assert "jobs_total 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_the_own_port_serves_no_page_by_default(registry, start):
    assert "jobs_total 1.0" in httpx.get(f"http://127.0.0.1:{start()}/metrics/live").text


def test_the_port_of_a_loop_serves_the_page(registry, run):
    """Loading the page does not block the loop: a blocking call would fail the test."""

    async def main():
        async with asyncmetrics.serve_metrics(registry=registry, live=True) as server, httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{server.port}/live")

    assert run(main).content == PAGE.body
