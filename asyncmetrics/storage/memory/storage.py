"""`MemoryStorage`, which keeps numbers in the memory of this process: the default storage of a new registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.leads import AlwaysLeader
from asyncmetrics.storage.memory.plain import PLAIN_CHILDREN
from asyncmetrics.storage.protocol import has_locks

__all__ = ("MemoryStorage",)


@final
class MemoryStorage:
    """Keep numbers in this process. ``locking`` is whether children lock: by default only without a GIL."""

    def __init__(self, *, locking: bool | None = None) -> None:
        self.children_by_kind = PLAIN_CHILDREN
        if has_locks(locking):
            from asyncmetrics.storage.memory.locked import LOCKED_CHILDREN  # few programs need them

            self.children_by_kind = LOCKED_CHILDREN

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric."""
        return ChildTable(
            descriptor, self.children_by_kind[descriptor.kind], events, max_children=max_children, ttl=ttl
        )

    def named(self, name: str) -> MemoryStorage:  # noqa: ARG002  # of the protocol
        """Return this storage: it collects no table."""
        return self

    def prepare(self) -> Iterator[None]:
        """Do nothing: `collect` has nothing to do."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Return nothing: the tables have all numbers."""
        return ()

    def list_processes(self) -> Mapping[str, int]:
        """Return nothing: the numbers are of this process alone."""
        return {}

    def lead(self, name: str) -> AlwaysLeader:  # noqa: ARG002  # the signature of the protocol
        """Return the lead of this process, which has no other workers beside it."""
        return AlwaysLeader()
