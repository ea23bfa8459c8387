"""The bodies of urllib3's requests and responses: their sizes, and the call that ends with the body of a response.

*Theory of operation.*

1. `follow_body` puts the call into the attributes of a response with an open body.
2. urllib3 calls ``HTTPResponse.release_conn`` when a body has been read or has broken off. The wrapper takes the call
   out again, and ends it: by the exception that passes, if it comes from this response.
3. ``HTTPResponse.close`` ends the call as well. Python calls it for a response that is dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, final

from urllib3.response import HTTPResponse

from asyncmetrics.integrations.http_client import HttpCall
from asyncmetrics.patching import Wrap

__all__ = ("BodySize", "begin_request", "find_response", "follow_body", "list_wrappers")

_CALL = "_asyncmetrics_call"


def list_wrappers() -> list[tuple[type, str, Wrap]]:
    """Return the wrappers of the methods of responses; those of private methods only if there are such methods."""
    private: tuple[tuple[type, str, Wrap], ...] = (
        (HTTPResponse, "_handle_chunk", _wrap_chunk),
        (HTTPResponse, "_update_chunk_length", _wrap_chunk_length),
    )
    return [
        (HTTPResponse, "release_conn", _wrap_release),
        (HTTPResponse, "close", _wrap_close),
        *(wrapper for wrapper in private if wrapper[1] in vars(wrapper[0])),
    ]


def follow_body(response: Any, call: HttpCall) -> None:
    """Let the end of the response's body end ``call``, unless it has none or was read already."""
    call.respond(response.status)
    if isinstance(response, HTTPResponse) and not response.closed and response.length_remaining != 0:
        vars(response)[_CALL] = call
    else:
        call.size += _count_bytes(response)
        call.end()


def find_response(error: BaseException) -> HTTPResponse | None:
    """Return the response whose methods an exception has passed; urllib3 names it nowhere else."""
    traceback = error.__traceback__
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        if isinstance(owner, HTTPResponse):
            return owner
        traceback = traceback.tb_next
    return None


@final
class BodySize:
    """A request's body of unknown size, which counts its bytes when they are sent."""

    def __init__(self, body: Iterable[Any]) -> None:
        self._body = body
        self.size = 0

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._body:
            self.size += len(chunk.encode() if isinstance(chunk, str) else chunk)
            yield chunk


def begin_request(call: HttpCall, kwargs: dict[str, Any]) -> BodySize | None:
    """Record the size of a request's body; return the body that counts its bytes if it has no size."""
    body = kwargs.get("body")
    headers = kwargs.get("headers") or {}
    length = str(next((value for name, value in headers.items() if name.lower() == "content-length"), ""))
    if length.isascii() and length.isdigit():
        call.observe_request(int(length))
    elif not body or isinstance(body, str):
        call.observe_request(len((body or "").encode()))
    elif callable(getattr(body, "read", None)):  # a file, which urllib3 may rewind
        return None
    else:
        try:
            call.observe_request(memoryview(body).nbytes)
        except TypeError:  # no bytes, so urllib3 iterates over it as well
            if isinstance(body, Iterable):
                kwargs["body"] = size = BodySize(body)
                return size
    return None


def _wrap_release(release: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(release)
    def release_conn(response: Any) -> Any:
        call = vars(response).pop(_CALL, None)
        if call is not None:
            error = sys.exc_info()[1]
            if error is not None and find_response(error) is response:  # urllib3 releases it while the error passes
                call.fail(error)
            else:
                call.size += _count_bytes(response)
                call.end()
        return release(response)

    return release_conn


def _wrap_close(close: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(close)
    def closing(response: Any) -> Any:
        call = vars(response).pop(_CALL, None)
        if call is not None:
            call.size += _count_bytes(response)
            call.end()
        return close(response)

    return closing


def _wrap_chunk(handle_chunk: Callable[..., Any]) -> Callable[..., Any]:
    """Count the bytes of a chunked body, which ``tell`` does not."""

    @wraps(handle_chunk)
    def measured(response: Any, *args: Any, **kwargs: Any) -> Any:
        chunk = handle_chunk(response, *args, **kwargs)
        call = vars(response).get(_CALL)
        if call is not None and chunk:
            call.size += len(chunk)
        return chunk

    return measured


def _wrap_chunk_length(update: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the call from the end that ``close`` would be: it is called before the exception of a broken chunk."""

    @wraps(update)
    def measured(response: Any, *args: Any, **kwargs: Any) -> Any:
        attributes = vars(response)
        call = attributes.pop(_CALL, None)
        try:
            return update(response, *args, **kwargs)
        finally:
            if call is not None:
                attributes[_CALL] = call

    return measured


def _count_bytes(response: Any) -> int:
    """Return how many bytes of the body urllib3 has read."""
    return response.tell() if isinstance(response, HTTPResponse) else 0
