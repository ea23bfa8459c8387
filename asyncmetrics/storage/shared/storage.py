"""The storage that several workers share: whichever of them is scraped answers for all.

Every worker has an *arena* of its own in a directory, and reads everybody's. There is no server, no hook, and no file
for each process that ever was.

*Rules.* One host, and a local file system that is memory or as fast (``/dev/shm``). A worker owns a *slot* for as long
as it lives, by a lock that the kernel drops with it. The next worker adopts the slot with its counts, so that counters
never go back, and there are as many files as there were workers at once. The increment that a killed process was at may
be lost, and nothing else.

*Theory of operation.* ``_layout`` says what is in the files, ``_directory`` which may be trusted, ``_slots`` whose they
are; ``_arena`` is the writer, ``_reading`` the reader; ``_writethrough`` has the children, ``_merge`` and ``_points``
make one family of many; ``_worker`` is where they meet. What is particular to one process:

* the limit of children is each worker's, and counts what its slot has taken over;
* `reset` sets this worker's part to zero; `remove` and `clear` take out this worker's part and those of dead workers:
  where another live worker has the series it stays, with that worker's numbers;
* exemplars come from the worker that answers; a gauge's function is called by its own worker, once a second and when it
  answers;
* what a custom collector yields comes from the worker that answers;
* `unregister` is each worker's: others that have the metric go on telling of it, and of what was counted here;
* a family is as the worker defines it that declared it last: what others count in another shape is left out, and
  counted in ``asyncmetrics_worker_conflicting_families``;
* after a fork a counter starts from zero, and a gauge or state set is told of by the child once it uses it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import Any, TypeVar, final
from weakref import WeakValueDictionary

from asyncmetrics.children.interfaces import Sampler
from asyncmetrics.children.table import Child, ChildTable, TableEvents
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric, Point
from asyncmetrics.model.label_blocks import make_block_writer
from asyncmetrics.storage.shared.attachment import is_attached
from asyncmetrics.storage.shared.children import child_class
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from asyncmetrics.storage.shared.keeper import await_all
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily, find_newest
from asyncmetrics.storage.shared.scrape.snapshot import LocalState
from asyncmetrics.storage.shared.self_metrics import about_conflicts, about_sharing, about_slots
from asyncmetrics.storage.shared.worker import Worker

__all__ = ("SharedChildTable", "SharedStorage")

C = TypeVar("C", bound=Child)


@final
class SharedChildTable(ChildTable[C]):
    """The children of one metric in this process; readings are of all workers."""

    __slots__ = ("__weakref__", "_merged", "_worker", "ages", "copy", "exemplary", "space")

    def __init__(
        self,
        group: Worker,
        space: str,
        copy: int,
        descriptor: Descriptor,
        make: Callable[[ChildTable[C], tuple[str, ...]], C],
        events: TableEvents,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        super().__init__(descriptor, make, events, max_children=max_children, ttl=ttl)
        self.space = space
        self.copy = copy
        self.ages = ttl is not None
        self.exemplary = False
        self._worker = group
        self._merged: MergedFamily | None = None
        group.add_table(self)
        if ttl is not None:
            self.keep()

    @property
    def merged(self) -> MergedFamily:
        """What reads the family over all workers."""
        if self._merged is None:
            self._merged = MergedFamily(self.descriptor, self.space, self._write)
        return self._merged

    def attach_soon(self, child: Any) -> None:
        """Give a child its place in this process's arena."""
        self._worker.do(partial(self._worker.settle, self, child))

    def attach_all(self) -> None:
        """Give every child its place."""
        for child in list(self.by_values.values()):
            self.attach_soon(child)

    def restart(self) -> None:
        """Begin anew, in a forked process."""
        self._merged = None
        self.exemplary = False
        for child in self._all():
            child.restart()

    def detach_all(self) -> None:
        """Have no child write to the arena any more."""
        for child in self._all():
            child.leave()

    def has(self, key: tuple[str, ...]) -> bool:
        """Tell whether this process has a child with these label values, be it stale."""
        return key in self.by_values or bool(self._staleness and self._staleness.is_asleep(key))

    def _all(self) -> list[Any]:
        return [*self.by_values.values(), *(self._staleness.sleeping() if self._staleness else ())]

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child that any worker has."""
        return list(dict.fromkeys([*self.by_values, *(point.labelvalues for batch in self.read() for point in batch)]))

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove this worker's child with these label values, and what dead workers had."""
        self._remove_everywhere({key})

    def clear(self) -> None:
        """Remove every child of this worker, and of dead ones."""
        self._remove_everywhere(None)

    def _remove_everywhere(self, keys: set[tuple[str, ...]] | None) -> None:
        self.remove_local(list(self.by_values) if keys is None else keys)
        if keys is None:
            self._worker.do(self._remove_adopted)
        self._worker.remove_from_dead((self.space, self.descriptor.name), keys)

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children of this worker with these label values, and what it took over of them."""
        keys = list(keys)
        children: list[Any] = [child for key in keys if (child := self.by_values.get(key)) is not None]
        super().remove_local(keys)
        for child in children:
            child.leave()
        if keys:
            self._worker.do(partial(self._worker.remove, self, keys))

    def _remove_adopted(self) -> None:
        if self._worker.arena is not None:
            self._worker.remove(self, set(self._worker.family(self).index).difference(self.by_values))

    @contextmanager
    def guard(self, child: C) -> Iterator[None]:
        """Leave ``child`` out of all readings, and count it, if its function or the number from it fails."""
        gauge: Any = child
        with super().guard(child):
            yield
        gauge.mark(0.0 if child in self.failed else time.time())

    def collect_from(self, sampler: Sampler) -> None:
        """Take all children from ``sampler`` at every `refresh`, and once a second."""
        super().collect_from(sampler)
        self.keep()

    def keep(self) -> None:
        """See to it that gauge functions are called, and changes told, whoever is scraped."""
        self._worker.keeper.add(self)

    @property
    def pause(self) -> float:
        """How long this may be left alone, in seconds."""
        return 1.0 if self._staleness is None else self._staleness.ttl / 8

    def attend(self) -> None:
        """Do what is to be done every now and then."""
        if self.is_refreshed:
            pending = [(child, awaitable, partial(self.guard, child)) for child, awaitable in self.refresh()]
            if pending:
                await_all(pending)
        for _ in self.tick():
            time.sleep(0)  # an event loop that waits for the interpreter's lock gets it
        if self._staleness:
            self._worker.do(partial(self._worker.expire, self, self._staleness.ttl))

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the points of all workers in slices; empty ones while there is much to learn about other workers."""
        self._worker.do(_nothing)
        if self._worker.arena is None and (self._worker.problem or self._worker.directory is None):
            yield from super().read()  # this process alone
            return
        yield from self.tick()
        slot = self._worker.arena.number if self._worker.arena else None
        ttl = self._staleness.ttl if self._staleness else None
        yield from self._worker.read(self.merged, LocalState(slot, self.by_values, self.slices, self.exemplary, ttl))

    def tick(self) -> Iterator[tuple[()]]:
        """Tell the other workers which children have changed, and forget those that have not for long, in steps."""
        if self._staleness is None:
            return
        changed_at = self._changed_at
        for batch in super().read():
            for child in batch:
                at: Any = child
                if is_attached(at):
                    at.cells[at.index + changed_at] = self._staleness.changed(child)
            yield ()

    @property
    def _changed_at(self) -> int:
        return Definition(self.space, self.copy, self.ages, self.descriptor).presence + 1

    def _add(self, made: C) -> C:
        child = super()._add(made)
        if child is made:
            self.attach_soon(child)
        return child

    def _is_full(self, key: tuple[str, ...]) -> bool:
        if self._worker.arena is None:
            self._worker.do(self._worker.take_part)  # a forked process has no slot before this
        arena = self._worker.arena
        family = arena.families.get((self.space, self.descriptor.name, self.copy)) if arena else None
        if family is None or self._max_children is None:
            return super()._is_full(key)
        return key not in family.index and max(len(family.index), len(self.by_values)) >= self._max_children


