"""`Pushing`: a pusher at work on one event loop.

*Theory of operation.* Two tasks of the loop share a `Pending`:

1. *Collecting*. Until this process leads, the first task asks twice a second whether it does. Then it collects at once,
   and at fixed times after that: a slow server delays no collection. Payloads go into the `Pending`.
2. *Sending*. The second task takes the oldest payload and sends it. If that fails, it puts the payload back and waits.
3. *Ending*. `Pushing.end` ends the first task, makes the last collection, and lets the second one end its attempt. It
   sends what is pending, in its order, since servers such as Prometheus refuse old samples after new ones. When half of
   the time is over, it drops all but the newest payload, which has all that cumulative numbers have ever counted, and
   sends that in the other half.
4. *Ended*. The lead is released, and another worker takes over.

In a forked process the copies of these tasks do nothing.
"""

from __future__ import annotations

import logging
import math
import os
from typing import final

import anyio

from asyncmetrics.bridges.push.pending import Pending
from asyncmetrics.bridges.push.sink import Payload
from asyncmetrics.bridges.push.work import PushWork
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop, LoopCall, detach
from asyncmetrics.pacing import run_in_turns

__all__ = ("PushTimes", "Pushing")

_log = logging.getLogger("asyncmetrics")

_ASK_SECONDS = 0.5  # how soon another worker takes over
_COLLECTION_SECONDS = 10.0  # for collectors that wait
_LOOK_SECONDS = 1.0
_CLOSING_SECONDS = 0.1  # for connections, where no time is left


@final
class PushTimes:
    """The seconds between two collections, and for the end."""

    def __init__(self, interval: float, shutdown_timeout: float) -> None:
        self.interval = interval
        self.shutdown_timeout = shutdown_timeout
        self.collection = min(interval, _COLLECTION_SECONDS)


