"""The child table of shared storage: one metric's children in this process, and their series in this worker's slot.

*Rules.* Change series in the arena only in methods that are called through `Worker.do`: their docstrings say so. An
exception may interrupt such a method at any point; it must work when it then starts again from its beginning. Queue the
work before the dict of the table changes, so that no exception comes in between, and once more after it.

*Theory of operation.* A series goes through these states:

1. *Child only*: `SharedChildTable.find` has made a child; it waits for cells, and no other worker knows the series.
2. *Reserved*: `SharedChildTable._publish` has reserved cells and copied the child's numbers to them.
3. *Published*: the log has the record of the series. From now on all workers read it.
4. *Attached*: the child writes to the cells. If the series was published before the child was made, the cells hold the
   counts of a dead worker, which the child takes over, or of a removed child, which it overwrites.
5. *Removed*: `SharedChildTable.remove` detaches the child and sets the cells of this worker, and those in the slots of
   dead workers, to zero. Other live workers keep their cells, so the series stays if one of them has it.
6. *Expired*: a metric with a ``ttl`` writes to each series when its numbers last changed. Readings leave out a
   counter, summary or histogram that no worker has changed for ``ttl`` seconds, and each worker's gauge, info or state.
   A stale child that nothing refers to is freed; its counts stay in the cells, and a new child takes them over. Once
   readings leave the series out and this process has no child for it, `SharedChildTable.run_chore` removes it here.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast, final

from asyncmetrics.asking import Outcome
from asyncmetrics.children.expiry import Expiry
from asyncmetrics.children.interfaces import Sampler
from asyncmetrics.children.table import ChildTable, TableEvents
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop
from asyncmetrics.storage.shared.attachment import SharedChild, is_attached, is_waiting
from asyncmetrics.storage.shared.children import SharedGauge, SharedInfo
from asyncmetrics.storage.shared.dead_slots import remove_from_dead_slots
from asyncmetrics.storage.shared.exemplar_places import ExemplarPlaces
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.refreshing import Refresher
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily
from asyncmetrics.storage.shared.scrape.snapshot import LocalState
from asyncmetrics.storage.shared.worker import Work, Worker

__all__ = ("SharedChildTable",)

C = TypeVar("C", bound=SharedChild)

_PASSING_ERRORS = frozenset({errno.EBADF, errno.EMFILE, errno.ENFILE})  # there may be descriptors again later
_BATCH = 256  # series between two switches of threads while series expire: 0.1 ms
_REFRESH_SECONDS = 1.0  # between two calls of a gauge function
_CHECKS_PER_TTL = 8  # other workers learn of a change at most ttl / 8 late
_LATE_SECONDS = 1.0  # by which a busy worker does its chores late


@final
class SharedChildTable(ChildTable[C]):
    """The children of one metric in this process, and the places of their ``exemplars``.

    ``declared`` is the number of the metric's declaration (`asyncmetrics.storage.shared.scrape.newest`).
    """

    __slots__ = (
        "__weakref__",
        "_ask_at",
        "_definition",
        "_merged_family",
        "_refresher",
        "_used_elsewhere",
        "_worker",
        "declared",
        "exemplars",
    )

    def __init__(
        self,
        worker: Worker,
        definition: Definition,
        make: type[C],
        events: TableEvents,
        *,
        max_children: int | None = None,
        ttl: float | None = None,
    ) -> None:
        super().__init__(definition.descriptor, make, events, max_children=max_children, ttl=ttl)
        # Series of this slot that have no child here and that other workers change, and when to find out again.
        self._used_elsewhere: set[tuple[str, ...]] = set()
        self._ask_at = 0.0
        self.exemplars = ExemplarPlaces(worker, self.by_values, len(self.descriptor.buckets), self._get_family)
        self.declared = 0
        self._definition = definition
        self._worker = worker
        self._merged_family: MergedFamily | None = None
        self._refresher: Refresher | None = None
        worker.add_table(self)
        if ttl is not None:
            self.start_chore()

    @property
    def merged_family(self) -> MergedFamily:
        """The metric's family, merged over all workers; created at its first use."""
        if self._merged_family is None:
            self._merged_family = MergedFamily(self.descriptor, self._definition.space, self._write)
        return self._merged_family

    def attach_soon(self, child: C, asked: Work | None = None) -> Work:
        """Attach a child to cells: now, or after the structural work that other code does at the moment.

        Return this work. ``asked`` is what an earlier call has returned; if it has not begun, nothing is added.
        """
        work = self.queue(child, asked)
        self._worker.work()
        return work

    def share_exemplars(self, child: C) -> None:
        """Show the exemplars of ``child``, which are new, to other workers."""
        self.exemplars.share_each(child)

    def queue(self, child: C, asked: Work | None = None) -> Work:
        """Queue what `attach_soon` does, and return the work for a later call."""
        if asked is not None and asked.is_queued and not asked.attempts:
            return asked
        return self._worker.queue(partial(self._attach, child))

    def attach_all(self) -> None:
        """Attach every child that does not wait for its first write; call it through `Worker.do`."""
        for child in list(self.by_values.values()):
            if not is_waiting(child):
                self._attach_now(child)

    def detach_all(self) -> None:
        """Detach every child from its cells."""
        self.exemplars.forget_all()
        for child in list(self.by_values.values()):
            child.detach()

    def reset_after_fork(self) -> None:
        """Start from zero in a forked process."""
        self._merged_family = None
        self.exemplars.forget_all()
        for child in list(self.by_values.values()):
            child.reset_after_fork()

    def add(self, key: tuple[str, ...], fill: Callable[[C], None], *, is_shared: bool = True) -> C:
        """Insert a child after ``fill`` has given it numbers; attach it at once if ``is_shared``."""
        return self._create(key, fill, self._insert if is_shared else super()._insert)

    def _insert(self, new_child: C) -> C:
        new_child.complete_copy()
        attach = partial(self._attach, new_child)
        work = self._worker.queue(attach)
        child = super()._insert(new_child)
        self._worker.work()
        # Another thread may have done the work before the child was inserted.
        if child is new_child and is_waiting(child) and not work.is_queued:
            self._worker.do(attach)
        return child

    def _attach(self, child: C) -> None:
        """Attach a child that is in the table; call it through `Worker.do`."""
        self._worker.attach_slot()
        self._attach_now(child)

    def _attach_now(self, child: C) -> None:
        """Attach a child and publish its series, if this process has a slot; call it through `Worker.do`."""
        arena = self._worker.arena
        if self.by_values.get(child.labelvalues) is not child:
            return
        if arena is None:
            child.detach()
            return
        try:
            self._publish(arena, child)
        except OSError as error:
            pass_interruption(error)
            child.detach()
            if error.errno == errno.EBADF and arena.has_its_files():  # they were lost, and are open again
                self._attach(child)
                return
            if error.errno in _PASSING_ERRORS:
                self._worker.attach_all_again()
            arena.count_dropped()

    def _publish(self, arena: Arena, child: C) -> None:
        """Attach a child and publish its series. Raises OSError."""
        family, key = self._open_family(), child.labelvalues
        number, (cells, at) = arena.reserve(family, key)
        if not is_attached(child):
            if family.is_inherited(number):
                child.take_over(cells, at)
            else:
                arena.remove_parts(family, key)  # those of a removed child
                child.store(cells, at)
                arena.publish(family, key, number)
                child.attach(cells, at)
        self._attach_parts(arena, family, child, is_inherited=family.is_inherited(number))
        family.forget_inherited(number)
        child.store(cells, at)  # again: other threads may have changed the numbers, or another child the cells
        if family.definition.ages:
            cells[at + family.definition.presence + 1] = child.changed_at
        if isinstance(child, SharedInfo):
            arena.write_facts(family, key, child.pack_facts())
        self.exemplars.share_all(child)

    def _attach_parts(self, arena: Arena, family: Family, child: C, *, is_inherited: bool) -> None:
        """Write the parts of an attached child to cells, as far as there is room."""
        try:
            child.attach_parts(arena, family, is_inherited=is_inherited)
        except OSError as error:
            pass_interruption(error)
            child.detach_parts()
            if error.errno in _PASSING_ERRORS:
                self._worker.attach_all_again()
            arena.count_dropped()

    def _open_family(self) -> Family:
        """Return the metric's family in the arena; call it through `Worker.do`. Raises OSError."""
        arena = self._worker.arena
        assert arena is not None
        self.declared = self.declared or arena.take_declaration_numbers(1)
        return arena.open_family(self._definition, self.declared)

    def list_keys(self) -> list[tuple[str, ...]]:
        """Return the label values of every child that any worker has."""
        return list(dict.fromkeys([*self.by_values, *(point.labelvalues for batch in self.read() for point in batch)]))

    def remove(self, key: tuple[str, ...]) -> None:
        """Remove this worker's child with these label values, and its series from the slots of dead workers."""
        self._remove_everywhere([key], {key})

    def clear(self) -> None:
        """Remove every child of this worker, and all series of the metric from the slots of dead workers."""
        arena = self._worker.arena
        family = self._get_family(arena) if arena else None
        self._remove_everywhere([*dict.fromkeys([*self.by_values, *(family.index if family else ())])], None)

    def _remove_everywhere(self, keys: list[tuple[str, ...]], dead_keys: set[tuple[str, ...]] | None) -> None:
        self.remove_local(keys)
        for _ in self._worker.reader.take_steps(partial(remove_from_dead_slots, self._definition.name, dead_keys)):
            pass

    def remove_local(self, keys: Iterable[tuple[str, ...]]) -> None:
        """Remove the children with these label values, and their series from this worker's slot."""
        left = iter(keys)
        while batch := list(islice(left, _BATCH)):
            children: list[C] = []
            work = partial(self._remove_series, batch, children)
            self._worker.queue(work)
            children += filter(None, map(self.by_values.get, batch))
            try:
                for child in children:
                    self._remove(child)
            finally:  # another thread may have done the first piece of work already
                self._worker.queue(work)
            self._worker.work()

    def _remove_series(self, keys: list[tuple[str, ...]], children: list[C]) -> None:
        """Remove the series of ``keys``, but for those of other children than ``children``.

        ``children`` leave the table before this, or after it: then it is called once more. Call it through `Worker.do`.
        """
        removed = [child for child in children if self.by_values.get(child.labelvalues) is not child]
        for child in removed:
            child.detach()
        arena = self._worker.arena
        family = self._get_family(arena) if arena else None
        if arena is None or family is None:
            return
        for key in keys:
            present = self.by_values.get(key)
            if present is None or not is_attached(present):  # the counts are those of no child in the table
                arena.remove(family, key)
                self.exemplars.forget(key)
        for successor in filter(None, [self.by_values.get(child.labelvalues) for child in removed]):
            self._attach_now(successor)  # also if it is attached: the removed child may have written to its cells

    def _get_family(self, arena: Arena) -> Family | None:
        """Return the metric's family, if this worker's slot has it."""
        family = arena.families.get(self._definition.local_key)
        return family if family is not None and family.definition.fits(self._definition) else None

    def take_number(self, child: Any, outcome: Outcome[float]) -> BaseException | None:
        """Set ``child`` to the outcome of its function, or leave it out of all readings if the function has failed."""
        problem = super().take_number(child, outcome)
        cast(SharedGauge, child).record_set_at(time.time() if problem is None else 0.0)
        return problem

    def collect_from(self, sampler: Sampler, home: HomeLoop | None = None, *, is_blocking: bool = True) -> None:
        """Take all children from ``sampler`` at every collection, and once a second."""
        super().collect_from(sampler, home, is_blocking=is_blocking)
        self.start_chore()

    def start_chore(self) -> None:
        """Have the keeper do `run_chore` from now on, for the scrapes of other workers."""
        self._worker.keeper.add(self)

    @property
    def interval_seconds(self) -> float:
        """The time between two runs of `run_chore`."""
        return _REFRESH_SECONDS if self._expiry is None else self._expiry.ttl / _CHECKS_PER_TTL

    def run_chore(self) -> None:
        """Call the gauge functions, publish when children changed, and remove series that have expired."""
        self._worker.do(self._worker.reattach)
        callbacks = self.list_callbacks()
        if callbacks:
            self._refresher = self._refresher or Refresher(self.descriptor.name, self._events)
            self._refresher.refresh(callbacks)
        for _ in self._publish_changes():
            time.sleep(0)  # an event loop that waits for the interpreter's lock gets it
        if self._expiry:
            self._remove_expired(self._expiry.ttl)

    def _remove_expired(self, ttl: float) -> None:
        """Remove from this worker's slot the series that have expired in all workers: no sum may decrease before."""
        # Later than readings leave them out, so that all changes are known by now.
        seconds = ttl * (1 + 2 / _CHECKS_PER_TTL) + _LATE_SECONDS
        keys: set[tuple[str, ...]] = set()
        work = self._worker.queue(partial(self._find_unchanged, seconds, keys))
        self._worker.work()
        if time.monotonic() >= self._ask_at:
            self._used_elsewhere, self._ask_at = set(), time.monotonic() + ttl
        if work.is_queued or not keys.difference(self._used_elsewhere):
            return
        errors = self._worker.errors
        for batch in self._worker.reader.read(self.merged_family, self._make_state(seconds)):
            self._used_elsewhere |= keys.intersection(point.labelvalues for point in batch)
            time.sleep(0)  # an event loop that waits for the interpreter's lock gets it
        is_whole = self._worker.errors == errors  # all slots were read, and their families
        if is_whole and self._worker.reader.use_slots(self.merged_family.is_newest):
            left = iter(keys - self._used_elsewhere)
            while expired := list(islice(left, _BATCH)):
                self._worker.do(partial(self._remove_series, expired, []))  # but for that of a child that is new

    def _find_unchanged(self, seconds: float, keys: set[tuple[str, ...]]) -> None:
        """Add to ``keys`` the series of this slot that have no child and have not changed for so long.

        Call it through `Worker.do`.
        """
        if self._worker.arena is not None:
            for batch in self._open_family().find_unchanged(seconds):  # nothing else changes it: see `Worker.do`
                keys.update(batch - self.by_values.keys())
                time.sleep(0)  # an event loop that waits for the interpreter's lock gets it

    def _remove_unheld(self, stale: list[C], expiry: Expiry[C], removed: list[C]) -> None:
        self._worker.do(partial(self._free_children, stale, expiry, removed))

    def _free_children(self, stale: list[C], expiry: Expiry[C], removed: list[C]) -> None:
        """Remove the stale children that nothing refers to, and leave their counts in the cells for new ones.

        Call it through `Worker.do`.
        """
        arena = self._worker.arena
        family = self._get_family(arena) if arena else None
        if family is not None:
            family.inherit(child.labelvalues for child in stale if self.by_values.get(child.labelvalues) is child)
        super()._remove_unheld(stale, expiry, removed)
        if family is not None:
            freed = set(map(id, removed))
            family.inherit((child.labelvalues for child in stale if id(child) not in freed), 0)

    def read(self) -> Iterator[Sequence[Any]]:
        """Yield the points of all workers in slices; a slice is empty where a step has waited or done other work."""
        worker = self._worker
        yield from worker.finish_work()  # another thread may be removing the old series of a new child
        if worker.arena is None and (worker.problem or worker.directory is None):
            yield from super().read()  # the numbers of this process alone
            return
        yield from self._publish_changes()
        yield from self._listing.tidy()
        yield from worker.reader.read(self.merged_family, self._make_state(self._expiry.ttl if self._expiry else None))
        self.scrapes[0] += 1

    def _make_state(self, ttl: float | None) -> LocalState:
        arena = self._worker.arena
        return LocalState(arena.number if arena else None, self.by_values, self.exemplars.is_used, ttl)

    def _publish_changes(self) -> Iterator[tuple[()]]:
        """Write to the cells when each child last changed, in steps."""
        if self._expiry is None:
            return
        change_cell = self._definition.presence + 1
        for batch in self._read_children():
            for child in batch:
                if is_attached(child):
                    child.cells[child.index + change_cell] = child.changed_at
            yield ()

    def _is_full(self, key: tuple[str, ...]) -> bool:
        if self._worker.arena is None:
            self._worker.do(self._worker.attach_slot)  # a forked process has no slot before this
        arena = self._worker.arena
        family = arena.families.get(self._definition.local_key) if arena else None
        if family is None:
            return super()._is_full(key)
        return key not in family.index and (self._exceeds_limit(key, family.index) or super()._is_full(key))
