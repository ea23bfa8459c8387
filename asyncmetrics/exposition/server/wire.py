"""The stream of a connection, with the two ways to end it that HTTP needs.

*Rules.* The end of the stream reads as ``b""``, and every fault of the stream is an `OSError`.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, final

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, TypedAttributeLookupError
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

__all__ = ("MAX_SKIPPED_BYTES", "Wire")

MAX_SKIPPED_BYTES = 64 * 1024
"""How many bytes of a client are read only to be discarded.

A scraper sends none; a client with more is not worth the time, and sees the connection closed.
"""

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for 0 seconds


@final
class Wire:
    """One connected stream, over TCP, TLS or a Unix socket."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    @property
    def is_tls(self) -> bool:
        """Whether the stream is encrypted."""
        return isinstance(self._stream, TLSStream)

    async def read(self) -> bytes:
        """Return the bytes that have arrived, or ``b""`` at the end of the stream."""
        try:
            return await self._stream.receive()
        except EndOfStream:
            return b""
        except (BrokenResourceError, ClosedResourceError) as error:
            raise ConnectionResetError("the client is gone") from error

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client takes nothing."""
        try:
            await self._stream.send(data)
        except (BrokenResourceError, ClosedResourceError) as error:
            raise ConnectionResetError("the client is gone") from error

    async def end(self) -> None:
        """Announce that nothing follows, and discard the bytes that the client still sends.

        Closing at once would reset the connection, and the client could lose the response (RFC 9112, section 9.6).
        """
        if isinstance(self._stream, TLSStream):
            # A client may close without TLS' own goodbye.
            with suppress(BrokenResourceError, ClosedResourceError, EndOfStream):
                await self._stream.aclose()
            return
        await self._stream.send_eof()
        left = MAX_SKIPPED_BYTES
        while left > 0 and (data := await self.read()):
            left -= len(data)

    def reset_at_close(self) -> None:
        """Make the client see an error when the stream is closed."""
        connected = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610  # anyio's extra, not Django's
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)

    def get_remote_address(self) -> tuple[str, int | None] | None:
        """Return the client's address as ASGI has it: None if the client has gone away or has no address."""
        return self._get_address(SocketAttribute.remote_address)

    def get_local_address(self) -> tuple[str, int | None] | None:
        """Return the server's address as ASGI has it: a Unix socket's has no port."""
        return self._get_address(SocketAttribute.local_address)

    def _get_address(self, attribute: Any) -> tuple[str, int | None] | None:
        try:
            address = self._stream.extra(attribute)  # noqa: S610  # as above
        except (OSError, TypedAttributeLookupError):
            return None
        if isinstance(address, str):
            return (address, None) if address else None
        return tuple(address[:2])
