"""Who gets the Unix socket of a server, if several processes want to replace a dead one in the same moment."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

from asyncmetrics.bridges.statsd_server.sockets import UnixAddress


def test_who_has_not_the_lock_leaves_a_dead_socket_alone(tmp_path):
    """Otherwise it could remove the one that the owner of the lock has bound meanwhile."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    before = path.stat()
    address = UnixAddress(str(path), 2**16)
    with Path(f"{path}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert address.open() is None
        assert path.stat() == before
    opened = address.open()
    assert opened is not None
    address.close(opened)


def test_of_two_that_open_a_socket_one_gets_it_until_its_end(tmp_path):
    path = str(tmp_path / "s.sock")
    first, second = UnixAddress(path, 2**16), UnixAddress(path, 2**16)
    opened = first.open()
    assert opened is not None
    assert second.open() is None
    first.close(opened)
    other = second.open()
    assert other is not None
    assert first.open() is None
    second.close(other)
