"""The exposition as a WSGI application (PEP 3333), for applications that are served by a WSGI host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from asyncmetrics.exposition.access import Access, Auth
from asyncmetrics.exposition.failures import record_failure
from asyncmetrics.exposition.rendering import Rendering
from asyncmetrics.exposition.response import Request, refuse_access, refuse_failed, respond
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import check_flag
from asyncmetrics.registry import REGISTRY, Collectable, check_registry
from asyncmetrics.registry.collectables import collect_within, find_self_metrics

__all__ = ("WSGIApp", "make_wsgi_app")

# PEP 3333 leaves the values of the environment and the result of start_response open, hence the Any.
Environ: TypeAlias = dict[str, Any]
WSGIApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_HEADERS = {
    "HTTP_ACCEPT": b"accept",
    "HTTP_ACCEPT_ENCODING": b"accept-encoding",
    "HTTP_AUTHORIZATION": b"authorization",
    "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": b"x-prometheus-scrape-timeout-seconds",
}


def make_wsgi_app(
    registry: Collectable = REGISTRY, disable_compression: bool = False, *, auth: Auth | None = None
) -> WSGIApp:
    """Return a WSGI application (PEP 3333) that serves ``registry``, chunk by chunk, on every path.

    ``auth`` is as for `make_asgi_app`, except that a predicate takes the WSGI environment and cannot be async. Many
    hosts pass no Authorization header to applications by default (mod_wsgi: set ``WSGIPassAuthorization On``).
    Raises `DefinitionError` for a wrong option.
    """
    check_registry(registry)
    check_flag("disable_compression", disable_compression)
    access = Access(auth)

    def serve_metrics(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = _read_request(environ)
        if _is_granted(access, request, environ, registry):
            response = respond(request, compression=not disable_compression)
        else:
            response = refuse_access(request, access.challenge)
        body: Iterable[bytes] = [response.text] if response.text else []
        if response.rendering is not None:
            try:
                body = _begin_body(response.rendering, registry)
            except Exception as error:  # noqa: BLE001  # of any kind: the server gets a 500
                pass_interruption(error)
                response = refuse_failed(record_failure(registry, error))
                body = [response.text]
        start_response(response.status_line, [(name.decode(), value.decode()) for name, value in response.headers])
        return body

    return serve_metrics


def _is_granted(access: Access, request: Request, environ: Environ, registry: Collectable) -> bool:
    if access.predicate is None:
        return access.is_granted(request.get_header(b"authorization"))
    try:
        result = access.predicate(environ)
        if isinstance(result, Awaitable):
            raise TypeError("auth: expected a predicate that is not async, under WSGI")
        return bool(result)
    except Exception as error:  # noqa: BLE001  # where the predicate fails, no client has access
        pass_interruption(error)
        find_self_metrics(registry).count_internal_error("exposition.auth")
        return False


def _begin_body(rendering: Rendering, registry: Collectable) -> Iterator[bytes]:
    """Return the chunks, the first of them rendered already: a fault until then is answered with a 500."""
    families = collect_within(rendering.select_source(registry), rendering.seconds)
    chunks = rendering.render_chunks(families, registry)
    return chain([first] if (first := next(chunks, b"")) else [], chunks)


def _read_request(environ: Environ) -> Request:
    headers = [(name, _to_bytes(environ[key])) for key, name in _HEADERS.items() if key in environ]
    query = _to_bytes(environ.get("QUERY_STRING", ""))
    return Request(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), query, headers)


def _to_bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")  # PEP 3333, "Unicode Issues": strings carry bytes
