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
from typing import Any, TypeVar

from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.storage.memory.native import MemoryDualHistogram, MemoryNativeHistogram
from asyncmetrics.storage.memory.native_buckets import NativeBuckets
from asyncmetrics.storage.memory.plain import (
    PLAIN_CHILDREN,
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)

__all__ = ("LOCKED_CHILDREN", "LOCKED_NATIVE", "add_locks")

C = TypeVar("C", bound=Child)
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


# Of the children of each class: the methods that must not run in two threads at once.
_METHODS: dict[type[Any], tuple[str, ...]] = {
    MemoryCounter: ("inc", "reset"),
    MemoryGauge: ("inc", "dec", "set"),
    MemorySummary: ("observe", "add_number", "set_number", "read_numbers"),
    NativeBuckets: ("observe", "read_counts", "read_native", "read_numbers"),
    MemoryHistogram: ("observe", "add_number", "set_number", "read_counts"),
    MemoryInfo: ("info",),
    MemoryEnum: ("state",),
}


def add_locks(plain: type[C], *more: str) -> type[C]:
    """Return a subclass of ``plain`` whose methods take the lock of their child, also those called ``more``."""

    def __init__(self: Any, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:  # noqa: N807
        self._lock = RLock()
        self._forks = _forks
        plain.__init__(self, table, labelvalues)

    names = next(names for kind, names in _METHODS.items() if issubclass(plain, kind))
    own: dict[str, Any] = {name: _add_lock(getattr(plain, name)) for name in (*names, *more)}
    if issubclass(plain, HistogramChild):
        own["recorder"] = HistogramChild.recorder  # observe, which locks
    own |= {"__slots__": ("_forks", "_lock"), "__init__": __init__, "__doc__": plain.__doc__, "__module__": __name__}
    return type(plain.__name__.replace("Memory", "Locked"), (plain,), own)


LOCKED_CHILDREN = {kind: add_locks(plain) for kind, plain in PLAIN_CHILDREN.items()}
"""The child classes by the kind of their metric."""
LOCKED_NATIVE: dict[type[Child], type[Child]] = {
    plain: add_locks(plain) for plain in (MemoryNativeHistogram, MemoryDualHistogram)
}
"""The child classes of native histograms by those without locks."""
