"""The exposition as a WSGI application, for those whose application is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from asyncmetrics.exposition.access import Access, Auth
from asyncmetrics.exposition.failures import record_failure
from asyncmetrics.exposition.rendering import Rendering
from asyncmetrics.exposition.response import Request, denied, failure, respond
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.registry.collection import check_registry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("WSGIApp", "make_wsgi_app")

# PEP 3333 leaves the values of the environment and the result of start_response open, hence the Any.
Environ: TypeAlias = dict[str, Any]
WSGIApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_HEADERS = {
    "HTTP_ACCEPT": b"accept",
    "HTTP_ACCEPT_ENCODING": b"accept-encoding",
    "HTTP_AUTHORIZATION": b"authorization",
}


def make_wsgi_app(
    registry: Collectable = REGISTRY, disable_compression: bool = False, *, auth: Auth | None = None
) -> WSGIApp:
    """Return a WSGI application (PEP 3333) that serves what is in ``registry``, chunk by chunk, on every path.

    ``auth`` is as for `make_asgi_app`, but that a predicate takes the WSGI environment and cannot be async. Many hosts
    keep Authorization headers from applications unless told otherwise (mod_wsgi: ``WSGIPassAuthorization On``).
    """
    check_registry(registry)
    access = Access(auth)

    def serve_metrics(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = _request(environ)
        if _is_admitted(access, request, environ, registry):
            response = respond(request, compression=not disable_compression)
        else:
            response = denied(request, access.challenge)
        body: Iterable[bytes] = [response.text] if response.text else []
        if response.rendering is not None:
            try:
                body = _begin(response.rendering, registry)
            except Exception as error:  # noqa: BLE001  # whatever it is, the server gets an answer
                response = failure(record_failure(registry, error))
                body = [response.text]
        start_response(response.status_line, [(name.decode(), value.decode()) for name, value in response.headers])
        return body

    return serve_metrics


def _is_admitted(access: Access, request: Request, environ: Environ, registry: Collectable) -> bool:
    if access.predicate is None:
        return access.admits(request.header(b"authorization"))
    try:
        answer = access.predicate(environ)
        if isinstance(answer, Awaitable):
            raise TypeError("auth: expected a predicate that is not async, under WSGI")
        return bool(answer)
    except Exception:  # noqa: BLE001  # who cannot be judged is refused
        get_self_metrics(registry).count_internal_error("exposition.auth")
        return False


def _begin(rendering: Rendering, registry: Collectable) -> Iterator[bytes]:
    chunks = rendering.chunks(rendering.source(registry).collect())
    return chain([first] if (first := next(chunks, b"")) else [], chunks)


def _request(environ: Environ) -> Request:
    headers = [(name, _bytes(environ[key])) for key, name in _HEADERS.items() if key in environ]
    query = _bytes(environ.get("QUERY_STRING", ""))
    return Request(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), query, headers)


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")  # PEP 3333, "Unicode Issues": strings carry bytes
