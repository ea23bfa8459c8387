"""`MemoryStorage`, which keeps numbers in the memory of this process: the default storage of a new registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

from asyncmetrics.children.table import Child, ChildTable, TableEvents
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
        self._is_locking = has_locks(locking)
        if self._is_locking:
            from asyncmetrics.storage.memory.locked import LOCKED_CHILDREN  # few programs need them

            self.children_by_kind = LOCKED_CHILDREN

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric."""
        return ChildTable(descriptor, self.choose_child_class(descriptor), events, max_children=max_children, ttl=ttl)

    def choose_child_class(self, descriptor: Descriptor) -> type[Child]:
        """Return the class of a metric's children."""
        kind = self._choose_kind(descriptor)
        if descriptor.exemplars is None:
            return kind
        from asyncmetrics.storage.memory.asking import find_asking_class  # few programs ask

        return find_asking_class(kind)

    def _choose_kind(self, descriptor: Descriptor) -> type[Child]:
        if descriptor.native is not None:
            return self._choose_native_class(descriptor)
        return self.children_by_kind[descriptor.kind]

    def _choose_native_class(self, descriptor: Descriptor) -> type[Child]:
        from asyncmetrics.storage.memory.native import choose_native_class  # few programs have one

        plain = choose_native_class(descriptor)
        if not self._is_locking:
            return plain
        from asyncmetrics.storage.memory.locked import LOCKED_NATIVE

        return LOCKED_NATIVE[plain]

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
