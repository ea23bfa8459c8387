"""The integration with httpx and its successors: the requests of every client, sync and async.

The wrapper is around the transport, since event hooks see no request that got no response. Transports that send
nothing, such as ``MockTransport`` and ``ASGITransport``, are not measured. A client of openai, anthropic and others is
one of httpx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from asyncmetrics.integrations.client_options import HTTP_CLIENT_DEFAULTS
from asyncmetrics.integrations.http_client import HttpCall, HttpClientIntegration
from asyncmetrics.integrations.httpx_bodies import Kind, begin_request, end_request, make_kinds
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch, Wrap

__all__ = ("HttpxIntegration",)

_DEEPEST = 4  # transports around a transport
_NO_LIMIT = 2**31
_SWITCHING_PROTOCOLS = 101


class HttpxIntegration(HttpClientIntegration):
    """The integration with ``library``, which is httpx or has its classes."""

    def __init__(self, library: Any) -> None:
        self._http_types = (library.AsyncHTTPTransport, library.HTTPTransport)
        self._transport_types = (library.AsyncBaseTransport, library.BaseTransport)
        self._client_types = (library.AsyncClient, library.Client)
        self._body, self._async_body = make_kinds(library)
        wrappers: tuple[tuple[type, str, Wrap], ...] = (
            (library.AsyncHTTPTransport, "handle_async_request", self._wrap_async),
            (library.HTTPTransport, "handle_request", self._wrap_sync),
            (library.AsyncHTTPTransport, "aclose", self._wrap_async_close),
            (library.AsyncHTTPTransport, "__aexit__", self._wrap_async_close),
            (library.HTTPTransport, "close", self._wrap_close),
            (library.HTTPTransport, "__exit__", self._wrap_close),
        )
        patches = [Patch(owner, name, wrap) for owner, name, wrap in wrappers]
        super().__init__(library.__name__, HTTP_CLIENT_DEFAULTS, patches)

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the HTTP transports of a client, those inside other transports included, or ``target`` itself."""
        outer = [target]
        if isinstance(target, self._client_types):
            outer = [getattr(target, "_transport", None), *getattr(target, "_mounts", {}).values()]
        return dict.fromkeys(part for transport in outer for part in self._find_transports(transport, _DEEPEST))

    def _find_transports(self, transport: Any, depth: int) -> Iterator[Any]:
        if isinstance(transport, self._http_types):
            yield transport
        elif isinstance(transport, self._transport_types) and depth:
            for inner in list(getattr(transport, "__dict__", {}).values()):
                yield from self._find_transports(inner, depth - 1)

    def find_pool(self, part: Any) -> Any:
        """Return the pool of a transport; only its private name leads to it."""
        return getattr(part, "_pool", None)

    def read_pool(self, pool: Any) -> PoolNumbers:
        """Return the numbers of a pool of httpcore."""
        connections = pool.connections
        idle = sum(1 for connection in connections if connection.is_idle())
        requests = getattr(pool, "_requests", None)
        pending = None if requests is None else sum(1 for request in list(requests) if request.connection is None)
        limit = getattr(pool, "_max_connections", _NO_LIMIT)
        return PoolNumbers(idle, len(connections) - idle, limit if limit < _NO_LIMIT else None, pending)

    def _wrap_async(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            call = self._begin(transport, request, self._async_body)
            if call is None:
                return await handle(transport, request)
            try:
                response = await handle(transport, request)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                if call.needs_request_size:
                    end_request(request, call)
            self._follow(response, call, self._async_body)
            return response

        return handle_async_request

    def _wrap_sync(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def handle_request(transport: Any, request: Any) -> Any:
            call = self._begin(transport, request, self._body)
            if call is None:
                return handle(transport, request)
            try:
                response = handle(transport, request)
            except BaseException as error:
                call.fail(error)
                raise
            finally:
                if call.needs_request_size:
                    end_request(request, call)
            self._follow(response, call, self._body)
            return response

        return handle_request

    def _wrap_async_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(close)
        async def aclose(transport: Any, *args: Any, **kwargs: Any) -> Any:
            self.hide_closed(transport)
            return await close(transport, *args, **kwargs)

        return aclose

    def _wrap_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(close)
        def closing(transport: Any, *args: Any, **kwargs: Any) -> Any:
            self.hide_closed(transport)
            return close(transport, *args, **kwargs)

        return closing

    def _begin(self, transport: Any, request: Any, kind: Kind) -> HttpCall | None:
        metrics = self.find(transport)
        if metrics is None:
            return None
        try:
            url = request.url
            if id(getattr(transport, "_pool", None)) not in metrics.exposed:  # without a call: 0.1 µs
                self.expose(transport, metrics)
            call = metrics.begin(request.method, url.scheme, url.host, url.port)
            if call.needs_request_size:
                begin_request(request, call, kind)
        except Exception as error:  # noqa: BLE001  # changed internals of httpx cost a measurement, never a request
            pass_interruption(error)
            self.count_failure()
            return None
        return call

    def _follow(self, response: Any, call: HttpCall, kind: Kind) -> None:
        """Let the end of the response's body end ``call``, unless it has none or was read already."""
        try:
            call.respond(response.status_code)
            stream = response.stream
            if (
                response.is_closed
                or response.status_code == _SWITCHING_PROTOCOLS
                or not isinstance(stream, kind.stream)
            ):
                call.end()
            else:
                response.stream = kind.body(stream, call)
        except Exception as error:  # noqa: BLE001  # as in `_begin`
            pass_interruption(error)
            self.count_failure()
            call.end()
