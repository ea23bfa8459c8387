"""Sockets that sinks send by: TCP connections, with TLS or without, and UDP and Unix datagrams.

*Rules.*

* A socket belongs to no event loop: it does not block, and waits on the loop that runs. So a sink can be used on
  another loop later.
* Close the socket after any failure or cancellation: what was sent of a line is not completed by another one.

*Theory of operation.* The result of a write is not enough:

1. A server closes a TCP connection. The next write to it succeeds, and its data is lost. So `StreamSender` looks for
   the end of the stream before it writes.
2. The answer to such a write (RST), or to a datagram for a UDP port at which nothing listens (ICMP), becomes the error
   of the socket. On the loopback it is there when the write returns. So both senders read that error after a write.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeAlias, TypeVar, final

from asyncmetrics.errors import PushError
from asyncmetrics.model.checks import check_limit, check_text, make_refusal

__all__ = ("DatagramSender", "Sender", "StreamSender", "check_host")

T = TypeVar("T")

_Address: TypeAlias = tuple[int, Any]  # the family of a socket, and where it connects to

_REOPEN_SECONDS = 60.0  # after which the name of a UDP server is looked up again: nothing says that it has moved
_PAUSE_SECONDS = 0.001  # until the kernel has room again (ENOBUFS), for which no event exists
_MAX_PORT = 65535


def check_host(host: object, port: object) -> None:
    """Raise `DefinitionError` unless these are a host and a port."""
    check_text("host", host, "localhost")
    name = str(host)
    if not _is_host(name):
        raise make_refusal("host", "the name or the address of a host, such as 'localhost'", host, _suggest_host(name))
    check_limit("port", port, expected="a port from 1 to 65535, as an int")
    if isinstance(port, int) and port > _MAX_PORT:
        raise make_refusal("port", "a port from 1 to 65535, as an int", port)


def _is_host(text: str) -> bool:
    return bool(text) and not re.search(r"[/\s\[\]]", text) and text.count(":") != 1  # an address of IPv6 has more


def _suggest_host(text: str) -> str:
    """Return what to write instead of a URL, of a host with a port, or of an address in brackets."""
    if text.startswith(("unix:", "/")):
        return f"write path={'/' + text.removeprefix('unix:').lstrip('/')!r} for a Unix socket"
    found = re.fullmatch(r"(?:\w+://)?\[?([^/\s\[\]]+?)\]?(?::([0-9]+))?/?", text)
    if found is None or not _is_host(found[1]):
        return ""
    port = f", port={int(found[2])}" if found[2] else ""
    return f"write host={found[1]!r}{port}"


class Sender(ABC):
    """A socket to one server, which is opened when it is needed. ``method`` and ``target`` are for errors."""

    def __init__(self, method: str, target: str, timeout: float) -> None:
        self._method = method
        self.target = target
        self._timeout = timeout
        self._socket: socket.socket | None = None

    async def send(self, data: bytes) -> None:
        """Send all of ``data`` within the timeout. Raises `PushError` (an OSError)."""
        import anyio

        is_sent = False
        try:
            with anyio.fail_after(self._timeout):
                await self._send(data)
            is_sent = True
        except (OSError, UnicodeError) as error:  # the latter for a host that is no name (IDNA)
            is_permanent = isinstance(error, OSError) and error.errno == errno.EMSGSIZE
            problem = self._describe(error)
            raise PushError(self._method, self.target, problem, is_permanent=is_permanent) from error
        finally:
            if not is_sent:
                self.close()

    def close(self) -> None:
        """Close the socket; the next `send` opens another one."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    @abstractmethod
    async def _send(self, data: bytes) -> None:
        """Send ``data``; the caller closes the socket if that fails."""

    def _describe(self, error: Exception) -> str:
        match error:
            case ssl.SSLCertVerificationError():
                return f"the certificate of the server is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {error.reason or error}"
            case socket.gaierror() | UnicodeError():
                return f"the host is unknown: {error}"
            case ConnectionRefusedError():
                return "nothing listens there (connection refused)"
            case ConnectionResetError() | BrokenPipeError():
                return str(error.strerror or error) + ": the server has closed the connection"
            case TimeoutError():
                return f"it took more than {self._timeout:g} s"
            case _:
                return str(error) or repr(error)


