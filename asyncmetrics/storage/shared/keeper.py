"""The thread of a worker that does its chores once a second, so that a scrape of any other worker finds them done.

A *chore* is work that this process does at an interval for the scrapes of other workers: once a second or, for a metric
with a time to live, some times in that time.

*Rules.* Start the thread only where there is a chore. It is a daemon and holds only weak references: it ends when its
`Keeper` is freed, and drops a chore that is freed. In a forked process, start a new one only when there is a chore.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import Protocol, final
from weakref import ref

from asyncmetrics.storage.weak_list import WeakList

__all__ = ("Chore", "Keeper")

_log = logging.getLogger("asyncmetrics")
_SHORTEST_PAUSE = 0.01  # seconds: a chore with a tiny interval must not keep a processor busy
_LONGEST_PAUSE = 1.0  # seconds: a chore that is added now is first done within a second


class Chore(Protocol):
    """Work that is done every so many seconds."""

    @property
    def interval_seconds(self) -> float:
        """The time between two runs."""
        ...

    def run_chore(self) -> None:
        """Do the work once."""
        ...


@final
class Keeper:
    """Do the chores of one process, in a thread that `start` starts.

    ``is_allowed`` is False in a supervisor, which starts no thread before it forks.
    """

    def __init__(self) -> None:
        self.is_allowed = True
        self._chores: WeakList[Chore] = WeakList()
        self._due: dict[int, float] = {}  # when each chore is due on the monotonic clock, by its id
        self._thread: threading.Thread | None = None

    def add(self, chore: Chore) -> None:
        """Do ``chore`` from now on, for as long as it is alive."""
        self._chores.add(chore)
        self.start()

    def start(self) -> None:
        """Start the thread, if it is allowed, there is a chore, and there is no thread yet."""
        if self._thread is None and self._chores.list_alive() and self.is_allowed:
            self._thread = threading.Thread(target=_work, args=(ref(self),), name="asyncmetrics-keeper", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending, or there are too many threads: the next call tries again
                self._thread = None

    def reset_after_fork(self) -> None:
        """Forget the thread, which only the parent process has."""
        self._thread = None
        self.is_allowed = True

    def run_due(self) -> float:
        """Do all chores that are due and return the seconds until the next one is; infinity if there are none."""
        due: dict[int, float] = {}
        for chore in self._chores.list_alive():
            now = time.monotonic()
            due[id(chore)] = self._due.get(id(chore), now)
            if now >= due[id(chore)]:
                _run(chore)
                due[id(chore)] = now + chore.interval_seconds
        self._due = due
        return max(0.0, min(due.values(), default=math.inf) - time.monotonic())


def _run(chore: Chore) -> None:
    try:
        chore.run_chore()
    except Exception:  # noqa: BLE001  # it may succeed the next time
        _log.exception("the numbers of this worker could not be refreshed")


def _work(keeper: ref[Keeper]) -> None:
    pause = 0.0
    while True:
        time.sleep(min(max(pause, _SHORTEST_PAUSE), _LONGEST_PAUSE))
        alive = keeper()
        if alive is None:
            return
        pause = alive.run_due()
        del alive
