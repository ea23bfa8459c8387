"""The workers that share a directory, as one of them sees them: its own arena, and what it reads of the others.

*Rules.* No lock is ever waited for where numbers change: not in a signal handler, nor in a finaliser. Only scrapes wait
for each other, and one that comes in between another of the same thread reads with readers of its own. Nothing that
another process does, or leaves behind, raises here.

*Theory of operation.* Whatever changes the arena's structure is put into a queue, and whoever finds nobody at work does
all that is in it: a signal handler that comes in between leaves its work to those whom it interrupted. Each piece of
work may be begun twice, as an exception of a handler may end it; it leaves the queue when it is done, or when it fails
a second time. In a forked process everything begins anew: the slot is the parent's, and so is what is mapped.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from threading import Lock, RLock
from typing import Any, TypeVar, final
from weakref import WeakValueDictionary

from asyncmetrics.errors import StorageError
from asyncmetrics.model.family import Point
from asyncmetrics.storage.shared.attachment import SharedChild, is_attached
from asyncmetrics.storage.shared.children import SharedInfo
from asyncmetrics.storage.shared.discovery import NoWorkerError
from asyncmetrics.storage.shared.files.arena import Arena
from asyncmetrics.storage.shared.files.arena_family import Family
from asyncmetrics.storage.shared.files.directory import Directory
from asyncmetrics.storage.shared.files.layout import CHANGES, ERRORS, CorruptError
from asyncmetrics.storage.shared.files.processes import read_start_time
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from asyncmetrics.storage.shared.files.slots import own_slot
from asyncmetrics.storage.shared.keeper import Keeper
from asyncmetrics.storage.shared.scrape.merged_family import MergedFamily
from asyncmetrics.storage.shared.scrape.slot_readers import SlotReaders
from asyncmetrics.storage.shared.scrape.snapshot import LocalState
from asyncmetrics.storage.shared.weak_list import WeakList

__all__ = ("Worker",)

T = TypeVar("T")
_log = logging.getLogger("asyncmetrics")
_WORD = struct.Struct("=Q")
_BATCH = 256  # series that are looked at in one step
_PATIENCE = 0.0005  # seconds that a step waits for another thread's


class _Over:
    """The end of an iterator, whose items may be None."""


_OVER = _Over()


@final
class Worker:
    """The workers of one directory.

    ``find`` returns the directory, None for as long as it cannot be told, and raises `StorageError` where there is none
    to be had, `NoWorkerError` where there need not be one; until it is found, and where there is none, this process
    keeps its numbers for itself. ``problem`` says why.
    """

    def __init__(self, find: Callable[[], Directory | None]) -> None:
        self._find = find
        self.directory: Directory | None = None
        self.problem = ""
        self.is_worker = True
        self.opened: dict[tuple[str, str], WeakValueDictionary[int, Any]] = {}
        self.keeper = Keeper()
        self._tables: WeakList[Any] = WeakList()
        self._begin()
        _WORKERS.add(self)

    def _begin(self) -> None:
        self.arena: Arena | None = None
        self.readers = SlotReaders(self.directory, self._failed)
        self._reading = RLock()
        self._is_read = False
        self._queue: deque[Callable[[], None]] = deque()
        self._failing: Callable[[], None] | None = None
        self._at_work = Lock()
        self._told: dict[int, float] = {}

    def after_fork(self) -> None:
        """Begin anew in a forked process: this one's numbers are its own."""
        arena, readers = self.arena, self.readers
        self.problem = ""
        self.keeper.after_fork()
        self._begin()
        for table in self.tables():
            table.restart()
        readers.close()
        if arena is not None:
            arena.close()

    def join(self) -> None:
        """Take a slot, if there is a directory by now. Raises `StorageError` where that cannot be."""
        self.do(self.take_part)
        if self.problem:
            raise StorageError(self.path, self.problem, errno.EIO)

    @property
    def path(self) -> str:
        """Where the directory is, for messages."""
        return self.directory.path if self.directory else ""

    def take_part(self) -> None:
        """Take a slot if this process has none; to be done through `do`."""
        if self.arena is not None or self.problem:
            return
        is_new = self.directory is None
        try:
            if self.directory is None or not self.directory.is_sound():
                self.directory = self._find()
            if self.directory is None:
                return
            self.arena = Arena(self.directory, idle=not self.keeper.allowed)
        except OSError as error:
            self._give_up(error)
            return
        self.readers = SlotReaders(self.directory, self._failed)
        self.readers.read_own(self.arena.number, self.arena.peek)
        self.arena.add(ERRORS, self.arena.passed_over)
        self.keeper.begin()
        for table in self.tables() if is_new else ():  # what was made before there was a directory
            table.attach_all()

    def stay(self) -> None:
        """Take part, with new files if somebody has removed this process's; to be done through `do`."""
        arena, directory = self.arena, self.directory
        if sys.is_finalizing():  # what was temporary is gone by now
            return
        if arena is not None and directory is not None and directory.is_sound() and not arena.is_in_place():
            _log.warning("%s: files of this process were removed; it goes on with new ones", self.path)
            for table in self.tables():
                table.detach_all()  # to be settled in the new ones with what they hold
            self.arena = self.directory = None
            arena.close()
        self.take_part()

    def _give_up(self, error: OSError) -> None:
        self.problem = getattr(error, "problem", f"no slot can be had: {error}")
        self.is_worker = not isinstance(error, NoWorkerError)
        if self.is_worker:
            _log.warning("%s: this process keeps its metrics for itself: %s", self.path, self.problem)

    def close(self) -> None:
        """Let go of the slot; this process keeps its numbers for itself from now on."""
        self.do(self._leave)

    def _leave(self) -> None:
        self.problem = "it was closed"
        for table in self.tables():
            table.detach_all()  # whoever takes the slot over writes there now
        arena, self.arena = self.arena, None
        with self._reading:
            self.readers.close()
        if arena is not None:
            arena.close()

    def add_table(self, table: Any) -> None:
        """Take note of the children that a fork concerns."""
        self._tables.add(table)

    def tables(self) -> list[Any]:
        """Return all children that there are in this process, by their metrics."""
        return self._tables.all()

    def do(self, work: Callable[[], None]) -> None:
        """Do something with the arena, or leave it to whoever is at work."""
        self._queue.append(work)
        while self._queue and self._at_work.acquire(blocking=False):
            try:
                while self._queue:
                    self._do(self._queue[0])
                    self._queue.popleft()
            finally:
                self._at_work.release()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            if _is_of_the_system(error):  # no room: the work itself has counted what is lost
                _log.debug("%s: %s", self.path, error)
                return
            if self._failing is not work:  # an exception of a signal's handler, maybe: it goes to whom it interrupts
                self._failing = work
                raise
            self._failing = None
            _log.exception("%s: some numbers of this process are not shared", self.path)
            if self.arena is not None:
                self.arena.count_dropped()

    def settle(self, table: Any, child: SharedChild) -> None:
        """Give a child its place; to be done through `do`."""
        self.take_part()
        if self.arena is None or table.by_values.get(child.labelvalues) is not child:
            return
        try:
            family = self.family(table)
            if child.labelvalues not in family.index:
                child.leave()  # this may have been begun before: a place that was not told of is given out once more
            number, place = self.arena.reserve(family, child.labelvalues)
            if not is_attached(child):
                child.settle(place.cells, place.at)
            if family.definition.ages:
                place.cells[place.at + family.definition.presence + 1] = time.monotonic()
            self.arena.publish(family, child.labelvalues, number)
            if isinstance(child, SharedInfo):
                self.arena.write_facts(family, child.labelvalues, child.facts())
        except OSError as error:
            if not _is_of_the_system(error):
                raise
            child.leave()
            self.arena.count_dropped()

    def family(self, table: Any) -> Family:
        """Return a metric's part of the arena; to be done through `do`. Raises OSError."""
        assert self.arena is not None
        return self.arena.open_family(table.space, table.copy, table.ages, table.descriptor)

    def remove(self, table: Any, keys: Iterable[tuple[str, ...]]) -> None:
        """Take series out of the arena; to be done through `do`."""
        if self.arena is None:
            return
        family = self.family(table)
        for key in keys:
            self.arena.remove(family, key)
            child = table.by_values.get(key)
            if child is not None:  # made again meanwhile
                child.leave()
                self.settle(table, child)

    def expire(self, table: Any, ttl: float) -> None:
        """Take out what nobody here has and nobody changed for so many seconds; to be done through `do`."""
        if self.arena is None:
            return
        family = self.family(table)
        changed_at = family.definition.presence + 1
        items = iter(family.index.items())  # `do` lets nothing else change it
        stale = []
        while batch := list(islice(items, _BATCH)):
            now = time.monotonic()
            for key, number in batch:
                cells, at = family.locate(number)
                if not 0 <= now - cells[at + changed_at] < ttl and not table.has(key):
                    stale.append(key)
            time.sleep(0)  # an event loop that waits for the interpreter's lock gets it
        for key in stale:
            self.arena.remove(family, key)

    def remove_from_dead(self, name: tuple[str, str], keys: set[tuple[str, ...]] | None) -> None:
        """Take series (None: all) of a family out of the slots whose owners are dead."""
        for _ in self._in_steps(partial(self._removing_from_dead, name, keys)):
            pass

    def _removing_from_dead(
        self, name: tuple[str, str], keys: set[tuple[str, ...]] | None, readers: SlotReaders
    ) -> Iterator[tuple[()]]:
        for reader in readers.all():
            if not reader.is_live:
                yield from self._removing_from(reader, name, keys)

    def _removing_from(
        self, reader: SlotReader, name: tuple[str, str], keys: set[tuple[str, ...]] | None
    ) -> Iterator[tuple[()]]:
        with suppress(OSError, CorruptError), own_slot(reader.directory, reader.number) as descriptor:
            for _ in reader.sync():
                yield ()
            changes = (reader.header.changes if reader.header else 0) | 1
            os.pwrite(descriptor, _WORD.pack(changes), 8 * CHANGES)
            for family in list(reader.log.named.get(name, ())):
                nothing = bytes(8 * family.definition.stride)
                numbers = iter(family.find_numbers(keys))
                while batch := list(islice(numbers, _BATCH)):
                    for number in batch:
                        os.pwrite(descriptor, nothing, 8 * family.cell(number))
                    yield ()
            os.pwrite(descriptor, _WORD.pack(changes + 1), 8 * CHANGES)

    @contextmanager
    def _reading_alone(self) -> Iterator[SlotReaders]:
        """Give the readers to one at a time; new ones to whoever interrupts this thread's own reading."""
        with self._reading:
            if self._is_read:
                yield self.readers.renew()
                return
            self._is_read = True
            try:
                yield self.readers
            finally:
                self._is_read = False

    def read(self, merged: MergedFamily, own: LocalState) -> Iterator[Sequence[Point]]:
        """Read a family over all slots, nobody else's step between the beginning and the end of one."""

        def begin(readers: SlotReaders) -> Iterator[Sequence[Point]]:
            return (merged if readers is self.readers else merged.renew()).read(readers, own)

        return self._in_steps(begin)

    def following(self) -> Iterator[None]:
        """Follow the logs of all slots to their ends, as `read` does."""
        for _ in self._in_steps(SlotReaders.sync):
            yield

    def releasing(self) -> Iterator[None]:
        """Release what no reading uses any more."""
        for _ in self._in_steps(lambda readers: readers.spent.release()):
            yield

    def _in_steps(self, begin: Callable[[SlotReaders], Iterator[T]]) -> Iterator[T | tuple[()]]:
        """Take the steps that ``begin`` returns one by one, each while no other thread takes one of its own.

        A step is left for later where another thread holds the lock for long, so that no event loop waits for it.
        """
        steps: Iterator[T] | None = None
        step: T | tuple[()] | _Over = ()
        while not isinstance(step, _Over):
            yield step
            step = ()
            if self._reading.acquire(timeout=_PATIENCE):
                was_read, self._is_read = self._is_read, True
                try:
                    if steps is None:
                        steps = begin(self.readers.renew() if was_read else self.readers)
                    step = next(steps, _OVER)
                finally:
                    self._is_read = was_read
                    self._reading.release()

    def forget(self, merged: MergedFamily) -> None:
        """Release what a merged knows that is of no more use."""
        with self._reading_alone() as readers:
            merged.forget(readers.spent)

    @contextmanager
    def followed(self) -> Iterator[list[SlotReader]]:
        """Give all slots, as far as their logs were followed, to look at while nobody goes on with them."""
        with self._reading_alone() as readers:
            if readers is not self.readers:  # this one interrupts another reading
                for _ in readers.sync():
                    pass
            yield readers.all()

    def living(self) -> dict[str, int]:
        """Return the processes of the live slots, by the slots' numbers."""
        found = {}
        with self._reading_alone() as readers:
            headers = [(reader, reader.try_read_header()) for reader in readers.all()]
        for reader, header in headers:
            if header and reader.is_live and read_start_time(header.pid) == header.start:
                found[str(reader.number)] = header.pid
        return found

    def _failed(self, slot: int, problem: str) -> None:
        """Count that a slot could not be read, once a second at most."""
        now = time.monotonic()
        if now - self._told.get(slot, -1.0) >= 1.0:
            if slot not in self._told and not sys.is_finalizing():  # then finalisers have closed what others still use
                _log.warning("slot %d in %s cannot be read: %s", slot, self.path, problem)
            self._told[slot] = now
            if self.arena is not None:
                self.arena.add(ERRORS)


def _is_of_the_system(error: Exception) -> bool:
    """Tell what a system call has raised from, say, the ``TimeoutError`` of a signal's handler."""
    return isinstance(error, OSError) and error.errno is not None


_WORKERS: WeakList[Worker] = WeakList()


def _after_fork() -> None:
    for group in _WORKERS.all():
        group.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
