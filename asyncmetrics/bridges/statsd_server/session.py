"""`Session`: what a server does from its start to its stop.

*Theory of operation.* A session is in one of these states:

1. *Waiting*: another process has the address. The session tries to open it once a second.
2. *Receiving*: it has the socket. One task moves datagrams into the queue, another one takes lines from it in turns,
   and a third one ends the intervals of sets. If the socket breaks, it is closed and the state is 1 again.
3. *Ending*: what has arrived is received and taken. The socket is closed, and the last interval of sets is ended.
4. *Ended*.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import final

import anyio
from anyio import CancelScope, Event, to_thread
from anyio.lowlevel import checkpoint

from asyncmetrics.bridges.statsd_server.receiving import Receiver
from asyncmetrics.bridges.statsd_server.sets import Sets
from asyncmetrics.bridges.statsd_server.sockets import Address
from asyncmetrics.pacing import run_in_turns, take_turn

__all__ = ("Session",)

_RETRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.001  # by default the kernel keeps the datagrams of 2.7 ms, if there are 100,000 a second
_log = logging.getLogger("asyncmetrics")


@final
class Session:
    """Receive at ``address``; ``opened`` is its socket, or None if another process has it.

    ``on_change`` is called with the socket, and with None once it is closed.
    """

    def __init__(
        self,
        address: Address,
        opened: socket.socket | None,
        make_receiver: Callable[[socket.socket], Receiver],
        sets: Sets,
        set_interval: float,
        on_change: Callable[[socket.socket | None], None],
    ) -> None:
        self.ended = Event()
        self.cancel: Callable[[], object] = lambda: None
        self._address = address
        self._opened = opened
        self._make_receiver = make_receiver
        self._sets = sets
        self._set_interval = set_interval
        self._on_change = on_change
        self._stopping = Event()
        self._scope = CancelScope()

    def stop(self) -> None:
        """Begin to end: receive and take what has arrived."""
        self._stopping.set()
        self._scope.cancel()

    async def run(self) -> None:
        """Run until `stop` is called. Raises nothing but what cancels it."""
        try:
            while True:
                if self._opened is not None:
                    await self._serve(self._opened)
                if self._stopping.is_set():
                    break
                await self._wait_for_address()
            await run_in_turns(self._sets.flush())
        finally:
            await self._close()

    async def _wait_for_address(self) -> None:
        """Try to open the address until that succeeds."""
        problem = ""
        with self._begin_scope():
            while self._opened is None:
                await anyio.sleep(_RETRY_SECONDS)
                try:
                    with CancelScope(shield=True):
                        self._opened = await to_thread.run_sync(self._address.open)
                except OSError as error:
                    if str(error) != problem:
                        _log.warning("%s: it is tried again every second", error)
                    problem = str(error)

    async def _serve(self, opened: socket.socket) -> None:
        receiver, arrived = self._make_receiver(opened), _Signal()
        self._on_change(opened)
        try:
            with self._begin_scope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_take_forever, receiver, arrived)
                    tasks.start_soon(self._flush_forever)
                    try:
                        await _receive_forever(opened, receiver, arrived)
                    except OSError as error:
                        _log.warning("the socket at %s is broken, it is opened again: %s", self._address, error)
                        scope.cancel()
            with suppress(OSError):
                while receiver.has_room and receiver.receive():
                    await checkpoint()
            await _take(receiver)
        finally:
            await self._close()

    async def _flush_forever(self) -> None:
        while True:
            await anyio.sleep(self._set_interval)
            with CancelScope(shield=True):  # half an interval would be lost
                await run_in_turns(self._sets.flush())

    async def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._on_change(None)
            with CancelScope(shield=True):
                await to_thread.run_sync(self._address.close, opened)

    def _begin_scope(self) -> CancelScope:
        """Return the scope that `stop` cancels."""
        self._scope = CancelScope()
        if self._stopping.is_set():
            self._scope.cancel()
        return self._scope


@final
class _Signal:
    """An event that can be set again."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = Event()


async def _receive_forever(opened: socket.socket, receiver: Receiver, arrived: _Signal) -> None:
    """Move datagrams into the queue as they arrive. Raises `OSError` if the socket is broken.

    After some have arrived it looks again in a moment, and waits for the socket only if there were none: to wait for it
    costs as much as 20 datagrams.
    """
    while True:
        await anyio.wait_readable(opened)
        is_busy = True
        while is_busy:
            is_busy = not receiver.has_room
            while receiver.has_room and receiver.receive():
                is_busy = True
                arrived.set()
                await checkpoint()
            if is_busy:
                await anyio.sleep(_PAUSE_SECONDS)


async def _take_forever(receiver: Receiver, arrived: _Signal) -> None:
    while True:
        await arrived.wait()
        await _take(receiver)


async def _take(receiver: Receiver) -> None:
    """Take the lines of the queue in turns, until it is empty."""
    while True:
        async with take_turn() as is_over:
            while receiver.take_lines():
                if is_over():
                    break
            else:
                return
