"""httpx: the requests of every client, sync and async, through its HTTP transports.

The wrapper is around the transport, since event hooks see no request that got no response. Transports that send
nothing, such as ``MockTransport`` and ``ASGITransport``, are not measured. A client of openai, anthropic and others is
one of httpx.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

import httpx

from asyncmetrics.integrations.client_options import HTTP_CLIENT_DEFAULTS
from asyncmetrics.integrations.http_client import HttpCall, HttpClientMetrics
from asyncmetrics.integrations.library import Integration
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch, Wrap

__all__ = ("INTEGRATION", "HttpxIntegration")

_DEEPEST = 4  # transports around a transport


class HttpxIntegration(Integration[HttpClientMetrics]):
    """The integration with ``library``, which is httpx or has its classes."""

    def __init__(self, library: Any) -> None:
        self._transports = (library.AsyncHTTPTransport, library.HTTPTransport)
        self._client_types = (library.AsyncClient, library.Client)
        # httpx asks for instances of its own classes.
        bodies = ((_AsyncBody, library.AsyncByteStream), (_Body, library.SyncByteStream))
        self._bodies: dict[type, Any] = {kind: type(body.__name__, (body, kind), {}) for body, kind in bodies}
        wrappers: tuple[tuple[type, str, Wrap], ...] = (
            (library.AsyncHTTPTransport, "handle_async_request", self._wrap_async),
            (library.HTTPTransport, "handle_request", self._wrap_sync),
            (library.AsyncHTTPTransport, "aclose", self._wrap_close),
            (library.AsyncHTTPTransport, "__aexit__", self._wrap_close),
            (library.HTTPTransport, "close", self._wrap_close),
            (library.HTTPTransport, "__exit__", self._wrap_close),
        )
        patches = [Patch(owner, name, wrap) for owner, name, wrap in wrappers]
        super().__init__(library.__name__, HTTP_CLIENT_DEFAULTS, patches)

    def make_metrics(self, options: Mapping[str, Any]) -> HttpClientMetrics:
        """Return the metrics for these options."""
        return HttpClientMetrics(options)

    def list_parts(self, target: Any) -> Iterable[Any]:
        """Return the HTTP transports of a client, those inside other transports included, or ``target`` itself."""
        outer = [target._transport, *target._mounts.values()] if isinstance(target, self._client_types) else [target]
        return dict.fromkeys(part for transport in outer for part in self._find_transports(transport, _DEEPEST))

    def _find_transports(self, transport: Any, depth: int) -> Iterator[Any]:
        if isinstance(transport, self._transports):
            yield transport
        elif depth:
            for inner in list(getattr(transport, "__dict__", {}).values()):
                yield from self._find_transports(inner, depth - 1)

    def adopt(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Expose the pool of a transport."""
        metrics.get_pools().add(part._pool, self.library, _read_pool, metrics.pool_name)

    def release(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Expose the pool of a transport no more."""
        metrics.get_pools().remove(part._pool)

    def _wrap_async(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            call = self._begin(transport, request)
            if call is None:
                return await handle(transport, request)
            try:
                response = await handle(transport, request)
            except BaseException as error:
                call.fail(error)
                raise
            return self._follow(response, call)

        return handle_async_request

    def _wrap_sync(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def handle_request(transport: Any, request: Any) -> Any:
            call = self._begin(transport, request)
            if call is None:
                return handle(transport, request)
            try:
                response = handle(transport, request)
            except BaseException as error:
                call.fail(error)
                raise
            return self._follow(response, call)

        return handle_request

    def _wrap_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(close)
        def closing(transport: Any, *args: Any, **kwargs: Any) -> Any:  # returns what `close` returns: to be awaited
            metrics = self.find(transport)
            if metrics is not None:
                metrics.get_pools().remove(getattr(transport, "_pool", None))
            return close(transport, *args, **kwargs)

        return closing

    def _begin(self, transport: Any, request: Any) -> HttpCall | None:
        metrics = self.find(transport)
        if metrics is None:
            return None
        try:
            url = request.url
            metrics.get_pools().add(transport._pool, self.library, _read_pool, metrics.pool_name)
            return metrics.begin(request.method, url.scheme, url.host, url.port, _read_size(request))
        except Exception as error:  # noqa: BLE001  # changed internals of httpx cost a measurement, never a request
            pass_interruption(error)
            self.count_failure()
            return None

    def _follow(self, response: Any, call: HttpCall) -> Any:
        """Return ``response``, whose body ends ``call``."""
        call.respond(response.status_code)
        for kind, body in self._bodies.items():
            if isinstance(response.stream, kind):
                response.stream = body(response.stream, call)
                return response
        call.end()
        return response


class _AsyncBody:
    """The body of a response of an async client; its end is the end of the call."""

    def __init__(self, stream: Any, call: HttpCall) -> None:
        self._stream = stream
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call = self._call
        try:
            async for chunk in self._stream:
                call.size += len(chunk)
                yield chunk
        except GeneratorExit:  # the application reads no further; it closes the response, or drops it
            raise
        except BaseException as error:
            call.fail(error)
            raise
        call.end()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._call.end()

    def __del__(self) -> None:
        self._call.end()


class _Body:
    """The body of a response of a sync client, as `_AsyncBody`."""

    def __init__(self, stream: Any, call: HttpCall) -> None:
        self._stream = stream
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        call = self._call
        try:
            for chunk in self._stream:
                call.size += len(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            call.fail(error)
            raise
        call.end()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._call.end()

    def __del__(self) -> None:
        self._call.end()


def _read_size(request: Any) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _read_pool(pool: Any) -> PoolNumbers:
    connections = pool.connections
    idle = sum(1 for connection in connections if connection.is_idle())
    pending = sum(1 for request in list(pool._requests) if request.is_queued())
    limit = pool._max_connections
    return PoolNumbers(
        idle, len(connections) - idle, limit if limit < 2**31 else None, pending
    )  # sys.maxsize: no limit


INTEGRATION = HttpxIntegration(httpx)
