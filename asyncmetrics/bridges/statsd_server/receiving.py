"""`Receiver`: datagrams from the socket into a queue, from which they are taken line by line.

*Rules.*

1. Empty the socket as soon as it has something: by default the kernel keeps some 270 small datagrams, and drops others.
2. Bound the queue. While it is full nothing is received, and the kernel drops and counts what comes.

*Theory of operation.* An entry of the queue has all datagrams of one step, with a line end between them. So a datagram
costs its system call and little else.
"""

from __future__ import annotations

import socket
import sys
from collections import deque
from collections.abc import Iterator
from typing import final

from asyncmetrics.bridges.statsd_server.lines import Lines
from asyncmetrics.bridges.statsd_server.outcomes import Outcomes

__all__ = ("Receiver",)

_STEP = 128  # datagrams, 0.1 ms
_STEP_BYTES = 8 * 1024  # lines of a whole step are split at once
_LARGEST_DATAGRAM = 65_535  # UDP has no larger ones; a Unix socket has
_OVERHEAD_BYTES = 100  # of an entry of the queue
_ANCILLARY_BYTES = 64
_SO_RXQ_OVFL = 40


@final
class Receiver:
    """The queue of one socket."""

    def __init__(self, opened: socket.socket, lines: Lines, outcomes: Outcomes, max_queued_bytes: int) -> None:
        self._socket = opened
        self._lines = lines
        self._outcomes = outcomes
        self._limit = max_queued_bytes
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._dropped = 0
        self._current: Iterator[bytes] = iter(())

    @property
    def has_room(self) -> bool:
        """Whether the queue takes more datagrams."""
        return self._queued_bytes < self._limit

    def receive(self) -> bool:
        """Move the datagrams of one step into the queue; return whether there were any.

        Raises `OSError` if the socket is broken.
        """
        received: list[bytes] = []
        size, receive = 0, self._socket.recv
        try:
            data = self._receive_first()
            while True:
                received.append(data if len(data) <= _LARGEST_DATAGRAM else self._cut(data))
                size += len(data)
                if len(received) == _STEP or size > _STEP_BYTES:
                    break
                data = receive(_LARGEST_DATAGRAM + 1)
        except BlockingIOError:
            pass
        finally:
            if received:
                self._put(b"\n".join(received))
                self._outcomes.count_datagrams(len(received))
        return bool(received)

    def _receive_first(self) -> bytes:
        """Receive a datagram together with how many the kernel has dropped: that takes twice as long."""
        data, ancillary, _, _ = self._socket.recvmsg(_LARGEST_DATAGRAM + 1, _ANCILLARY_BYTES)
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                dropped = int.from_bytes(value[:4], sys.byteorder)
                self._outcomes.count_dropped_datagrams((dropped - self._dropped) % 2**32)
                self._dropped = dropped
        return data

    def _cut(self, data: bytes) -> bytes:
        """Return a datagram without its last line, whose end is missing."""
        data, _, rest = data.rpartition(b"\n")
        self._outcomes.count("too_long", rest[:100])
        return data

    def _put(self, data: bytes) -> None:
        self._queue.append(data)
        self._queued_bytes += len(data) + _OVERHEAD_BYTES

    def take_lines(self) -> bool:
        """Take the lines of one step; return whether there are more."""
        if self._lines.take(self._current):
            return True
        if not self._queue:
            return False
        data = self._queue.popleft()
        self._queued_bytes -= len(data) + _OVERHEAD_BYTES
        if b"\r" in data:
            data = (data + b"\n").replace(b"\r\n", b"\n")
        self._current = iter(data.split(b"\n"))
        return True
