"""The storage that several workers share: each writes its own files and reads those of all.

Every worker has an *arena* in a common directory: two files, which it alone writes to while it lives. A scrape of any
worker reads the arenas of all workers and merges them. There is no server, no hook of the web server, and no file per
past process.

*Rules.* Use it on one host, in a file system that is memory or as fast (``/dev/shm``). Restart the workers at will: a
dead worker's slot goes to the next worker with its counts, so that counters never decrease, and there are never more
slots than processes that shared at once.

The package's docstring says which module does what, and `asyncmetrics.storage.shared.files.slots` has the states of a
slot, which is an arena and the lock on it.

*What belongs to one worker*, and not to all of them together:

* ``max_children`` limits each worker, and counts the series that its slot has taken over.
* The limits of a native histogram hold for each worker; its resolution never rises again. The coarsest one is exposed.
* `reset` sets the counts of this worker's slot to zero.
* `remove` and `clear` remove series from this worker's slot and from the slots of dead workers. A series that another
  live worker has stays, with that worker's numbers.
* Exemplars with other labels than ``trace_id`` and ``span_id`` come from the worker that answers the scrape. Of those
  that have only these, the newest of all workers is exposed for each bucket.
* Each worker calls its own gauge functions, once a second and when it answers a scrape.
* A custom collector is called in the worker that answers.
* `unregister` affects one worker: others continue to expose the metric, with what this worker has counted.
* The newest definition of a family counts, whichever worker answers. Families that a worker has under another
  definition are left out, its own too, and ``asyncmetrics_worker_conflicting_families`` counts them.
* After a fork, the child process starts counters from zero. A gauge, info or state is exposed once it is set there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from threading import get_ident
from typing import Any, final
from weakref import WeakValueDictionary

from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.kinds import list_family_names
from asyncmetrics.model.label_blocks import make_block_writer
from asyncmetrics.storage.protocol import has_locks
from asyncmetrics.storage.shared.attachment import SharedChild
from asyncmetrics.storage.shared.children import choose_child_class
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.leads import SharedLead
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily
from asyncmetrics.storage.shared.scrape.newest import NewestFamily
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.scrape.snapshot import LocalState
from asyncmetrics.storage.shared.scrape_watch import ScrapeWatch
from asyncmetrics.storage.shared.self_metrics import describe_conflicts, describe_sharing, describe_slots
from asyncmetrics.storage.shared.table import SharedChildTable
from asyncmetrics.storage.shared.worker import Worker

__all__ = ("SharedStorage",)


@final
class SharedStorage:
    """Keep the numbers of a registry in the directory ``path``, where other workers read them.

    The directory is created if it does not exist. Registries of one process that share a storage need names: see
    `named`. Pass ``serves=False`` in a supervisor that creates metrics before it forks its workers: it then starts no
    thread. ``locking`` is whether children lock, by default only where there is no GIL. Raises `StorageError` (an
    OSError) for a directory that cannot be used or trusted; the message says what to do.
    """

    def __init__(self, path: str, *, serves: bool = True, locking: bool | None = None) -> None:
        directory = Directory(path)
        self._set_up(Worker(partial(Directory, directory.path)), "", serves=serves, locking=locking)
        self._worker.directory = directory
        self._is_required = True

    @classmethod
    def later(cls, find: Callable[[], Directory | None], *, serves: bool = True) -> SharedStorage:
        """Return a storage that asks ``find`` for its directory until ``find`` returns one.

        If ``find`` raises `StorageError`, that is logged, and this process keeps its numbers for itself.
        """
        storage = cls.__new__(cls)
        storage._set_up(Worker(find), "", serves=serves)
        return storage

    @classmethod
    def read_only(cls, directory: Directory) -> SharedStorage:
        """Return a storage that only reads: this process takes no slot, and opens no metric there."""
        storage = cls.later(lambda: None)
        storage._worker.read(directory)
        return storage

    def _set_up(self, worker: Worker, space: str, *, serves: bool = True, locking: bool | None = None) -> None:
        worker.keeper.is_allowed = worker.keeper.is_allowed and serves
        self._worker = worker
        self._space = space
        self._is_required = False  # whether `open` raises if this process cannot share
        self._locked = has_locks(locking)
        self._merged_families: dict[str, MergedFamily] = {}  # those of `collect`, by name
        self._scrape_watch = ScrapeWatch(worker)
        self._prepared_by = 0  # the thread that has followed all logs, until it collects

    def named(self, name: str) -> SharedStorage:
        """Return a storage for another registry, or a part of this one, in the same directory and the same slot."""
        other = SharedStorage.__new__(SharedStorage)
        space = f"{self._space}/{name}" if self._space else name
        other._set_up(self._worker, space, locking=self._locked)
        other._is_required = self._is_required
        other._scrape_watch = self._scrape_watch
        return other

    def join(self) -> None:
        """Attach this process to a slot now. Raises `StorageError` if that fails."""
        self._worker.join()

    def watch_files(self) -> None:
        """Find out once a second whether the files of this process were removed, also if it answers no scrape."""
        self._worker.keeper.add(self._worker)

    def stop_serving(self) -> None:
        """Count this process no longer as a worker: it is the supervisor of some."""
        self._worker.do(self._worker.stop_serving)

    def close(self) -> None:
        """Release the slot of this process: its counts stay, and the next worker takes them over."""
        self._worker.close()

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric.

        Raises `StorageError` if the storage was given a path and this process gets no slot there.
        """
        if self._is_required:
            self.join()
        else:
            self._worker.do(self._worker.attach_slot)
        copies = self._worker.tables_by_name.setdefault((self._space, descriptor.name), WeakValueDictionary())
        copy = next(number for number in count() if number not in copies)
        make = choose_child_class(descriptor, locked=self._locked)
        if descriptor.exemplars is not None:
            make = _find_asking_class(make, is_native=descriptor.native is not None)
        definition = Definition(self._space, copy, ttl is not None, descriptor)
        table = SharedChildTable(self._worker, definition, make, events, max_children=max_children, ttl=ttl)
        if descriptor.exemplars is not None:
            self._worker.keeper.add(self._scrape_watch)
        copies[copy] = table
        self._worker.do(partial(self._worker.number_declarations, [table]))
        return table

    def prepare(self) -> Iterator[None]:
        """Follow the logs of all workers, a slice at each step."""
        self._worker.do(self._worker.reattach)
        yield from self._worker.reader.follow_logs()
        yield from self._worker.reader.release_pages()
        # `collect` is one step. It must not follow a log that is rewritten in between, which takes 1 s for 1M series.
        self._prepared_by = get_ident()

    def collect(self) -> Iterable[Metric]:
        """Yield the families that only other workers have in their newest form, and the metrics about the workers."""
        worker = self._worker
        worker.do(worker.reattach)
        if worker.directory is not None and not worker.problem:
            now = time.time()
            if self._prepared_by != get_ident():
                for _ in worker.reader.follow_logs():  # in steps, so that scrapes in other threads make progress
                    pass
            self._prepared_by = 0
            worker.count_scrape()
            yield from worker.reader.use_slots(partial(self._describe, now))
        yield from self._describe_sharing()

    def collect_all(self) -> list[LiveFamily]:
        """Return the families that any worker has, this process too, in their newest form.

        `collect` leaves out those of this process, which its metrics return.
        """
        if self._worker.arena is not None:
            self._worker.do(self._worker.reattach)
        for _ in self._worker.reader.follow_logs():
            pass
        return self._list_families(time.time())

    def describe_workers(self) -> list[Metric]:
        """Return the metrics about the workers, as far as `collect_all` has followed their logs."""
        slots = self._worker.reader.use_slots(lambda slots: [*describe_slots(slots.list_readers())])
        return [*slots, *self._describe_sharing()]

    def _describe_sharing(self) -> list[Metric]:
        worker = self._worker
        is_known = (worker.problem and worker.is_worker) or worker.arena is not None
        return [describe_sharing(shared=worker.arena is not None)] if is_known else []

    def _list_families(self, now: float) -> list[LiveFamily]:
        newest = self._worker.reader.use_slots(lambda slots: slots.choose_newest(self._space).by_name)
        families = []
        for name, (descriptor, shape, _) in newest.items():
            copies = list(self._worker.tables_by_name.get((self._space, name), {}).values())
            own = [table.read for table in copies if table.merged_family.shape == shape]
            read = own[0] if own else partial(self._read_other, self._get_merged_family(descriptor))
            families.append(LiveFamily(descriptor, read, now=now))
        return families

    def _describe(self, now: float, slots: SlotReaders) -> list[Metric]:
        newest = slots.choose_newest(self._space)
        others = self._list_others(newest.by_name, now)
        return [*others, *describe_slots(slots.list_readers()), describe_conflicts(newest.left_out)]

    def _get_merged_family(self, descriptor: Descriptor) -> MergedFamily:
        merged_family = self._merged_families.get(descriptor.name)
        if merged_family is None or merged_family.shape != descriptor.shape:
            if merged_family is not None:
                self._worker.reader.forget(merged_family)
            write = make_block_writer(descriptor.all_labelnames, omit_empty=descriptor.omit_empty)
            merged_family = self._merged_families[descriptor.name] = MergedFamily(descriptor, self._space, write)
        return merged_family

    def _list_others(self, newest: Mapping[str, NewestFamily], now: float) -> Iterator[LiveFamily]:
        """Yield the newest families that this process has no metric for, or one with another definition or text."""
        tables = {
            name: list(copies.values())
            for (space, name), copies in list(self._worker.tables_by_name.items())
            if space == self._space
        }
        left_out = [
            (list_family_names(name, table.descriptor.kind), table.descriptor)
            for name, own in tables.items()
            for table in own
            if name not in newest or table.merged_family.shape != newest[name].shape
        ]
        for name, (descriptor, shape, _) in newest.items():
            own = tables.get(name)
            same = [table for table in own or () if table.merged_family.shape == shape]
            texts = [one.descriptor for one in same if one.descriptor.documentation != descriptor.documentation]
            if texts:
                yield LiveFamily(descriptor, same[0].read, now=now, replaces=texts)
            elif own is None or (own and not same):  # an empty list: the metrics of this name were unregistered
                names = list_family_names(name, descriptor.kind)
                replaces = [one for its_names, one in left_out if not names.isdisjoint(its_names)]
                read = partial(self._read_other, self._get_merged_family(descriptor))
                yield LiveFamily(descriptor, read, now=now, replaces=replaces)

    def _read_other(self, merged_family: MergedFamily) -> Iterator[Sequence[Point]]:
        return self._worker.reader.read(merged_family, LocalState(None, {}))

    def list_processes(self) -> Mapping[str, int]:
        """Return the ids of the processes that share this storage, by the number of their slot."""
        self._worker.do(self._worker.attach_slot)  # this process is one of them, also after a fork
        for _ in self._worker.finish_work():  # another thread may be taking the slot
            pass
        return self._worker.reader.list_live_processes()

    def lead(self, name: str) -> SharedLead:
        """Return the lead of ``name`` among the workers that share the directory."""
        return SharedLead(self._worker, self._space, name)


def _find_asking_class(kind: type[SharedChild], *, is_native: bool) -> type[SharedChild]:
    """Return the class of children that ask for exemplars, and are otherwise those of ``kind``. Few programs ask."""
    if is_native:
        from asyncmetrics.storage.shared.native_asking import find_shared_asking_native_class

        return find_shared_asking_native_class(kind)
    from asyncmetrics.storage.shared.asking import find_shared_asking_class

    return find_shared_asking_class(kind)
