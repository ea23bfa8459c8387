"""The expositions of `asyncmetrics.prometheus_client`, beside those of prometheus_client."""

from __future__ import annotations

import gzip
import http.client
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.util import setup_testing_defaults

import prometheus_client.exposition
import pytest

from asyncmetrics import prometheus_client as ours
from asyncmetrics.prometheus_client.exposition import _bake_output, choose_encoder


@pytest.fixture
def registry(library: Any) -> Any:
    """A registry with one counter."""
    registry = library.CollectorRegistry()
    library.Counter("jobs", "Jobs.", registry=registry).inc()
    return registry


def request(app: Any, **environ: str) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    """Call a WSGI application and return the status, the headers and the result."""
    started: list[Any] = []
    full: dict[str, Any] = dict(environ)
    setup_testing_defaults(full)
    body = app(full, lambda status, headers: started.extend((status, headers)))
    return started[0], started[1], body


def test_wsgi_result_has_a_length(library: Any, registry: Any) -> None:
    """The result is a list of one piece, and header names have their case."""
    status, headers, body = request(library.make_wsgi_app(registry))
    assert (status, headers) == ("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
    assert len(body) == 1
    assert b"jobs_total 1.0" in body[0]


def test_wsgi_compresses(library: Any, registry: Any) -> None:
    """With gzip accepted, the one piece is compressed."""
    _, headers, body = request(library.make_wsgi_app(registry), HTTP_ACCEPT_ENCODING="gzip")
    assert ("Content-Encoding", "gzip") in headers
    assert b"jobs_total 1.0" in gzip.decompress(body[0])


@pytest.mark.parametrize(
    ("environ", "status", "allow"),
    [
        ({"REQUEST_METHOD": "OPTIONS"}, "200 OK", "OPTIONS,GET"),
        ({"REQUEST_METHOD": "POST"}, "405 Method Not Allowed", "OPTIONS,GET"),
        ({"PATH_INFO": "/favicon.ico"}, "200 OK", None),
    ],
)
def test_wsgi_other_requests(library: Any, registry: Any, environ: dict[str, str], status: str, allow: str) -> None:
    """Other methods, and a browser's favicon."""
    found, headers, body = request(library.make_wsgi_app(registry), **environ)
    assert (found, dict(headers).get("Allow")) == (status, allow)
    assert b"jobs" not in b"".join(body)


def test_wsgi_restricts_by_name(library: Any, registry: Any) -> None:
    """``name[]`` selects samples."""
    library.Gauge("size", "Size.", registry=registry)
    _, _, body = request(library.make_wsgi_app(registry), QUERY_STRING="name[]=size")
    assert b"size 0.0" in body[0]
    assert b"jobs" not in body[0]


def test_wsgi_restricts_what_a_registry_of_the_program_yields() -> None:
    """``name[]`` selects among the families that an overridden ``collect`` yields, and finds nothing that it hides."""

    class Public(ours.CollectorRegistry):
        def collect(self) -> Any:
            """Hide a family."""
            return (family for family in super().collect() if family.name != "secret")

    registry = Public()
    for name in ("secret", "size"):
        ours.Gauge(name, "G.", registry=registry)
    _, _, body = request(ours.make_wsgi_app(registry), QUERY_STRING="name[]=secret&name[]=size")
    assert b"size 0.0" in body[0]
    assert b"secret" not in body[0]


def test_registry_of_the_program_whose_constructor_does_not_call_ours(library: Any) -> None:
    """It is exposed, as long as its class has what it inherits from no constructor, and metrics register in it."""

    class Own(library.CollectorRegistry):  # type: ignore[misc]
        def __init__(self) -> None:
            self.metrics: list[Any] = []

        def register(self, collector: Any) -> None:
            """Keep a metric."""
            self.metrics.append(collector)

        def collect(self) -> Any:
            """Yield the families of the metrics."""
            return (family for metric in self.metrics for family in metric.collect())

    registry = Own()
    methods = {"_type": "gauge", "_metric_init": lambda _: None, "_child_samples": lambda _: ()}
    type("Empty", (library.metrics.MetricWrapperBase,), methods)("empty", "E.", registry=registry)
    library.Gauge("size", "Size.", registry=registry).set(3)
    assert b"size 3.0" in library.generate_latest(registry)
    assert b"size 3.0" in request(library.make_wsgi_app(registry))[2][0]
    assert registry.get_sample_value("size") == 3


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "text/plain",
        "*/*",
        "text/plain; version=0.0.4",
        "text/plain; version=1.0.0",
        "text/plain; version=1.0.0; escaping=allow-utf-8",
        "application/openmetrics-text",
        "application/openmetrics-text; escaping=allow-utf-8",
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text; version=1.0.0; escaping=underscores",
        "application/openmetrics-text; version=1.0.0; escaping=dots",
        "application/openmetrics-text; version=1.0.0; escaping=values, text/plain; q=0.1",
    ],
)
def test_choose_encoder_states_the_escaping(accept: str) -> None:
    """The Content-Type is prometheus_client's, the escaping stated."""
    assert choose_encoder(accept)[1] == prometheus_client.exposition.choose_encoder(accept)[1]


@pytest.mark.parametrize("library", [ours])
def test_bake_output_is_the_part_that_programs_build_on(registry: Any) -> None:
    """The private function of prometheus_client: status, headers, body."""
    status, headers, output = _bake_output(registry, "", "gzip", {"name[]": ["jobs_total"]}, False)
    assert (status, headers[1]) == ("200 OK", ("Content-Encoding", "gzip"))
    assert b"jobs_total 1.0" in gzip.decompress(output)


def test_start_http_server_listens_everywhere(library: Any, registry: Any) -> None:
    """The address is 0.0.0.0, and the server has the attributes and methods of the standard library's."""
    server, thread = library.start_http_server(0, registry=registry)
    try:
        host, port = server.server_address
        assert (host, server.server_port) == ("0.0.0.0", port)  # noqa: S104  # which is what is tested
        assert b"jobs_total 1.0" in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_metrics_handler(library: Any, registry: Any) -> None:
    """`MetricsHandler.factory` serves a registry from a server of the program's own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), library.MetricsHandler.factory(registry)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
        client.request("GET", "/")
        assert b"jobs_total 1.0" in client.getresponse().read()
        client.close()
        server.shutdown()


def test_textfile_has_names_in_utf8(library: Any, tmp_path: Path) -> None:
    """The default escaping of a textfile is ``allow-utf-8``."""
    registry = library.CollectorRegistry()
    library.Gauge("a.b", "A.", registry=registry)
    library.write_to_textfile(str(tmp_path / "a.prom"), registry)
    assert '{"a.b"} 0.0' in (tmp_path / "a.prom").read_text()


@pytest.mark.parametrize("library", [ours])
def test_programs_build_servers_of_their_own(registry: Any) -> None:
    """`make_server`, `ThreadingWSGIServer` and `_SilentHandler` are there for programs that use them."""
    from asyncmetrics.prometheus_client.exposition import (
        ThreadingWSGIServer,
        _SilentHandler,
        make_server,
        make_wsgi_app,
    )

    app = make_wsgi_app(registry)
    with make_server("127.0.0.1", 0, app, ThreadingWSGIServer, handler_class=_SilentHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        assert b"jobs_total" in urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read()
        server.shutdown()
