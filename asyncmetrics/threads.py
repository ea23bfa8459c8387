"""Threads for functions that may block: few if the functions are quick, one for each if they block.

*Theory of operation.* `run_in_threads` starts a thread that runs one function after the other, and one that watches. If
some functions are still waiting a moment later, the second one doubles the number of threads that run them, and so on.
A hundred quick functions take one thread and no time; ten that block for 0.2 s each take ten threads, and 0.22 s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import final

__all__ = ("run_in_threads",)

# Longer than a hundred quick functions take, short beside the time that a scraper waits.
_TICK_SECONDS = 0.005


def run_in_threads(functions: Iterable[Callable[[], object]], name: str) -> None:
    """Run ``functions``, which must not raise, in daemon threads called ``name``; do not wait for them.

    A daemon thread does not keep the program from ending if a function hangs. Raises RuntimeError, and runs nothing, if
    the system has no thread left.
    """
    waiting = deque(functions)
    if waiting:
        _Crew(waiting, name).start()


@final
class _Crew:
    """The threads that run the functions of one call."""

    def __init__(self, waiting: deque[Callable[[], object]], name: str) -> None:
        self._waiting = waiting
        self._name = name
        self._is_empty = Event()

    def start(self) -> None:
        """Start the first threads."""
        needs_watch = len(self._waiting) > 1
        self._start_thread(self._run)
        if needs_watch:
            self._try_to_start(self._watch)

    def _start_thread(self, target: Callable[[], None]) -> None:
        Thread(target=target, name=self._name, daemon=True).start()

    def _try_to_start(self, target: Callable[[], None]) -> bool:
        """Start a thread and return whether the system had one left; if not, those that run do all the work."""
        try:
            self._start_thread(target)
        except RuntimeError:
            return False
        return True

    def _run(self) -> None:
        while True:
            try:
                function = self._waiting.popleft()
            except IndexError:
                self._is_empty.set()
                return
            function()

    def _watch(self) -> None:
        threads = 1
        while not self._is_empty.wait(_TICK_SECONDS):
            threads += sum(self._try_to_start(self._run) for _ in range(min(threads, len(self._waiting))))
