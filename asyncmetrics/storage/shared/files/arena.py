"""The arena that this process owns: places for series, and the log that tells the other workers of them.

*Rules.* One caller at a time (`asyncmetrics.storage.shared.worker` sees to that). Only the owner maps the file or writes to
it. A series' cells are written before the record that tells of them, and the record before the word of the header that
publishes it. An exception of a signal's handler may end anything here, which is then done once more: what belongs
together is stored with no call in between.

*Theory of operation.* Whoever adopts a slot goes on with its log and its numbers; only what tells the state of the dead
owner, its gauges, infos and state sets, is unset. What was removed keeps its record and its cells until there is more
of that than of the rest: then the log is written anew, without it, as the next generation, and one word changes which
one counts. A slot whose files do not agree is left as it is, for its readers and for whoever looks into it.
"""

from __future__ import annotations

import errno
import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.storage.shared.files.cells import CellsFile, Place
from asyncmetrics.storage.shared.files.directory import Directory, close_file
from asyncmetrics.storage.shared.files.layout import (
    CANARY,
    CHANGES,
    DROPPED,
    EPOCH,
    FIRST_CELL,
    HEADER_BYTES,
    IDLE,
    KEYS,
    MAGIC,
    PID,
    START,
    CorruptError,
    Definition,
    Header,
    generation_of,
    key_position,
    length_of,
)
from asyncmetrics.storage.shared.files.log import SlotFamily
from asyncmetrics.storage.shared.files.processes import read_start_time
from asyncmetrics.storage.shared.files.records import (
    EXTENT,
    FACTS,
    FAMILY,
    LONGEST,
    RETIRED,
    SERIES,
    pack_extent,
    pack_key,
    pack_record,
)
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from asyncmetrics.storage.shared.files.slots import cells_name, keys_name, take_slot

__all__ = ("Arena", "Family")

_MOST_SERIES = 4096  # of one extent
_FEW = 64  # removed series that are not worth a new log


class _Extent(NamedTuple):
    number: int
    room: int
    first: int
    place: Place


@final
class Family:
    """A family's part of the arena: what series it has, by their label values, and where they are."""

    def __init__(self, number: int, definition: Definition) -> None:
        self.number = number
        self.definition = definition
        self.stride = definition.stride
        self.extents: list[_Extent] = []
        self.index: dict[tuple[str, ...], int] = {}
        self.removed: dict[tuple[str, ...], int] = {}
        self.facts: dict[tuple[str, ...], bytes] = {}
        self.free: list[int] = []
        self.used = 0
        self.generation = -1  # of the log that has the records of what was removed

    @property
    def room(self) -> int:
        """How many series the extents hold."""
        return self.extents[-1].number + self.extents[-1].room if self.extents else 0

    def place(self, number: int) -> Place:
        """Return where series ``number`` is."""
        extent = self.extents[-1]
        if number < extent.number:
            extent = self.extents[bisect_right(self.extents, number, key=lambda extent: extent.number) - 1]
        cells, index = extent.place
        return Place(cells, index + (number - extent.number) * self.stride)

    def follow(self, generation: int) -> None:
        """Free what was removed before the log was written anew."""
        if self.generation != generation:
            free = [*self.free, *self.removed.values()]
            self.free, self.removed, self.generation = free, {}, generation

    def log(self) -> Iterator[bytes]:
        """Yield the records that tell of everything that is there."""
        yield pack_record(FAMILY, self.number, 0, self.definition.pack())
        for extent in self.extents:
            yield pack_record(EXTENT, self.number, extent.first, pack_extent(extent.room, extent.number))
        for key, number in self.index.items():
            yield pack_record(SERIES, self.number, number, pack_key(key))
        for key, facts in self.facts.items():
            if key in self.index:
                yield pack_record(FACTS, self.number, self.index[key], facts)


