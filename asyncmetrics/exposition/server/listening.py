"""The socket that the server listens on, over TCP or as a Unix socket in the file system."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from asyncmetrics.exposition.server.os_errors import explain_error

__all__ = ("listen_on_port", "listen_on_unix_socket", "read_inode", "remove_unix_socket")

# Connections that wait to be accepted: a client beyond them tries again only after a second (TCP's first
# retransmission), and the scraper would be one of them.
_BACKLOG = 1024
_PROBE_SECONDS = 1.0  # a listener whose backlog is full lets a client wait; it is in use


def listen_on_port(addr: str, port: int) -> socket.socket:
    """Return a socket that listens on ``addr`` (a name, IPv4 or IPv6; empty means every address) and ``port``.

    Raises `OSError` where that is not possible.
    """
    try:
        listening = _bind(addr, port)
    except OSError as error:
        raise explain_error(error, f"the metrics cannot be served on {addr!r}, port {port}") from error
    listening.setblocking(False)
    return listening


def listen_on_unix_socket(path: str) -> socket.socket:
    """Return a Unix socket that listens at ``path``. It replaces a socket that no process listens on any more.

    Raises `OSError` where that is not possible, or another process listens there.
    """
    listening = socket.socket(socket.AF_UNIX)
    try:
        if _is_abandoned(path):
            Path(path).unlink()
        listening.bind(path)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise explain_error(error, f"the metrics cannot be served on the Unix socket {path!r}") from error
    listening.setblocking(False)
    return listening


def read_inode(path: str) -> int:
    """Return the inode of the socket at ``path``, which another socket there does not have; 0 if there is none."""
    with suppress(OSError):
        return Path(path).stat().st_ino
    return 0


def remove_unix_socket(path: str, inode: int) -> None:
    """Remove the socket of a server that has ended, unless the socket of another server has replaced it."""
    if inode and read_inode(path) == inode:
        with suppress(OSError):
            Path(path).unlink()


def _bind(addr: str, port: int) -> socket.socket:
    addresses = socket.getaddrinfo(addr or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = addresses[0]
    # ``::`` includes IPv4, as it does for other programs; Python's create_server alone would leave it out.
    is_dual_stack = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=is_dual_stack)


def _is_abandoned(path: str) -> bool:
    """Return whether there is a socket at ``path`` that refuses connections."""
    try:
        if not Path(path).is_socket():
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PROBE_SECONDS)
            client.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
