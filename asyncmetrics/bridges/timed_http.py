"""HTTP by the standard library's urllib, with a limit for the time of a whole response.

urllib's timeout is that of each read of the socket: a server that sends a byte now and then is read for ever.
"""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from ssl import SSLContext
from time import monotonic
from typing import Any, final
from urllib.request import HTTPHandler, HTTPSHandler, Request

__all__ = ("TimedHandler", "TimedTLSHandler")


@final
class _TimedStream(RawIOBase):
    """The bytes of ``raw``, which reads ``sock``, until the timeout of the socket has passed once."""

    def __init__(self, raw: RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self._deadline = None if timeout is None else monotonic() + timeout

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as `RawIOBase` does. Raises `TimeoutError` after the deadline."""
        if self._deadline is not None:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the stream that is read."""
        self._raw.close()
        super().close()


@final
class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = BufferedReader(_TimedStream(self.fp.detach(), sock))


@final
class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse


@final
class _TimedTLSConnection(HTTPSConnection):
    response_class = _TimedResponse


@final
class TimedHandler(HTTPHandler):
    """Open ``http`` URLs; each response takes at most the timeout of its request."""

    def http_open(self, req: Request) -> HTTPResponse:
        """Send the request, and return the response."""
        return self.do_open(_TimedConnection, req)


@final
class TimedTLSHandler(HTTPSHandler):
    """Open ``https`` URLs, in the TLS ``context``; each response takes at most the timeout of its request."""

    def __init__(self, context: SSLContext) -> None:
        super().__init__(context=context)
        self._tls_context = context

    def https_open(self, req: Request) -> HTTPResponse:
        """Send the request, and return the response."""
        return self.do_open(_TimedTLSConnection, req, context=self._tls_context)