@final
class Arena:
    """This process's arena in a directory. Raises OSError where no slot can be had, or no room for one.

    The lock is held through a descriptor of its own: a mapping duplicates the one that it is made from, and whoever
    inherits the mapping over a fork would hold the lock as well. ``idle`` says that this process serves nothing.
    """

    def __init__(self, directory: Directory, *, idle: bool = False) -> None:
        self._directory = directory
        self._cells_file = self._keys_file = self._lock = -1
        self._idle = int(idle)
        try:
            self.number, self._lock, self.passed_over = take_slot(directory, self._begin)
        except BaseException:
            self.close()
            raise

    def _begin(self, number: int) -> None:
        """Take a slot over that is locked. Raises `CorruptError`, and then nothing of it has changed."""
        self.close()
        self.families: dict[tuple[str, str, int], Family] = {}
        self._next_family = self._waste = 0
        self._cells_file = self._directory.open(cells_name(number), os.O_RDWR)
        found = Header.unpack(os.pread(self._cells_file, HEADER_BYTES, 0))
        self._cells = CellsFile(self._cells_file, found.cells if found else 0)
        self._header = self._cells.header
        self.number = number
        if found is None:
            self._make()
        reader = SlotReader(self._directory, number)
        try:
            self._adopt(reader)
        finally:
            reader.close()

    def _make(self) -> None:
        self._directory.unlink(keys_name(self.number, 0))
        close_file(self._directory.open(keys_name(self.number, 0), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        created = int(time.time())
        header = Header(MAGIC, 0, 0, 0, FIRST_CELL, 0, CANARY, created, 0, 0, 0, 0)
        for index, word in enumerate(header):
            if index:
                self._header[index] = word
        self._header[0] = MAGIC  # last: now there is an arena

    def _adopt(self, reader: SlotReader) -> None:
        for _ in reader.sync():
            pass
        header, log = reader.header, reader.log
        if header is None:
            raise CorruptError(reader.problem)
        for family in log.families.values():
            family.check(header.cells)
        self._keys_file = self._directory.open(keys_name(self.number, log.generation), os.O_RDWR)
        self._own()
        for family in log.families.values():
            self._take_over(family)
        extents = [(extent, family) for family in self.families.values() for extent in family.extents]
        self._cells.reuse((extent.first, extent.first + extent.room * family.stride) for extent, family in extents)
        self._header[KEYS] = key_position(log.generation, log.parsed)
        if reader.problem:  # what cannot be read of the log is cut off, and with it what it told of
            self.count_dropped()
            with suppress(OSError):
                self.rewrite_log()
        self._header[EPOCH] += 1

    def _own(self) -> None:
        self._header[EPOCH] = (self._header[EPOCH] | 1) + (self._header[EPOCH] & 1) * 2
        self._header[START] = 0
        self._header[IDLE] = self._idle
        self._header[PID] = os.getpid()
        self._header[START] = read_start_time(os.getpid())
        generation = generation_of(self._header[KEYS])
        for other in (generation - 1, generation + 1):  # of an owner that was killed while it wrote the log anew
            self._directory.unlink(keys_name(self.number, other))

    def _take_over(self, found: SlotFamily) -> None:
        definition = found.definition
        family = Family(found.number, definition)
        for first, count in found.extents:
            family.extents.append(_Extent(family.room, count, first, self._cells.place(first)))
        family.index = dict(found.index())
        facts = {number: told for page in found.facts.values() for number, told in page.items()}
        family.facts = {key: facts[number] for key, number in family.index.items() if number in facts}
        family.used = found.room
        family.free = sorted(set(range(family.used)) - set(family.index.values()))
        family.generation = generation_of(self._header[KEYS])
        self._next_family = max(self._next_family, found.number + 1)
        self.families[definition.place] = family
        unset = KINDS[definition.descriptor.kind].is_state
        for key, series in list(family.index.items()):
            cells, at = family.place(series)
            if unset:
                cells[at + definition.presence] = 0.0
            if not cells[at + definition.presence]:
                family.removed[key] = family.index.pop(key)
        if family.removed:
            self._header[CHANGES] = (self._header[CHANGES] | 1) + 1

    def is_in_place(self) -> bool:
        """Tell whether its files still are where others look for them."""
        log = keys_name(self.number, generation_of(self._header[KEYS]))
        return self._directory.is_at(cells_name(self.number), self._cells_file) and self._directory.is_at(
            log, self._keys_file
        )

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the file of cells as they are mapped: of one moment for all threads."""
        return self._cells.peek(offset, length)

    def add(self, index: int, amount: int = 1) -> None:
        """Add to a word of the header that counts."""
        self._header[index] += amount

    def count_dropped(self, amount: int = 1) -> None:
        """Count series that there was no room for, or that could not be kept."""
        self.add(DROPPED, amount)

    def open_family(self, space: str, copy: int, ages: bool, descriptor: Descriptor) -> Family:
        """Return the part of a family, beginning one; a part of another definition is retired. Raises OSError."""
        before = self.families.get((space, descriptor.name, copy))
        if before is not None:
            known = before.definition
            if known.ages == ages and (known.descriptor is descriptor or known.descriptor == descriptor):
                return before
            self._retire(before)
        definition = Definition(space, copy, ages, descriptor, time.time())
        family = Family(self._next_family, definition)
        family.generation = generation_of(self._header[KEYS])
        self._append(pack_record(FAMILY, family.number, 0, definition.pack()))
        self._next_family += 1
        self.families[definition.place] = family
        return family

    def _retire(self, family: Family) -> None:
        self._append(pack_record(RETIRED, family.number, 0))
        del self.families[family.definition.place]
        self.count_dropped(len(family.index))

    def reserve(self, family: Family, key: tuple[str, ...]) -> tuple[int, Place]:
        """Return the number and the cells of a series: as they are if it is there, zeros if not. Raises OSError."""
        number = family.index.get(key, -1)
        if number >= 0:
            return number, family.place(number)
        family.follow(generation_of(self._header[KEYS]))
        number = family.removed.get(key, -1)
        if number < 0:
            if not family.free and family.used >= family.room:
                self._extend(family)
            number = family.free[-1] if family.free else family.used
        cells, index = family.place(number)
        for cell in range(index, index + family.stride):
            cells[cell] = 0.0
        return number, Place(cells, index)

    def publish(self, family: Family, key: tuple[str, ...], number: int) -> None:
        """Tell of a reserved series whose cells are written. Raises OSError, and then it is not told of."""
        if key in family.index:
            return
        if key in family.removed:
            family.index[key] = family.removed.pop(key)
            self._header[CHANGES] += 2
            return
        self._append(pack_record(SERIES, family.number, number, pack_key(key)))
        family.index[key] = number
        if family.free:
            family.free.pop()
        else:
            family.used += 1

    def tell_facts(self, family: Family, key: tuple[str, ...], facts: bytes) -> None:
        """Tell the facts of an info that is published. Raises OSError."""
        if family.facts.get(key) != facts:
            self._waste += key in family.facts
            self._append(pack_record(FACTS, family.number, family.index[key], facts))
            family.facts[key] = facts
            if self._waste > _FEW:
                self._tidy()

    def remove(self, family: Family, key: tuple[str, ...]) -> None:
        """Take a series out; one that is not there is no error."""
        number = family.index.get(key)
        if number is None:
            return
        self._header[CHANGES] |= 1
        cells, index = family.place(number)
        cells[index + family.definition.presence] = 0.0
        for cell in range(index, index + family.stride):
            cells[cell] = 0.0
        self._header[CHANGES] += 1
        family.follow(generation_of(self._header[KEYS]))
        family.removed[key] = number
        del family.index[key]
        self._tidy()

    def _extend(self, family: Family) -> None:
        wanted = min(max(1, family.room), _MOST_SERIES)
        if family.definition.descriptor.all_labelnames and not family.extents:
            wanted = 4
        first = self._cells.allocate(wanted * family.stride)
        extent = _Extent(family.room, wanted, first, self._cells.place(first))
        self._append(pack_record(EXTENT, family.number, first, pack_extent(wanted, extent.number)))
        family.extents.append(extent)

    def _append(self, record: bytes) -> None:
        keys = self._header[KEYS]
        if len(record) > LONGEST:
            raise OSError(errno.EMSGSIZE, f"label values or facts of {len(record)} bytes")
        if os.pwrite(self._keys_file, record, length_of(keys)) != len(record):
            raise OSError(errno.ENOSPC, "no room for the log of keys")
        self._header[KEYS] = keys + len(record)

    def _tidy(self) -> None:
        self._waste += 1
        if self._waste > max(_FEW, sum(len(family.index) for family in self.families.values())):
            with suppress(OSError):  # no room for two logs: the old one still is a good one
                self.rewrite_log()

    def rewrite_log(self) -> None:
        """Write the log of keys anew, without what was removed. Raises OSError, and then nothing has changed."""
        generation = generation_of(self._header[KEYS]) + 1
        name = keys_name(self.number, generation)
        self._directory.unlink(name)
        descriptor = self._directory.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        log = b"".join(record for family in self.families.values() for record in family.log())
        try:
            if os.pwrite(descriptor, log, 0) != len(log):
                raise OSError(errno.ENOSPC, "no room for the log of keys")
        except OSError:
            os.close(descriptor)
            self._directory.unlink(name)
            raise
        position, before = key_position(generation, len(log)), self._keys_file
        self._keys_file, self._waste, self._header[KEYS] = descriptor, 0, position  # with nothing in between
        self._directory.unlink(keys_name(self.number, generation - 1))
        os.close(before)
        for family in self.families.values():
            family.follow(generation)
            family.facts = {key: facts for key, facts in family.facts.items() if key in family.index}

    def close(self) -> None:
        """Let go of the slot: the next worker may adopt it. What is mapped stays mapped."""
        self._cells_file = close_file(self._cells_file)
        self._keys_file = close_file(self._keys_file)
        self._lock = close_file(self._lock)

    def __del__(self) -> None:
        self.close()
