"""The seam between metrics and where their numbers live: in this process's memory, or shared between workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric

__all__ = ("Storage", "choose_worker_label")


def choose_worker_label(names: Sequence[str]) -> str:
    """Return what the label is called that tells workers apart: a metric may have one of that name itself."""
    return "worker" if "worker" not in names else "worker_slot"


class Storage(Protocol):
    """Where the children of a registry live: in this process's memory, or shared between workers.

    Implementations are safe to call from any thread, signal handler or finaliser.
    """

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric."""
        ...

    def prepare(self) -> Iterator[None]:
        """Do what `collect` takes long for, a moment's work at each step; it does what is left of it."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Yield the families that there are besides those of the tables: other processes', and the storage's own."""
        ...

    def list_processes(self) -> Mapping[str, int]:
        """Return the ids of the processes whose numbers these are, by what tells them apart; none if it is this one."""
        ...
