"""The socket that datagrams come to, over UDP or as a Unix socket in the file system, and which process owns it.

*Rules.*

1. One process owns an address: ``open`` returns None while another one has it. The system takes it away from a process
   that is killed.
2. These functions may block: call them in a thread.

*Theory of operation.* A UDP port belongs to the process that has bound it (without ``SO_REUSEADDR``, which would let
several bind it). A Unix socket's file outlives its process, so the lock on a file beside it decides (``flock``): its
owner replaces the socket of a process that has died. The file of the lock is never removed, since another process may
have opened it already and would lock a file that no other process finds.
"""

from __future__ import annotations

import errno
import os
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import final

__all__ = ("Address", "UdpAddress", "UnixAddress")

_SO_RXQ_OVFL = 40  # Linux: each datagram says how many were dropped before it
_SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max, for processes that may
_MODE = 0o600


class Address(ABC):
    """Where datagrams come to."""

    @abstractmethod
    def open(self) -> socket.socket | None:
        """Return a socket that is bound there, or None if another process has one. Raises `OSError`."""

    @abstractmethod
    def close(self, opened: socket.socket) -> None:
        """Close the socket, and let another process have the address."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the address for messages."""


@final
class UdpAddress(Address):
    """A port of a host."""

    def __init__(self, host: str, port: int, buffer_bytes: int) -> None:
        self._host = host
        self._port = port
        self._buffer_bytes = buffer_bytes

    def open(self) -> socket.socket | None:
        """Return a socket that is bound to the port, or None if another process has it."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = found[0]
            opened = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            raise _explain(error, self) from error
        return _prepare(opened, self._buffer_bytes) if _bind(opened, address, self) else None

    def close(self, opened: socket.socket) -> None:
        """Close the socket."""
        opened.close()

    def __str__(self) -> str:
        return f"UDP {self._host}:{self._port}"


@final
class UnixAddress(Address):
    """The file of a Unix socket; only its owner's user may write to it."""

    def __init__(self, path: str, buffer_bytes: int) -> None:
        self._path = path
        self._buffer_bytes = buffer_bytes
        self._lock: int | None = None

    def open(self) -> socket.socket | None:
        """Return a socket that is bound to the path, or None if another process has it."""
        try:
            lock = _take_lock(f"{self._path}.lock")
        except OSError as error:
            raise _explain(error, self) from error
        if lock is None:
            return None
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            _remove_abandoned(self._path)
            with suppress(OSError):  # Linux makes the file with this mode; elsewhere `chmod` has to do
                os.fchmod(opened.fileno(), _MODE)
            if not _bind(opened, self._path, self):
                os.close(lock)
                return None
            Path(self._path).chmod(_MODE)
        except OSError:
            opened.close()
            os.close(lock)
            raise
        self._lock = lock
        return _prepare(opened, self._buffer_bytes)

    def close(self, opened: socket.socket) -> None:
        """Close the socket, remove its file and release the lock."""
        with suppress(OSError):
            Path(self._path).unlink()
        opened.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __str__(self) -> str:
        return f"the Unix socket {self._path}"


def _bind(opened: socket.socket, address: object, owner: Address) -> bool:
    """Bind the socket and return True, or close it and return False if the address is in use."""
    try:
        opened.bind(address)  # type: ignore[arg-type]  # what getaddrinfo returns, or a path
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            return False
        raise _explain(error, owner) from error
    return True


def _prepare(opened: socket.socket, buffer_bytes: int) -> socket.socket:
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    for option, value in ((_SO_RCVBUFFORCE, buffer_bytes), (_SO_RXQ_OVFL, 1)):
        with suppress(OSError):  # not Linux, or not allowed
            opened.setsockopt(socket.SOL_SOCKET, option, value)
    return opened


def _take_lock(path: str) -> int | None:
    """Return the descriptor of the file, which is locked, or None if another process has locked it."""
    import fcntl  # not on Windows, which has no Unix datagrams either

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(path: str) -> None:
    """Remove the socket at ``path`` if no process receives from it."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


def _explain(error: OSError, address: Address) -> OSError:
    """Return the error with the address in its message."""
    return OSError(error.errno, f"lines of StatsD cannot be received at {address}: {error.strerror or error}")
