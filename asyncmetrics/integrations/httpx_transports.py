"""The integration with httpx and its successors: the requests of every client, sync and async.

The wrapper is around the transport, since event hooks see no request that got no response. Transports that send
nothing, such as ``MockTransport`` and ``ASGITransport``, are not measured. A client of openai, anthropic and others is
one of httpx.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import wraps
from typing import Any, NamedTuple

from asyncmetrics.integrations.client_options import HTTP_CLIENT_DEFAULTS
from asyncmetrics.integrations.http_client import HttpCall, HttpClientIntegration
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
        # httpx asks for instances of its own classes.
        stream, async_stream = library.SyncByteStream, library.AsyncByteStream
        self._body = _Kind(stream, type("_Body", (_Body, stream), {}))
        self._async_body = _Kind(async_stream, type("_AsyncBody", (_AsyncBody, async_stream), {}))
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
        connections = [connection for connection in pool.connections if not connection.is_closed()]
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
                    _end_request(request, call)
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
                    _end_request(request, call)
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

    def _begin(self, transport: Any, request: Any, kind: _Kind) -> HttpCall | None:
        metrics = self.find(transport)
        if metrics is None:
            return None
        try:
            url = request.url
            if id(transport._pool) not in metrics.exposed:
                self.expose(transport, metrics)
            call = metrics.begin(request.method, url.scheme, url.host, url.port)
            if call.needs_request_size:
                _begin_request(request, call, kind)
        except Exception as error:  # noqa: BLE001  # changed internals of httpx cost a measurement, never a request
            pass_interruption(error)
            self.count_failure()
            return None
        return call

    def _follow(self, response: Any, call: HttpCall, kind: _Kind) -> None:
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


class _Kind(NamedTuple):
    """The class of httpx that a body is an instance of, and our class below it."""

    stream: type
    body: Any


class _Size:
    """The size of a request's body so far; a body calls the other functions when it ends, as those of `HttpCall`."""

    def __init__(self) -> None:
        self.size = 0

    def end(self) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        pass


class _Measured:
    """A body and the call that ends with it. Other tools find the attributes of the body of httpx here."""

    def __init__(self, stream: Any, call: HttpCall | _Size) -> None:
        self._stream = stream
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # `copy` asks for names before there is one
            raise AttributeError(name)
        return getattr(self._stream, name)

    def take_request(self) -> tuple[Any, int]:
        """Return the body of a request, and how many bytes have passed."""
        return self._stream, self._call.size


class _AsyncBody(_Measured):
    """The body of an async client's request or response."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call = self._call
        try:
            async for chunk in self._stream:
                call.size += len(chunk)
                yield chunk
        except GeneratorExit:  # the application reads no further: it closes the response, or drops it
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


class _Body(_Measured):
    """The body of a sync client's request or response."""

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


def _begin_request(request: Any, call: HttpCall, kind: _Kind) -> None:
    """Record the size of a request's body, or count its bytes if the headers do not have it."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        call.observe_request(int(length))
    elif "transfer-encoding" in request.headers:
        request.stream = kind.body(request.stream, _Size())
    else:
        call.observe_request(0)


def _end_request(request: Any, call: HttpCall) -> None:
    """Record the size of a body whose bytes were counted."""
    if isinstance(request.stream, _Measured):
        request.stream, size = request.stream.take_request()
        call.observe_request(size)