@final
class StreamSender(Sender):
    """A TCP connection, with TLS in the context ``tls``, or the default one for True."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | bool | None, timeout: float) -> None:
        super().__init__("TCP", _format_target(host, port), timeout)
        self._host = host
        self._port = port
        self._tls = tls

    async def _send(self, data: bytes) -> None:
        if self._socket is not None and _has_ended(self._socket):
            self.close()
        sock = self._socket or await self._connect()
        left = memoryview(data)
        while left:
            left = left[await _retry(sock, partial(sock.send, left)) :]
        _raise_error(sock)

    async def _connect(self) -> socket.socket:
        sock = self._socket = await _connect_stream(await _look_up(self._host, self._port, socket.SOCK_STREAM))
        if self._tls:
            context = self._tls if isinstance(self._tls, ssl.SSLContext) else await _make_default_context()
            sock = self._socket = context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
            await _retry(sock, sock.do_handshake)
        return sock


@final
class DatagramSender(Sender):
    """A socket for datagrams, to ``path`` (a Unix socket) or else to a UDP port."""

    def __init__(self, host: str, port: int, path: str | None, *, timeout: float) -> None:
        method, target = ("UDP", _format_target(host, port)) if path is None else ("Unix datagram", path)
        super().__init__(method, target, timeout)
        self._host = host
        self._port = port
        self._path = path
        self._reopens_at = 0.0

    async def _send(self, data: bytes) -> None:
        if self._path is None and monotonic() >= self._reopens_at:
            self.close()
        if self._socket is not None:
            await _send_datagram(self._socket, data)
            return
        addresses = await self._list_addresses()
        for address in addresses[:-1]:  # localhost is two addresses, and a server may listen at one of them
            with suppress(OSError):
                await _send_datagram(self._connect(address), data)
                return
        await _send_datagram(self._connect(addresses[-1]), data)

    async def _list_addresses(self) -> list[_Address]:
        if self._path is not None:
            return [(socket.AF_UNIX, self._path)]
        self._reopens_at = monotonic() + _REOPEN_SECONDS
        return await _look_up(self._host, self._port, socket.SOCK_DGRAM)

    def _connect(self, address: _Address) -> socket.socket:
        self.close()
        sock = self._socket = socket.socket(address[0], socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(address[1])  # a datagram's destination: nothing is sent
        return sock


def _format_target(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _look_up(host: str, port: int, kind: socket.SocketKind) -> list[_Address]:
    import anyio

    found = await anyio.getaddrinfo(host, port, type=kind)
    return [(family, address) for family, _, _, _, address in found]


async def _send_datagram(sock: socket.socket, data: bytes) -> None:
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # forget the error of an earlier datagram
    await _retry(sock, partial(sock.send, data))
    _raise_error(sock)


async def _connect_stream(addresses: list[_Address]) -> socket.socket:
    for address in addresses[:-1]:
        with suppress(OSError):
            return await _connect_address(address)
    return await _connect_address(addresses[-1])


async def _connect_address(address: _Address) -> socket.socket:
    import anyio

    sock = socket.socket(address[0], socket.SOCK_STREAM)
    is_connected = False
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect(address[1])
        await anyio.wait_writable(sock)
        _raise_error(sock)
        is_connected = True
    finally:
        if not is_connected:
            sock.close()
    return sock


async def _make_default_context() -> ssl.SSLContext:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(ssl.create_default_context)  # reads files, for 20 ms


async def _retry(sock: socket.socket, operation: Callable[[], T]) -> T:
    """Return what ``operation`` returns, once the socket is ready for it."""
    import anyio

    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            await anyio.wait_readable(sock)
        except (BlockingIOError, ssl.SSLWantWriteError):
            await anyio.wait_writable(sock)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            await anyio.sleep(_PAUSE_SECONDS)


def _raise_error(sock: socket.socket) -> None:
    """Raise the error that the kernel has stored for the socket, if there is one."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))  # Python makes the subclass of this code


def _has_ended(sock: socket.socket) -> bool:
    """Return whether the server has closed its side. What it sends is discarded."""
    try:
        return not sock.recv(65536)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
