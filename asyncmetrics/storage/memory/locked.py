"""The children of memory storage for an interpreter without a GIL: those of `plain`, each with its own lock.

*Rules.* The lock is re-entrant: a signal handler or finaliser that interrupts an increment may increment too. After a
fork, each child gets a new lock at its first use in the new process, since the thread that held the old one may not
exist there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from threading import RLock
from typing import Any

from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)

__all__ = (
    "LOCKED_CHILDREN",
    "LockedCounter",
    "LockedEnum",
    "LockedGauge",
    "LockedHistogram",
    "LockedInfo",
    "LockedSummary",
    "add_locks",
)


_forks = 0  # between the first process and this one
_renewal = RLock()


def _count_fork() -> None:
    global _forks, _renewal  # of the process, for all children
    _forks += 1
    _renewal = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


def _get_lock(child: Any) -> RLock:
    if child._forks != _forks:
        with _renewal:
            if child._forks != _forks:  # again: another thread may have renewed it before this one had the lock
                child._lock = RLock()
                child._forks = _forks
    lock: RLock = child._lock
    return lock


def _add_lock(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _get_lock(self):
            return method(self, *args, **kwargs)

    return locked


def add_locks(plain: type[Child], *names: str) -> type[Child]:
    """Return a subclass of ``plain`` whose methods called ``names`` take the lock of their child."""

    def __init__(self: Any, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:  # noqa: N807
        self._lock = RLock()
        self._forks = _forks
        plain.__init__(self, table, labelvalues)

    methods: dict[str, Any] = {name: _add_lock(getattr(plain, name)) for name in names}
    own = {"__slots__": ("_forks", "_lock"), "__init__": __init__, "__doc__": plain.__doc__, "__module__": __name__}
    return type(plain.__name__.replace("Memory", "Locked"), (plain,), own | methods)


LockedCounter = add_locks(MemoryCounter, "inc", "reset")
LockedGauge = add_locks(MemoryGauge, "inc", "dec", "set")
LockedSummary = add_locks(MemorySummary, "observe", "read_numbers")
LockedHistogram = add_locks(MemoryHistogram, "observe", "read_counts")
LockedHistogram.recorder = HistogramChild.recorder  # type: ignore[attr-defined]  # observe, which locks
LockedInfo = add_locks(MemoryInfo, "info")
LockedEnum = add_locks(MemoryEnum, "state")


LOCKED_CHILDREN: dict[DeclaredKind, type[Child]] = {
    "counter": LockedCounter,
    "gauge": LockedGauge,
    "summary": LockedSummary,
    "histogram": LockedHistogram,
    "info": LockedInfo,
    "stateset": LockedEnum,
}
"""The child classes by the kind of their metric."""
