"""The children for an interpreter without a GIL: those of `lockfree`, each behind a lock of its own.

The lock is re-entrant: a signal handler or finaliser that runs inside an increment may increment too. In the child of
a fork every lock is a new one, made at its first use: whoever held the old one has not come along.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from threading import RLock
from typing import Any

from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)

__all__ = ("LockedCounter", "LockedEnum", "LockedGauge", "LockedHistogram", "LockedInfo", "LockedSummary", "locking")


_forks = 0
_renewing = RLock()


def _forked() -> None:
    global _forks, _renewing  # what is known of this process, for all children
    _forks += 1
    _renewing = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _lock_of(child: Any) -> RLock:
    if child._forks != _forks:
        with _renewing:
            if child._forks != _forks:
                child._lock = RLock()
                child._forks = _forks
    lock: RLock = child._lock
    return lock


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _lock_of(self):
            return method(self, *args, **kwargs)

    return locked


def locking(plain: type[Child], *names: str) -> type[Child]:
    """Return ``plain`` with a lock of each child's own around the methods called ``names``."""

    def __init__(self: Any, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:  # noqa: N807
        self._lock = RLock()
        self._forks = _forks
        plain.__init__(self, table, labelvalues)

    methods: dict[str, Any] = {name: _locked(getattr(plain, name)) for name in names}
    own = {"__slots__": ("_forks", "_lock"), "__init__": __init__, "__doc__": plain.__doc__, "__module__": __name__}
    return type(plain.__name__.replace("Memory", "Locked"), (plain,), own | methods)


LockedCounter = locking(MemoryCounter, "inc", "reset")
LockedGauge = locking(MemoryGauge, "inc", "dec", "set")
LockedSummary = locking(MemorySummary, "observe", "read_numbers")
LockedHistogram = locking(MemoryHistogram, "observe", "snapshot")
LockedHistogram.recorder = HistogramChild.recorder  # type: ignore[attr-defined]  # through observe, which locks
LockedInfo = locking(MemoryInfo, "info")
LockedEnum = locking(MemoryEnum, "state")
