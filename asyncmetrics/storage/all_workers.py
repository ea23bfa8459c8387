"""Registries that share in the directory of ``PROMETHEUS_MULTIPROC_DIR``, and reading all that is shared there.

prometheus_client's files hold the metrics of all registries of a process, by their names, and a program that declares
none of them may read the files. Here the default registry shares in any case (`asyncmetrics.storage.automatic`), and
`RegistryStorage` is for the other registries. `AllWorkers` reads both.

*Rules.* Let a process that only reads take no slot: it is no worker.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, final
from weakref import ref

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.storage.decision import DECISION
from asyncmetrics.storage.leads import AlwaysLeader, Lead
from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.named import find_multiprocess_path, find_own_path
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:  # imported only where the variable is set
    from asyncmetrics.storage.shared.files.directory import Directory
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("AllWorkers", "RegistryStorage", "choose_registry_storage", "get_all_workers")

_log = logging.getLogger("asyncmetrics")
_SPACE = "registries"  # of all registries but the default one
_owners: dict[tuple[str, str], tuple[ref[RegistryStorage], object]] = {}  # of the names that are shared, by path
_by_path: dict[str, SharedStorage] = {}  # where the variable has changed since this process decided


def choose_registry_storage() -> Storage:
    """Return the storage for a registry other than the default one: shared if ``PROMETHEUS_MULTIPROC_DIR`` is set."""
    path = find_multiprocess_path()
    return RegistryStorage(path) if path and os.name == "posix" else MemoryStorage()


@final
class RegistryStorage:
    """Keep the numbers of a registry in ``path``, the directory of ``PROMETHEUS_MULTIPROC_DIR``.

    Metrics of one name in several registries are summed. The registry exposes its own metrics, with the numbers of all
    workers, and no metric that it has not.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new child table for a metric.

        A metric that another registry of this process has with other labels, or of another kind, is not shared: only
        one definition of a name can be. That is logged and counted.
        """
        shared = self._share()
        if shared is not None and not self._take_name(descriptor):
            problem = (
                f"{descriptor.exposed_name} is not shared between workers: another registry defines it differently"
            )
            events.count_collector_error(descriptor.name, ValueError(problem))
            shared = None
        storage: Storage = MemoryStorage() if shared is None else shared
        return storage.open(descriptor, events, max_children=max_children, ttl=ttl)

    def _take_name(self, descriptor: Descriptor) -> bool:
        """Return whether no other registry that lives in this process has taken the name with another shape."""
        owner, shape = _owners.get((self._path, descriptor.name), (None, None))
        is_free = owner is None or owner() is None or shape == descriptor.shape
        if is_free:
            _owners[self._path, descriptor.name] = ref(self), descriptor.shape
        return is_free

    def _share(self) -> SharedStorage | None:
        """Return the shared storage, None if this process cannot share."""
        DECISION.begin()
        if _has_decided(self._path):
            return None if DECISION.shared is None else DECISION.shared.named(_SPACE)
        if self._path not in _by_path:
            for path in [path for path in _by_path if not os.path.isdir(path)]:  # noqa: PTH112  # of tests, for instance
                _by_path.pop(path, None)
            from asyncmetrics.storage.shared.discovery import open_multiprocess_directory
            from asyncmetrics.storage.shared.storage import SharedStorage

            shared = SharedStorage.later(partial(open_multiprocess_directory, self._path))
            shared.watch_files()
            _by_path.setdefault(self._path, shared.named(_SPACE))
        return _by_path[self._path]

    def named(self, name: str) -> Storage:
        """Return a storage for other tables, in the same directory."""
        shared = self._share()
        return MemoryStorage() if shared is None else shared.named(name)

    def prepare(self) -> Iterator[None]:
        """Do nothing: the tables read what they need."""
        return iter(())

    def collect(self) -> Iterable[Metric]:
        """Return no family: the default registry exposes the metrics about the workers."""
        return ()

    def list_processes(self) -> Mapping[str, int]:
        """Return no process: the default registry exposes those of the workers."""
        return {}

    def lead(self, name: str) -> Lead:
        """Return the lead of ``name`` among the processes that share in the directory."""
        shared = self._share()
        return AlwaysLeader() if shared is None else shared.lead(name)


def _has_decided(path: str) -> bool:
    """Return whether this process shares in ``path``, or in ``ASYNCMETRICS_DIR``, or had to and cannot."""
    return bool(find_own_path()) or DECISION.multiprocess_path == path


@final
class AllWorkers:
    """The metrics of all processes that share in ``path``, also in a process that has declared none of them.

    ``path`` is the directory of ``PROMETHEUS_MULTIPROC_DIR``. If ``is_explicit``, it may be a shared directory itself,
    and this process's own directory is not asked instead.
    """

    def __init__(self, path: str, *, is_explicit: bool) -> None:
        self._path = path
        self._is_explicit = is_explicit
        self._directory: Directory | None = None
        self._storages: tuple[SharedStorage, SharedStorage] | None = None  # of the default registry, and of the others
        self._is_warned = False

    def collect(self, *, beside_default: bool) -> list[Metric]:
        """Return the families of all registries, and the metrics about the workers.

        With ``beside_default``, leave out those that this process's default registry exposes for all workers itself.
        """
        if not self._is_explicit and (beside_default or find_own_path()):
            DECISION.begin()
        is_exposed = not self._is_explicit and _has_decided(self._path)
        if not is_exposed:
            self._read_directory()
        elif DECISION.shared is None:
            return [] if beside_default else _collect_unshared()
        elif self._storages is None or self._storages[0] is not DECISION.shared:
            self._storages = DECISION.shared, DECISION.shared.named(_SPACE)
        if self._storages is None:
            return []
        default, others = self._storages
        families = [] if is_exposed and beside_default else [*default.collect_all(), *default.describe_workers()]
        return [*families, *others.collect_all()]

    def _read_directory(self) -> None:
        """Open the directory that the workers share now: it may have been made or replaced since the last time."""
        if self._directory is not None and self._directory.is_at_path():
            return
        from asyncmetrics.storage.shared.discovery import find_foreign_directories, find_multiprocess_directory
        from asyncmetrics.storage.shared.storage import SharedStorage

        directory = find_multiprocess_directory(self._path, itself=self._is_explicit)
        if directory is None:
            self._directory = self._storages = None
            foreign = [] if self._is_warned else find_foreign_directories(self._path)
            if foreign:
                self._is_warned = True
                _log.warning(
                    "%s: the workers there run as another user (%s); run them and this process as one user",
                    self._path,
                    ", ".join(foreign),
                )
            return
        storage = SharedStorage.read_only(directory)
        self._storages, self._directory = (storage, storage.named(_SPACE)), directory


def get_all_workers(path: str, *, is_explicit: bool) -> AllWorkers:
    """Return the object for a path, one for all callers: programs make a registry and a collector for each scrape."""
    for key in [key for key in _readers if not os.path.isdir(key[0])]:  # noqa: PTH112
        _readers.pop(key, None)
    key = path, is_explicit
    return _readers.get(key) or _readers.setdefault(key, AllWorkers(path, is_explicit=is_explicit))


_readers: dict[tuple[str, bool], AllWorkers] = {}


def _collect_unshared() -> list[Metric]:
    """Return the families of a process that cannot share."""
    from asyncmetrics.storage.shared.self_metrics import describe_sharing

    now = time.time()
    own = [LiveFamily(table.descriptor, table.read, now=now) for table in DECISION.list_tables()]
    return [*own, describe_sharing(shared=False)]
