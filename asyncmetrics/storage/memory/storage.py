"""`MemoryStorage`, which keeps numbers in the memory of this process: the default storage of a new registry."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

from asyncmetrics.children.table import Child, ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.storage.memory.locked import (
    LockedCounter,
    LockedEnum,
    LockedGauge,
    LockedHistogram,
    LockedInfo,
    LockedSummary,
)
from asyncmetrics.storage.memory.plain import (
    MemoryCounter,
    MemoryEnum,
    MemoryGauge,
    MemoryHistogram,
    MemoryInfo,
    MemorySummary,
)

__all__ = ("MemoryStorage",)

_LOCKFREE: dict[DeclaredKind, type[Child]] = {
    "counter": MemoryCounter,
    "gauge": MemoryGauge,
    "summary": MemorySummary,
    "histogram": MemoryHistogram,
    "info": MemoryInfo,
    "stateset": MemoryEnum,
}
_LOCKED: dict[DeclaredKind, type[Child]] = {
    "counter": LockedCounter,
    "gauge": LockedGauge,
    "summary": LockedSummary,
    "histogram": LockedHistogram,
    "info": LockedInfo,
    "stateset": LockedEnum,
}


def _is_gil_enabled() -> bool:  # `sys` has the function from Python 3.13 on; before, there is always a GIL
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@final
class MemoryStorage:
    """Keep numbers in this process. ``locking`` is whether children lock: by default only without a GIL."""

    def __init__(self, *, locking: bool | None = None) -> None:
        self._kinds = _LOCKED if (locking if locking is not None else not _is_gil_enabled()) else _LOCKFREE

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric."""
        return ChildTable(descriptor, self._kinds[descriptor.kind], events, max_children=max_children, ttl=ttl)

    def prepare(self) -> Iterator[None]:
        """Do nothing: `collect` has nothing to do."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Return nothing: the tables have all numbers."""
        return ()

    def list_processes(self) -> Mapping[str, int]:
        """Return nothing: the numbers are of this process alone."""
        return {}
