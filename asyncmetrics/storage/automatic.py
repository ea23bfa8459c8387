"""The storage of the default registry: memory, or shared storage if the process is one of several workers.

The environment variable ``ASYNCMETRICS_DIR`` names the directory to share, ``PROMETHEUS_MULTIPROC_DIR`` one in which it
is made. Without them, the workers of a server, and other processes that fork or ``multiprocessing`` start, share a
directory that is created for their supervisor, and removed when a later supervisor starts. A process without such
relatives keeps its numbers in memory.

*Rules.* Raise an error if the directory of ``ASYNCMETRICS_DIR`` cannot be used. Log a warning, and set
``asyncmetrics_workers_shared`` to 0, if another directory cannot be used. When a process decides whether it shares is
explained in `asyncmetrics.storage.decision`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.automatic_table import AutomaticTable
from asyncmetrics.storage.decision import DECISION
from asyncmetrics.storage.leads import AlwaysLeader, Lead
from asyncmetrics.storage.memory.storage import MemoryStorage

if TYPE_CHECKING:  # imported only in a worker
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("AutomaticStorage",)


@final
class AutomaticStorage:
    """Keep numbers in shared storage if this process is one of several workers, else in memory.

    ``name`` distinguishes registries: ``CollectorRegistry(storage=AutomaticStorage("admin"))`` shares its numbers under
    the same conditions as the default registry, but separately.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._shared: SharedStorage | None = None

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new child table for a metric. Raises `StorageError` if ``ASYNCMETRICS_DIR`` cannot be used."""
        DECISION.begin()
        shared = self._get_shared()
        if shared is not None:
            return shared.open(descriptor, events, max_children=max_children, ttl=ttl)
        make = MemoryStorage().choose_child_class(descriptor)
        table: AutomaticTable[Any] = AutomaticTable(
            DECISION.decide, self, descriptor, make, events, max_children=max_children, ttl=ttl
        )
        if DECISION.opens_undecided:
            table.suspend()
        DECISION.add_table(table)
        return table

    def named(self, name: str) -> AutomaticStorage:
        """Return a storage for other tables, which shares under the same conditions."""
        return AutomaticStorage(f"{self._name}/{name}" if self._name else name)

    def _get_shared(self) -> SharedStorage | None:
        if self._shared is None and DECISION.shared is not None:
            self._shared = DECISION.shared.named(self._name)
        return self._shared

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time."""
        DECISION.prepare_scrape()
        shared = self._get_shared()
        return iter(()) if shared is None else shared.prepare()

    def collect(self) -> Iterable[Metric]:
        """Return the families that shared storage adds, and ``asyncmetrics_workers_shared`` in any worker."""
        DECISION.prepare_scrape()
        shared = self._get_shared()
        if shared is not None:
            return shared.collect()
        if DECISION.is_unshared:
            from asyncmetrics.storage.shared.self_metrics import describe_sharing

            return [describe_sharing(shared=False)]
        return ()

    def list_processes(self) -> Mapping[str, int]:
        """Return the process ids of the workers; one that cannot share has a label that no other worker has."""
        DECISION.prepare_scrape()
        shared = self._get_shared()
        if shared is not None:
            return shared.list_processes()
        return {f"pid-{os.getpid()}": os.getpid()} if DECISION.is_unshared else {}

    def lead(self, name: str) -> Lead:
        """Return the lead of ``name`` among the workers of this process, if it has some."""
        return _AutomaticLead(self, name)

    def find_lead(self, name: str) -> Lead:
        """Return the lead as the process has decided by now."""
        DECISION.prepare_scrape()
        shared = self._get_shared()
        return AlwaysLeader() if shared is None else shared.lead(name)

    def is_shared(self) -> bool:
        """Return whether the numbers are shared by now."""
        return self._get_shared() is not None


@final
class _AutomaticLead(Lead):
    """The lead of a process that may begin to share its numbers at any time."""

    def __init__(self, storage: AutomaticStorage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._is_shared = False
        self._lead: Lead = AlwaysLeader()

    def is_leader(self) -> bool:
        """Return whether this process leads."""
        if not self._is_shared:  # a process that shares never ceases to
            self._lead = self._storage.find_lead(self._name)
            self._is_shared = self._storage.is_shared()
        return self._lead.is_leader()

    @property
    def has_predecessor(self) -> bool:
        """Whether another process has led before this one."""
        return self._lead.has_predecessor

    @property
    def group(self) -> str:
        """A text that is the same in all workers."""
        return self._lead.group

    def release(self) -> None:
        """Stop leading."""
        self._lead.release()
