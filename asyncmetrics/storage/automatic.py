"""The storage of the default registry: memory, or shared storage if the process is one of several workers.

The environment variable ``ASYNCMETRICS_DIR`` names the directory to share. Without it, the workers of uvicorn,
gunicorn, hypercorn and granian share a directory that is created for their supervisor and removed when the next
supervisor starts. All other processes keep their numbers in memory.

*Rules.* Choose once, when the first metric is created. Raise an error if the directory of ``ASYNCMETRICS_DIR`` cannot
be used. Log a warning, and set ``asyncmetrics_workers_shared`` to 0, if another directory cannot be used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, final

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:  # imported only in a worker
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("AutomaticStorage",)

_VARIABLE = "ASYNCMETRICS_DIR"
_log = logging.getLogger("asyncmetrics")


@final
class AutomaticStorage:
    """Keep numbers in shared storage if this process is one of several workers, else in memory.

    ``name`` distinguishes registries: ``CollectorRegistry(storage=AutomaticStorage("admin"))`` shares its numbers under
    the same conditions as the default registry, but separately.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._storage: Storage | None = None

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new child table for a metric. Raises `StorageError` if ``ASYNCMETRICS_DIR`` cannot be used."""
        if self._storage is None:
            self._storage = _choose_storage(self._name)
        return self._storage.open(descriptor, events, max_children=max_children, ttl=ttl)

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time."""
        return iter(()) if self._storage is None else self._storage.prepare()

    def collect(self) -> Iterable[Metric]:
        """Return the families that the chosen storage adds."""
        return () if self._storage is None else self._storage.collect()

    def list_processes(self) -> Mapping[str, int]:
        """Return the process ids of the workers of the chosen storage."""
        return {} if self._storage is None else self._storage.list_processes()


@final
class _Unshared:
    """Memory storage for a worker that cannot share its numbers."""

    def __init__(self) -> None:
        self.open = MemoryStorage().open

    def prepare(self) -> Iterator[None]:
        """Do nothing: `collect` is fast."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Return ``asyncmetrics_workers_shared`` with the value 0."""
        from asyncmetrics.storage.shared.self_metrics import describe_sharing

        return [describe_sharing(shared=False)]

    def list_processes(self) -> Mapping[str, int]:
        """Return this process, under a label that no other worker has."""
        return {f"pid-{os.getpid()}": os.getpid()}


# The shared storage of this process. Each automatic storage that shares uses its own space in it
# (`SharedStorage.named`).
_shared: list[SharedStorage] = []


def _choose_storage(name: str) -> Storage:
    path = os.environ.get(_VARIABLE)
    if not path and os.name != "posix":  # sharing needs flock and posix_fallocate
        return MemoryStorage()
    try:
        if not _shared:
            storage = _make_shared(path)
            if storage is None:
                return MemoryStorage()
            _shared.append(storage)
        return _shared[0].named(name)
    except OSError as error:
        if path:
            raise
        _log.warning("the metrics of this worker are not shared with the others: %s", error)
        return _Unshared()


def _make_shared(path: str | None) -> SharedStorage | None:
    """Return the shared storage of this process, or None if it is not a worker."""
    from asyncmetrics.storage.shared.supervisors import find_supervisor, is_being_prepared

    found = find_supervisor()
    if not path and found is None and not is_being_prepared():
        return None
    from asyncmetrics.storage.shared.discovery import find_directory, open_directory
    from asyncmetrics.storage.shared.storage import SharedStorage

    serves = found is None or not found.is_this_process  # gunicorn --preload declares metrics before there are workers
    if path:
        storage = SharedStorage(path, serves=serves)
    elif found is None:  # multiprocessing has not said yet what this process is for
        return SharedStorage.later(find_directory)
    else:
        storage = SharedStorage.later(partial(open_directory, found), serves=serves)
    storage.join()
    return storage