@final
class Pushing:
    """A pusher at work on the loop ``home``. ``is_first`` returns whether no other loop of this process pushes."""

    def __init__(self, work: PushWork, times: PushTimes, most_pending: int, home: HomeLoop, owner: str) -> None:
        self.home = home
        self.is_first = True
        self._work = work
        self._times = times
        self._owner = owner
        self._process = os.getpid()
        self._pending = Pending(most_pending, replaces=work.replaces, on_dropped=work.metrics.count_dropped)
        self._scope = anyio.CancelScope()  # of both tasks
        self._collecting = anyio.CancelScope()
        self._ending = anyio.Event()
        self._idle = anyio.Event()  # the tasks have ended
        self._filled = anyio.Event()
        self._end_call: LoopCall[None] | None = None
        self._dropped = 0  # collections, at the end

    @property
    def shutdown_timeout(self) -> float:
        """How many seconds `end` takes at most."""
        return self._times.shutdown_timeout

    def begin(self) -> None:
        """Start the tasks on the running loop."""
        detach(self._run, self._note_end)

    def _note_end(self) -> None:
        self._idle.set()
        if self._end_call is None and self._is_here():  # the loop has ended without `stop`
            self._work.release()

    def _is_here(self) -> bool:
        return self._process == os.getpid()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._collect_for_ever)
                    await self._send_for_ever()
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not reach the application
            pass_interruption(error)
            self._work.sender.note_mistake(error)

    async def _collect_for_ever(self) -> None:
        with self._collecting:
            while self._is_here():
                if await self._leads():
                    await self._collect_while_leading()
                await anyio.sleep(min(self._times.interval, _ASK_SECONDS))

    async def _leads(self) -> bool:
        return self.is_first and self._is_here() and await self._work.is_leader()

    async def _collect_while_leading(self) -> None:
        start, number = anyio.current_time(), 0
        while await self._leads():
            payload = await self._work.collect_to_send(self._times.collection)
            if payload is not None:
                self._add(payload)
            await run_in_turns(self._pending.free_in_steps())
            passed = math.ceil((anyio.current_time() - start) / self._times.interval)
            number = max(number + 1, passed)
            await _sleep_until(start + number * self._times.interval)

    def _add(self, payload: Payload) -> None:
        self._pending.add(payload)
        self._note_pending()
        self._filled.set()

    def _note_pending(self) -> None:
        self._work.metrics.set_pending(len(self._pending))

    async def _send_for_ever(self) -> None:
        while self._is_here():
            if not self._pending:
                self._filled = anyio.Event()
                await self._filled.wait()
            if self._ending.is_set():
                break
            delay = await self._send_oldest()
            await run_in_turns(self._pending.free_in_steps())
            if delay is not None:
                with anyio.move_on_after(delay):
                    await self._ending.wait()

    async def _send_oldest(self) -> float | None:
        """Send the oldest payload; return the seconds until the next attempt if it failed, else None."""
        async with self._work.take_turn_of_sink():
            payload = self._pending.take()
            if self._work.is_obsolete(payload):
                self._pending.discard(payload)
                return None
            delay: float | None = 0.0
            try:
                delay = await self._work.sender.attempt(payload)
            finally:
                if delay is not None:  # it failed, or it was cancelled
                    self._pending.put_back(payload)
                self._note_pending()
        return delay

    def call_end(self) -> LoopCall[None]:
        """Start `_end` on its loop, from any thread, and return the call; a second call of this starts nothing.

        Raises `LoopError` if the loop has ended.
        """
        if self._end_call is None:
            self._end_call = LoopCall(self._end)
            self._end_call.start(None if self.home.is_running_here() else self.home)
        return self._end_call

    async def stop(self) -> None:
        """Make the last push, within the time for it, even if the task is cancelled meanwhile."""
        call, cancellation = self.call_end(), None
        with anyio.CancelScope(shield=True):
            while not call.has_ended:
                try:
                    await call.wait_async(None)
                except anyio.get_cancelled_exc_class() as error:  # asyncio's `Task.cancel` knows no shield
                    pass_interruption(error)
                    cancellation = error
        if cancellation is not None:
            raise cancellation

    async def _end(self) -> None:
        deadline = anyio.current_time() + self._times.shutdown_timeout
        half = deadline - self._times.shutdown_timeout / 2
        try:
            self._ending.set()
            self._collecting.cancel()
            await self._collect_last(half)
            self._filled.set()
            with anyio.CancelScope(deadline=half if self._pending else deadline):
                await self._idle.wait()
            self._scope.cancel()
            await self._idle.wait()
            await self._send_rest(half, deadline)
            with anyio.CancelScope(deadline=max(deadline, anyio.current_time() + _CLOSING_SECONDS)):
                await self._work.sink.close()
        except Exception as error:  # noqa: BLE001  # a mistake in a sink must not reach the application
            pass_interruption(error)
            self._work.sender.note_mistake(error)
        finally:
            self._drop_rest()
            self._work.release()
        await run_in_turns(self._pending.free_in_steps())

    async def _collect_last(self, deadline: float) -> None:
        if await self._leads():
            with anyio.CancelScope(deadline=deadline):
                payload = await self._work.collect_to_send(max(0.01, (deadline - anyio.current_time()) / 2))
                if payload is not None:
                    self._add(payload)

    async def _send_rest(self, half: float, deadline: float) -> None:
        while self._pending:
            with anyio.CancelScope(deadline=half if len(self._pending) > 1 else deadline):
                delay = await self._send_oldest()
                if delay is not None:
                    await anyio.sleep(delay)
            if anyio.current_time() >= deadline:
                return
            if anyio.current_time() >= half:
                self._drop_all_but(1)

    def _drop_rest(self) -> None:
        if not self._is_here():
            return
        self._drop_all_but(0)
        self._note_pending()
        if self._dropped:
            _log.warning(
                "%s: %d collections could not be sent within the shutdown_timeout and are dropped",
                self._owner,
                self._dropped,
            )

    def _drop_all_but(self, number: int) -> None:
        self._dropped += self._pending.drop_all_but(number)


async def _sleep_until(deadline: float) -> None:
    """Sleep, and have the loop wake up every second.

    A signal may come between an asyncio loop's last look at signals and the system call in which it waits for events:
    it is handled when the loop wakes up next.
    """
    while anyio.current_time() < deadline:  # noqa: ASYNC110  # it waits for a time
        await anyio.sleep_until(min(deadline, anyio.current_time() + _LOOK_SECONDS))
