"""Several threads of which one runs at a time, switched at points that a seed chooses.

*Theory of operation.* Each thread has a lock that it waits for while another one runs. Each passes its traced points to
`Schedule.pass_point`. At a point that the seed has chosen, the thread releases the lock of another thread, which it
also chooses, and waits for its own. A thread that ends releases the lock of one that has not ended. So a seed always
gives the same interleaving.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from types import FrameType

from tests.concurrency.explorer.tracing import Position

__all__ = ("Schedule",)

_SWITCHES = 5


class Schedule:
    """Threads numbered from 0; they pass about ``points`` points in all.

    ``trail`` has the threads that were stopped, and where they were.
    """

    def __init__(self, seed: int, threads: int, points: int, locate: Callable[[FrameType], Position]) -> None:
        self.trail: list[tuple[int, Position]] = []
        self._locate = locate
        self._random = random.Random(seed)
        self._switches = {self._random.randrange(points) for _ in range(_SWITCHES)}
        self._passed = 0
        self._locks = [threading.Lock() for _ in range(threads)]
        for lock in self._locks:
            lock.acquire()
        self._running = set(range(threads))

    def start(self) -> None:
        """Let one of the threads begin, once all wait in `run`."""
        self._release_another(-1)

    def run(self, number: int, work: Callable[[], None]) -> None:
        """Call ``work`` in the thread ``number``, when it is its turn."""
        self._locks[number].acquire()
        try:
            work()
        finally:
            self._running.discard(number)
            self._release_another(number)

    def pass_point(self, number: int, frame: FrameType) -> None:
        """Pass a point in the thread ``number``, which runs; let others run before it goes on, if the seed says so."""
        passed, self._passed = self._passed, self._passed + 1
        if passed in self._switches and len(self._running) > 1:
            self.trail.append((number, self._locate(frame)))
            self._release_another(number)
            self._locks[number].acquire()

    def _release_another(self, number: int) -> None:
        others = sorted(self._running - {number})
        if others:
            self._locks[self._random.choice(others)].release()
