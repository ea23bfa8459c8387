"""The storage of the default registry: this process's memory, or shared where the process is one of several workers.

``ASYNCMETRICS_DIR`` names the directory to share; without it, workers of uvicorn, gunicorn, hypercorn and granian share
one that is made for their supervisor and removed when the next one starts. All others keep their numbers in memory.

*Rules.* It is found out once, when the first metric is made. A directory that was asked for and cannot be used is an
error; where nobody asked, it is logged, and ``asyncmetrics_workers_shared`` is 0.
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

if TYPE_CHECKING:  # it is imported where it is needed
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("AutomaticStorage",)

_VARIABLE = "ASYNCMETRICS_DIR"
_log = logging.getLogger("asyncmetrics")


@final
class AutomaticStorage:
    """Keep numbers where this process's part among workers, if it has one, asks for.

    ``name`` tells registries apart: ``CollectorRegistry(storage=AutomaticStorage("admin"))`` is shared as the default
    registry is, and apart from it.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._chosen: Storage | None = None

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric. Raises `StorageError` if ``ASYNCMETRICS_DIR`` is no use."""
        if self._chosen is None:
            self._chosen = _choose(self._name)
        return self._chosen.open(descriptor, events, max_children=max_children, ttl=ttl)

    def prepare(self) -> Iterator[None]:
        """Do what the storage that was chosen takes long for."""
        return iter(()) if self._chosen is None else self._chosen.prepare()

    def collect(self) -> Iterable[Metric]:
        """Return what the storage that was chosen has to tell."""
        return () if self._chosen is None else self._chosen.collect()

    def list_processes(self) -> Mapping[str, int]:
        """Return the processes of the storage that was chosen."""
        return {} if self._chosen is None else self._chosen.list_processes()


@final
class _Unshared:
    """Memory, for a worker that should have shared its numbers and could not."""

    def __init__(self) -> None:
        self.open = MemoryStorage().open

    def prepare(self) -> Iterator[None]:
        """Do nothing: it is told at once."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Tell of it."""
        from asyncmetrics.storage.shared.self_metrics import describe_sharing

        return [describe_sharing(shared=False)]

    def list_processes(self) -> Mapping[str, int]:
        """Return this process, under a name that no other has."""
        return {f"pid-{os.getpid()}": os.getpid()}


# The storage that all automatic ones of this process are parts of.
_shared: list[SharedStorage] = []


def _choose(name: str) -> Storage:
    path = os.environ.get(_VARIABLE)
    if not path and os.name != "posix":
        return MemoryStorage()
    try:
        if not _shared:
            made = _made(path)
            if made is None:
                return MemoryStorage()
            _shared.append(made)
        return _shared[0].named(name)
    except OSError as error:
        if path:
            raise
        _log.warning("the metrics of this worker are not shared with the others: %s", error)
        return _Unshared()


def _made(path: str | None) -> SharedStorage | None:
    """Return the storage of this process, or None if it is no worker."""
    from asyncmetrics.storage.shared.supervisors import find_supervisor, is_being_prepared

    found = find_supervisor()
    if not path and found is None and not is_being_prepared():
        return None
    from asyncmetrics.storage.shared.discovery import find_directory, open_directory
    from asyncmetrics.storage.shared.storage import SharedStorage

    serves = found is None or not found.is_this_process
    if path:
        storage = SharedStorage(path, serves=serves)
    elif found is None:
        return SharedStorage.later(find_directory)
    else:
        storage = SharedStorage.later(partial(open_directory, found), serves=serves)
    storage.join()
    return storage
