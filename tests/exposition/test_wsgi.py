"""The WSGI application, under the standard library's validator and server."""

from __future__ import annotations

import threading
import zlib
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import Counter, Gauge
from asyncmetrics.exposition import make_wsgi_app
from tests.thoroughness import examples


def _ask(app, **environ) -> tuple[str, dict[str, str], list[bytes]]:
    values: dict = {"QUERY_STRING": ""}
    setup_testing_defaults(values)
    values.update(environ)
    started = []
    result = validator(app)(values, lambda status, headers, exc_info=None: started.append((status, dict(headers))))
    try:
        chunks = list(result)
    finally:
        result.close()
    return (*started[0], chunks)


def test_it_serves_the_text_format(registry):
    Counter("jobs", "Jobs.", registry=registry).inc()
    status, headers, chunks = _ask(make_wsgi_app(registry))
    assert (status, headers["vary"]) == ("200 OK", "Accept, Accept-Encoding")
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"jobs_total 1" in b"".join(chunks)


def test_it_negotiates_the_format_and_gzip(registry):
    app = make_wsgi_app(registry)
    accept = "application/openmetrics-text;version=1.0.0"
    _, headers, chunks = _ask(app, HTTP_ACCEPT=accept, HTTP_ACCEPT_ENCODING="gzip")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert zlib.decompress(b"".join(chunks), 31) == b"# EOF\n"


def test_compression_can_be_disabled(registry):
    _, headers, _ = _ask(make_wsgi_app(registry, True), HTTP_ACCEPT_ENCODING="gzip")
    assert "content-encoding" not in headers


def test_it_filters(registry):
    for name in ("one", "two"):
        Gauge(name, "A number.", registry=registry).set(1)
    _, _, chunks = _ask(make_wsgi_app(registry), QUERY_STRING="name[]=two")
    assert b"two 1" in b"".join(chunks) and b"one" not in b"".join(chunks)


def test_head_has_no_body(registry):
    Gauge("one", "A number.", registry=registry).set(1)
    assert _ask(make_wsgi_app(registry), REQUEST_METHOD="HEAD")[2] == []


def test_other_methods_are_refused(registry):
    status, headers, _ = _ask(make_wsgi_app(registry), REQUEST_METHOD="POST")
    assert (status, headers["allow"]) == ("405 Method Not Allowed", "GET, HEAD")


def test_it_renders_while_it_is_read(paged):
    registry, pages = paged(30)
    environ = {"REQUEST_METHOD": "GET"}
    chunks = iter(make_wsgi_app(registry)(environ, lambda status, headers: None))
    next(chunks)
    assert len(pages.rendered) <= 3
    assert max(map(len, chunks)) <= 128 * 1024
    assert len(pages.rendered) == 30


def test_a_rendering_that_fails_at_once_gives_500(paged, caplog):
    registry, _ = paged(1, broken_at=0)
    status, headers, _ = _ask(make_wsgi_app(registry))
    assert (status, headers["content-type"]) == ("500 Internal Server Error", "text/plain; charset=utf-8")


@settings(max_examples=examples(200))
@given(values=st.dictionaries(st.sampled_from(["HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "QUERY_STRING"]), st.text()))
def test_no_environment_is_answered_by_a_fault(registry, values):
    status, _, _ = _ask(make_wsgi_app(registry), **values)
    assert status in {"200 OK", "400 Bad Request"}


@pytest.mark.parametrize("path", ["/metrics", "/"])
def test_the_standard_librarys_server_serves_it(registry, path):
    class Silent(WSGIRequestHandler):
        def log_message(self, *args) -> None:
            pass

    Gauge("one", "A number.", registry=registry).set(1)
    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Silent) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert "one 1" in httpx.get(f"http://127.0.0.1:{server.server_port}{path}").text
        thread.join()
