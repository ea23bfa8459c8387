"""The bodies of httpx's requests and responses: their sizes, and the call that ends with the body of a response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from asyncmetrics.integrations.http_client import HttpCall

__all__ = ("Kind", "begin_request", "end_request", "make_kinds")


class Kind(NamedTuple):
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


def begin_request(request: Any, call: HttpCall, kind: Kind) -> None:
    """Record the size of a request's body, or count its bytes if the headers do not have it."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        call.observe_request(int(length))
    elif "transfer-encoding" in request.headers:
        request.stream = kind.body(request.stream, _Size())
    else:
        call.observe_request(0)


def end_request(request: Any, call: HttpCall) -> None:
    """Record the size of a body whose bytes were counted."""
    if isinstance(request.stream, _Measured):
        request.stream, size = request.stream.take_request()
        call.observe_request(size)


def make_kinds(library: Any) -> tuple[Kind, Kind]:
    """Return the kinds of bodies of sync and of async clients: httpx asks for instances of its own classes."""
    stream, async_stream = library.SyncByteStream, library.AsyncByteStream
    return (
        Kind(stream, type("_Body", (_Body, stream), {})),
        Kind(async_stream, type("_AsyncBody", (_AsyncBody, async_stream), {})),
    )
