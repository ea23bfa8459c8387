"""The exposition: as bytes, as applications, on an own port, as a file, and pushed to a gateway."""

from __future__ import annotations

import gzip
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from socketserver import ThreadingMixIn
from typing import Any, Literal, TypeAlias, final
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from asyncmetrics import exposition as core
from asyncmetrics.bridges.pushgateway import (
    basic_auth_handler,
    default_handler,
    delete_from_gateway,
    instance_ip_grouping_key,
    passthrough_redirect_handler,
    push_to_gateway,
    pushadd_to_gateway,
    tls_auth_handler,
)
from asyncmetrics.exposition.handler import MetricsHandler as CoreMetricsHandler
from asyncmetrics.exposition.latest import Encoder
from asyncmetrics.exposition.server import RunningServer
from asyncmetrics.formats.negotiation import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    is_gzip_accepted,
)
from asyncmetrics.model.family import Metric
from asyncmetrics.prometheus_client.asgi import make_asgi_app
from asyncmetrics.prometheus_client.openmetrics import exposition as openmetrics
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector
from asyncmetrics.prometheus_client.utils import floatToGoString, parse_version
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import collect_or_raise, select_part

__all__ = (
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "REGISTRY",
    "Collector",
    "CompressionType",
    "MetricsHandler",
    "ThreadingWSGIServer",
    "bake_output",
    "basic_auth_handler",
    "choose_encoder",
    "default_handler",
    "delete_from_gateway",
    "floatToGoString",
    "generate_latest",
    "gzip_accepted",
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_server",
    "make_wsgi_app",
    "openmetrics",
    "parse_version",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "tls_auth_handler",
    "write_to_textfile",
)

CompressionType: TypeAlias = Literal["gzip", "snappy"] | None
gzip_accepted = is_gzip_accepted
_ESCAPING = re.compile(r";\s*escaping=[^;,]*")
_Headers: TypeAlias = list[tuple[str, str]]
_WSGIApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]


def generate_latest(registry: Collectable = REGISTRY, escaping: str = openmetrics.UNDERSCORES) -> bytes:
    """Return ``registry`` in the text format 0.0.4; see `asyncmetrics.generate_latest`."""
    return core.generate_latest(registry, escaping)


def choose_encoder(accept_header: str | None) -> tuple[Encoder, str]:
    """Return the encoder of the format that an Accept header asks for, and its Content-Type.

    The type states the escaping of each format that has several, also if the header asks for none. A header without
    a version gets the escaping ``underscores``.
    """
    accept = accept_header or ""
    if "version=" not in accept:
        return core.choose_encoder(_ESCAPING.sub("", accept))
    encode, content_type = core.choose_encoder(accept)
    if "escaping=" not in content_type and content_type != CONTENT_TYPE_PLAIN_0_0_4:
        content_type = f"{content_type}; {openmetrics.ESCAPING_HEADER_TAG}={openmetrics.UNDERSCORES}"
    return encode, content_type


@final
class _Selection:
    """The samples of a registry that have one of ``names``."""

    def __init__(self, registry: Collectable, names: frozenset[str]) -> None:
        self._part = select_part(registry, names)
        self._names = names

    def collect(self) -> Iterator[Metric]:
        """Yield the families with these samples."""
        families = (family.restrict(self._names) for family in collect_or_raise(self._part))
        return (family for family in families if family is not None)


def bake_output(
    registry: Any,
    accept_header: str | None,
    accept_encoding_header: str | None,
    params: Mapping[str, Sequence[str]],
    disable_compression: bool,
) -> tuple[str, _Headers, bytes]:
    """Return the status, the headers and the body of a response.

    Programs build their own handlers on it, under prometheus_client's name ``_bake_output``.
    """
    encode, content_type = choose_encoder(accept_header)
    if "name[]" in params:
        registry = _Selection(registry, frozenset(params["name[]"]))
    output, headers = encode(registry), [("Content-Type", content_type)]
    if not disable_compression and gzip_accepted(accept_encoding_header):
        output = gzip.compress(output)
        headers.append(("Content-Encoding", "gzip"))
    return "200 OK", headers, output


_bake_output = bake_output


def make_wsgi_app(registry: Collectable = REGISTRY, disable_compression: bool = False) -> _WSGIApp:
    """Return a WSGI application that serves ``registry`` on every path, as one piece with a length.

    `asyncmetrics.make_wsgi_app` sends chunks as they are rendered.
    """

    def serve_metrics(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        method = environ["REQUEST_METHOD"]
        headers: _Headers = [("Allow", "OPTIONS,GET")]
        if method == "OPTIONS":
            status, output = "200 OK", b""
        elif method != "GET":
            status = "405 Method Not Allowed"
            output = f"# HTTP {status}: {method}; use OPTIONS or GET\n".encode()
        elif environ.get("PATH_INFO") == "/favicon.ico":
            status, headers, output = "200 OK", [], b""
        else:
            params = parse_qs(environ.get("QUERY_STRING", ""))
            accept, encodings = environ.get("HTTP_ACCEPT"), environ.get("HTTP_ACCEPT_ENCODING")
            status, headers, output = _bake_output(registry, accept, encodings, params, disable_compression)
        start_response(status, headers)
        return [output]

    return serve_metrics


class MetricsHandler(CoreMetricsHandler):
    """Serve ``registry`` on every path of a server of `http.server`: `asyncmetrics.exposition.handler`."""

    registry: Collectable = REGISTRY


class _SilentHandler(WSGIRequestHandler):
    """A handler of `wsgiref` that logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A server of `wsgiref` with a thread for each request, for programs that build their own."""

    daemon_threads = True


def start_wsgi_server(
    port: int,
    addr: str = "0.0.0.0",  # noqa: S104  # as prometheus_client
    registry: Collectable = REGISTRY,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
    tls_min_version: ssl.TLSVersion | None = None,
    tls_max_version: ssl.TLSVersion | None = None,
) -> RunningServer:
    """Serve ``registry`` on ``port`` from a daemon thread, and return the server and the thread.

    It listens on all interfaces by default, as prometheus_client's; see `asyncmetrics.start_http_server`.
    """
    if not (certfile and keyfile):
        return core.start_http_server(port, addr, registry)
    return core.start_http_server(
        port,
        addr,
        registry,
        certfile,
        keyfile,
        client_cafile,
        client_capath,
        protocol,
        client_auth_required,
        tls_min_version,
        tls_max_version,
    )


start_http_server = start_wsgi_server


def write_to_textfile(
    path: str, registry: Collectable, escaping: str = openmetrics.ALLOWUTF8, tmpdir: str | None = None
) -> None:
    """Write ``registry`` to a file for node_exporter; see `asyncmetrics.write_to_textfile`."""
    core.write_to_textfile(path, registry, escaping, tmpdir)
