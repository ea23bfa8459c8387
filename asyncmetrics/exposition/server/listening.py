"""The socket that the server listens on: TCP, or a Unix socket; and the errors when there is none to be had."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from asyncmetrics.errors import DefinitionError

__all__ = ("clearer", "inode_of", "listen", "listen_unix", "remove_unix")

# Connections that wait to be accepted: past these a client tries again only after a second.
_BACKLOG = 1024


def listen(addr: str, port: int) -> socket.socket:
    """Return a socket that listens on ``addr`` (a name, IPv4 or IPv6; empty means all of them) and ``port``.

    Raises `OSError` where that is not possible.
    """
    if not 0 <= port <= 65535:
        raise DefinitionError("port", f"expected 0 (any that is free) to 65535, got {port!r}")
    try:
        listening = _bound(addr, port)
    except OSError as error:
        raise clearer(error, f"the metrics cannot be served on {addr!r}, port {port}") from error
    listening.setblocking(False)
    return listening


def listen_unix(path: str) -> socket.socket:
    """Return a Unix socket that listens at ``path``, which replaces one that no process listens on any more.

    Raises `OSError` where that is not possible, or another process listens there.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise DefinitionError("uds", "this platform has no Unix sockets")
    listening = socket.socket(socket.AF_UNIX)
    try:
        if _is_left_behind(path):
            Path(path).unlink()
        listening.bind(path)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise clearer(error, f"the metrics cannot be served on the Unix socket {path!r}") from error
    listening.setblocking(False)
    return listening


def inode_of(path: str) -> int:
    """Return what tells this socket from another one that takes its place; 0 if it is gone already."""
    with suppress(OSError):
        return Path(path).stat().st_ino
    return 0


def remove_unix(path: str, inode: int) -> None:
    """Remove the socket of a server that has ended, but not that of another server which has taken its place."""
    if inode and inode_of(path) == inode:
        with suppress(OSError):
            Path(path).unlink()


def clearer(error: OSError, problem: str) -> OSError:
    """Return ``error`` with a message that begins with ``problem``."""
    return OSError(error.errno, f"{problem}: {error.strerror or error}")


def _bound(addr: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    both = address[0] == "::" and socket.has_dualstack_ipv6()  # as the system does where Python does not say otherwise
    return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=both)


def _is_left_behind(path: str) -> bool:
    try:
        if not Path(path).is_socket():
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