def _nothing() -> None:
    pass


@final
class SharedStorage:
    """Keep the numbers of a registry where other workers find them: in the directory ``path``, which is made.

    Registries of one process that share a storage are told apart by `named`. ``serves`` is False in a supervisor that
    makes metrics before it forks its workers: it starts no thread. Raises `StorageError` (an OSError) for a directory
    that cannot be used or trusted, which says what to do about it.
    """

    def __init__(self, path: str, *, serves: bool = True, locking: bool | None = None) -> None:
        directory = Directory(path)
        self._begin(Worker(partial(Directory, directory.path)), "", serves=serves, locking=locking)
        self._worker.directory = directory
        self._asked_for = True

    @classmethod
    def later(cls, find: Callable[[], Directory | None], *, serves: bool = True) -> SharedStorage:
        """Return a storage whose directory cannot be told yet: ``find`` returns None until it can.

        Where ``find`` raises `StorageError` that is logged, and this process keeps its numbers for itself.
        """
        storage = cls.__new__(cls)
        storage._begin(Worker(find), "", serves=serves)
        return storage

    def _begin(self, group: Worker, space: str, *, serves: bool = True, locking: bool | None = None) -> None:
        group.keeper.allowed = group.keeper.allowed and serves
        gil = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
        self._worker = group
        self._space = space
        self._asked_for = False
        self._locked = not gil if locking is None else locking
        self._merged_families: dict[str, MergedFamily] = {}
        self._prepared_by = 0  # the thread that has followed all logs and not collected since

    def named(self, name: str) -> SharedStorage:
        """Return a storage for another registry, in the same directory and the same slot."""
        other = SharedStorage.__new__(SharedStorage)
        other._begin(self._worker, name, locking=self._locked)
        other._asked_for = self._asked_for
        return other

    def join(self) -> None:
        """Take a slot now. Raises `StorageError` where none can be had."""
        self._worker.join()

    def close(self) -> None:
        """Leave the others: what was counted stays, and the next worker takes it over."""
        self._worker.close()

    def open(
        self, descriptor: Descriptor, events: TableEvents, *, max_children: int | None = None, ttl: float | None = None
    ) -> ChildTable[Any]:
        """Return a new table for the children of a metric.

        Raises `StorageError` where no slot can be had in a directory that was asked for.
        """
        if self._asked_for:
            self.join()
        else:
            self._worker.do(self._worker.take_part)
        copies = self._worker.opened.setdefault((self._space, descriptor.name), WeakValueDictionary())
        copy = next(number for number in range(len(copies) + 1) if number not in copies)
        make = child_class(descriptor, locked=self._locked)
        table = SharedChildTable(
            self._worker, self._space, copy, descriptor, make, events, max_children=max_children, ttl=ttl
        )
        copies[copy] = table
        return table

    def prepare(self) -> Iterator[None]:
        """Follow the logs of all workers, a slice at each step."""
        self._worker.do(self._worker.take_part)
        yield from self._worker.following()
        yield from self._worker.releasing()
        # `collect` is one step and must not follow a log that was written anew in between: 1 s for 1M series.
        self._prepared_by = get_ident()

    def collect(self) -> Iterable[Metric]:
        """Yield what other workers have and this one does not, and how the workers are."""
        self._worker.do(self._worker.stay)
        if self._worker.directory is not None and not self._worker.problem:
            now = time.time()
            if self._prepared_by != get_ident():
                for _ in self._worker.following():  # in steps: a scrape in another thread goes on meanwhile
                    pass
            self._prepared_by = 0
            with self._worker.followed() as readers:
                strange = list(self._strange(readers))
                slots = list(about_slots(readers))
            for definition in strange:
                merged = self._view_of(definition.descriptor)
                yield LiveFamily(merged.descriptor, partial(self._read_strange, merged), now=now)
            yield from slots
            yield about_conflicts(sum(table.merged.conflicts for table in self._worker.tables()))
        if (self._worker.problem and self._worker.is_worker) or self._worker.arena is not None:
            yield about_sharing(shared=self._worker.arena is not None)

    def _view_of(self, descriptor: Descriptor) -> MergedFamily:
        merged = self._merged_families.get(descriptor.name)
        if merged is None or merged.descriptor != descriptor:
            if merged is not None:
                self._worker.forget(merged)
            write = make_block_writer(descriptor.all_labelnames)
            merged = self._merged_families[descriptor.name] = MergedFamily(descriptor, self._space, write)
        return merged

    def _strange(self, readers: Sequence[SlotReader]) -> Iterator[Definition]:
        """Yield the definitions that count of the families that no metric of this process has as they are."""
        names = dict.fromkeys(name for reader in readers for space, name in reader.log.named if space == self._space)
        for name in names:
            own = self._descriptors(name)
            found = [(reader, family) for reader in readers for family in reader.log.named.get((self._space, name), ())]
            if own is not None:
                kinds = {descriptor.kind for descriptor in own}
                found = [pair for pair in found if pair[1].definition.descriptor.kind in kinds]
            if any(family.definition.descriptor not in (own or ()) for _, family in found):
                definition = find_newest(found)
                if definition.descriptor not in (own or ()):
                    yield definition

    def _descriptors(self, name: str) -> list[Descriptor] | None:
        """Return how the metrics of a name are defined here, None if there never was one."""
        copies = self._worker.opened.get((self._space, name))
        return None if copies is None else [table.descriptor for table in copies.values()]

    def _read_strange(self, merged: MergedFamily) -> Iterator[Sequence[Point]]:
        return self._worker.read(merged, LocalState(None, {}))

    def processes(self) -> Mapping[str, int]:
        """Return the processes that share this storage, by what tells them apart."""
        return self._worker.living()
