"""The watchdog: a thread beside an event loop, which finds out what blocks the loop, and when the loop has ended.

*Terms.* A *pause* is a time in which the whole process did not run: it was stopped, or its machine was suspended.

*Rules.*

1. Read ``Turns.since`` before ``Turns.ended`` (see `Turns`).
2. Let only this thread count blocks: it alone knows the pauses.
3. Log last. A handler may wait for a lock that the blocked thread has.

*Theory of operation.*

1. The thread wakes four times in each block threshold, at least twice a second, and when the present turn reaches the
   threshold.
2. On uvloop, whose turns are not seen, it sends a ping: a callback that ends the "turn" which the ping has begun. So
   a block there is measured up to a quarter of the threshold too short.
3. A turn that has reached the threshold is a block. Its function is taken from the stack of the loop's thread, and the
   seconds that have passed are counted, so that a block which never ends is exposed as well.
4. Each time the thread wakes during the block, it counts the seconds that have passed meanwhile. When the turn is among
   those that have ended, it counts the rest: in the end the sum is the duration of the turn.
5. A turn that ended before the thread could see its stack is counted as one of the function ``unknown``.

A call that holds the GIL keeps this thread asleep, and ends in step 3: Python switches to the thread that waits for the
GIL before the caller's next line. A process that does not run keeps it asleep too, but meanwhile the processor time of
the loop's thread stands still.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import perf_counter
from typing import Protocol, final

from asyncmetrics.errors import LoopError
from asyncmetrics.runtime.cpu import make_cpu_clock
from asyncmetrics.runtime.frames import Stack, list_loop_codes
from asyncmetrics.runtime.monitored_loop import MonitoredLoop, Turns

__all__ = ("BlockCounter", "Watchdog")

_CHECK_SECONDS = 0.5  # between two looks whether the loop has ended
_MARGIN_SECONDS = 0.0005  # after the threshold, so that the turn has reached it


class BlockCounter(Protocol):
    """Counts the blocks that a watchdog finds."""

    def begin(self, function: str) -> None:
        """Count a block."""

    def add(self, function: str, seconds: float) -> None:
        """Count seconds of a block."""

    def log(self, function: str, seconds: float, stack: str) -> None:
        """Log a block that has lasted for some seconds."""

    def is_to_log(self, function: str) -> bool:
        """Return whether a block is worth a log line."""
        ...


@final
class _Block:
    """The present block, since ``since``. Without a ``function`` it is not counted: a debugger has stopped the loop."""

    __slots__ = ("counted", "function", "since")

    def __init__(self, since: float, function: str) -> None:
        self.since = since
        self.function = function
        self.counted = 0.0


@final
class Watchdog:
    """The thread that watches one loop. Make it in a task of the loop."""

    def __init__(self, loop: MonitoredLoop, threshold: float, counter: BlockCounter) -> None:
        self._loop = loop
        self._threshold = threshold
        self._interval = min(threshold / 4, _CHECK_SECONDS)
        self._counter = counter
        self._is_pinging = loop.turns is None
        self._turns = loop.turns or Turns(threshold)
        self._codes = list_loop_codes()
        self._read_cpu = make_cpu_clock(loop.thread) or time.process_time
        self._block: _Block | None = None
        self._pauses: deque[tuple[float, float, float]] = deque(maxlen=20)  # the beginning, the end, the seconds
        self._end = threading.Lock()  # one acquire with a timeout costs a third of a wait for an Event
        self._slept_at = self._checked_at = 0.0
        self._overslept = self._worked = 0.0  # in the last sleep; the second is the processor time of the loop's thread
        self._thread = threading.Thread(target=self._run, name="asyncmetrics-watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system has none left."""
        self._end.acquire(blocking=False)
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; do not wait for it."""
        if self._end.locked():
            self._end.release()

    def is_running(self) -> bool:
        """Return whether the thread has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._sleep():
            self._loop.guard("blocks", self._look)
            if self._slept_at - self._checked_at >= _CHECK_SECONDS:
                self._checked_at = self._slept_at
                if self._loop.home.has_ended():
                    self._loop.guard("blocks", self._loop.end)
                    return
        self._loop.guard("blocks", self._take_ended)

    def _sleep(self) -> bool:
        """Sleep until the next look, note a pause, and return whether the thread has to end."""
        began, since, cpu = perf_counter(), self._turns.since, self._read_cpu()
        seconds = self._interval
        if since and (left := since + self._threshold - began) > 0:
            seconds = min(seconds, left + _MARGIN_SECONDS)
        is_over = self._end.acquire(timeout=seconds)
        self._slept_at = perf_counter()
        self._overslept = self._slept_at - began - seconds
        self._worked = self._read_cpu() - cpu
        if self._overslept >= self._threshold and self._has_paused():
            self._pauses.append((began, self._slept_at, self._overslept))
        return is_over

    def _has_paused(self) -> bool:
        """Return whether the process did not run in a sleep that was late: the loop's thread has done too little."""
        return self._worked < self._threshold / 2

    def _look(self) -> None:
        now, since = self._slept_at, self._turns.since
        if since in self._take_ended():
            since = 0.0
        if self._is_pinging and not since:
            # A call that has held the GIL has kept this thread from sending the ping that it should have met. It may
            # have had the processor for a small part of that time only, if the machine is busy.
            was_kept = self._overslept >= self._threshold and not self._has_paused()
            since = self._ping(max(now - self._overslept, self._loop.seen_at) if was_kept else now)
        if since and now - since >= self._threshold and not self._is_paused(since, now):
            self._see_block(since, now)

    def _measure(self, began: float, ended: float) -> float:
        """Return the seconds between two times, without the pauses."""
        pauses = (pause for start, end, pause in self._pauses if end > began and start < ended)
        return ended - began - sum(pauses)

    def _is_paused(self, since: float, now: float) -> bool:
        """Return whether so little of the turn is left without the pauses that it is no block."""
        if self._loop.home.find_problem():  # the loop does not run, and so does not end its turn: all of it is a pause
            if self._pauses and self._pauses[-1][0] == since:
                self._pauses.pop()
            self._pauses.append((since, now, now - since))
        return self._measure(since, now) < self._threshold

    def _see_block(self, since: float, now: float) -> None:
        """Count a block that lasts, for the time since the last look."""
        block = self._block
        log: Callable[[], None] | None = None
        if block is None or block.since != since:
            stack = Stack(sys._current_frames().get(self._loop.thread), self._codes)
            if self._turns.since != since or stack.is_idle:  # it has ended: the stack is one of another turn
                return
            function = "" if stack.has_debugger() else stack.function
            self._block = block = _Block(since, function)
            if function:
                self._counter.begin(function)
                if self._counter.is_to_log(function):
                    text = stack.format()
                    log = lambda: self._counter.log(function, now - since, text)  # noqa: E731
            del stack
        self._count(block, self._measure(since, now))
        self._loop.beat()  # which the loop itself cannot do
        if log is not None:
            log()

    def _count(self, block: _Block, seconds: float) -> None:
        """Count what a block of this many seconds has more than at the last look."""
        if block.function and seconds > block.counted:
            self._counter.add(block.function, seconds - block.counted)
            block.counted = seconds

    def _take_ended(self) -> set[float]:
        """Count the blocks that have ended, and return when they began."""
        beginnings = set()
        while self._turns.ended:
            began, seconds = self._turns.ended.popleft()
            beginnings.add(began)
            seconds = self._measure(began, began + seconds)
            block = self._block
            if block is not None and block.since == began:
                self._count(block, seconds)
                self._block = None
            elif seconds >= self._threshold:
                self._counter.begin("unknown")
                self._counter.add("unknown", seconds)
        return beginnings

    def _ping(self, since: float) -> float:
        """Begin a "turn", which ends when the loop runs the callback; return when it began, 0.0 if it did not."""
        self._turns.since = since
        try:
            self._loop.home.call_soon(self._answer, Context())
        except LoopError:  # it has ended, or does not run at this moment
            self._turns.since = since = 0.0
        return since

    def _answer(self) -> None:
        """Be run by the loop."""
        turns = self._turns
        self._loop.seen_at = now = perf_counter()
        seconds = now - turns.since
        if seconds >= turns.threshold:
            turns.ended.append((turns.since, seconds))
        turns.since = 0.0
