"""`Storage`, the protocol between the metrics and the place where their numbers are kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.leads import Lead

__all__ = ("Storage", "choose_worker_label", "has_locks")


def has_locks(locking: bool | None) -> bool:
    """Return whether children lock: ``locking`` if it is given, otherwise only without a GIL."""
    if locking is not None:
        return locking
    # `sys` has the function from Python 3.13 on; before, there is always a GIL.
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


def choose_worker_label(names: Sequence[str]) -> str:
    """Return the name of the label that distinguishes workers, for a metric that has the label ``names`` itself."""
    return "worker" if "worker" not in names else "worker_slot"


class Storage(Protocol):
    """Opens the child tables of a registry, and yields the families that the tables do not have.

    Implementations are safe to call from any thread, signal handler or finaliser: programs may declare and use metrics
    there.
    """

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric."""
        ...

    def named(self, name: str) -> Storage:
        """Return a storage for other tables, which `collect` of this one leaves out, with the same workers."""
        ...

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time; `collect` does the remaining steps."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Return the families that the tables do not have: those of other workers, and the storage's own."""
        ...

    def list_processes(self) -> Mapping[str, int]:
        """Return the process ids of the workers that share the numbers, by worker label; empty if nothing is shared."""
        ...

    def lead(self, name: str) -> Lead:
        """Return the lead of ``name`` among the workers that share the numbers: one of them leads, or this process."""
        ...
