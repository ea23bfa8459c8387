"""The arena that this process owns: places for series, and the log that tells the other workers of them.

*Rules.* One caller at a time (`asyncmetrics.storage._member` sees to that). Only the owner maps the file or writes to
it. What is mapped was allocated before, so that storing a number cannot fail. A series' cells are written before the
record that tells of them, and the record before the word of the header that publishes it.

*Theory of operation.* The file of cells grows by regions, each mapped by itself: places that were given out stay where
they are. Whoever adopts a slot goes on with its log and its numbers; only what tells the state of the dead owner, its
gauges, infos and state sets, is unset. What was removed keeps its record and its cells until there is more of that than
of the rest: then the log is written anew, without it, as the next generation, and one word changes which one counts.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, cast, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.storage._directory import Directory, allocate, close_file
from asyncmetrics.storage._layout import (
    CANARY,
    CELLS,
    CHANGES,
    DROPPED,
    EPOCH,
    EXTENT,
    FACTS,
    FAMILY,
    FIRST_CELL,
    HEADER_BYTES,
    IDLE,
    KEYS,
    MAGIC,
    PID,
    RETIRED,
    SERIES,
    START,
    Definition,
    Doubles,
    Header,
    generation_of,
    key_position,
    length_of,
    pack_key,
    pack_record,
)
from asyncmetrics.storage._reading import SlotReader
from asyncmetrics.storage._slots import cells_name, keys_name, take_slot
from asyncmetrics.storage._supervisors import start_of

__all__ = ("Arena", "Family", "Place")

_FIRST_BYTES = 1 << 16
_MOST_BYTES = 1 << 23  # of one growth
_MOST_SERIES = 4096  # of one extent
_STATES = frozenset({"gauge", "info", "stateset"})
_FEW = 64  # removed series that are not worth a new log


class Place(NamedTuple):
    """Where a series' cells are: ``cells[at]`` is the first."""

    cells: Doubles
    at: int


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

    def log(self) -> Iterator[bytes]:
        """Yield the records that tell of everything that is there."""
        yield pack_record(FAMILY, self.number, 0, self.definition.pack())
        for extent in self.extents:
            yield pack_record(EXTENT, self.number, extent.first, extent.room.to_bytes(8, "little"))
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
        self.families: dict[tuple[str, str, int], Family] = {}
        self._regions: list[tuple[int, int, Doubles]] = []
        self._spare: list[tuple[int, int]] = []
        self._next_family = 0
        self._waste = 0
        self._idle = int(idle)
        self.number, self._lock, self.passed_over = take_slot(directory)
        try:
            self._cells_file = directory.open(cells_name(self.number), os.O_RDWR)
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        size = os.fstat(self._cells_file).st_size
        found = Header.unpack(os.pread(self._cells_file, HEADER_BYTES, 0))
        if found is None or size < _FIRST_BYTES:
            allocate(self._cells_file, 0, _FIRST_BYTES)
            size = _FIRST_BYTES
        self._map(0, size - size % mmap.ALLOCATIONGRANULARITY)
        if found is None:
            self._make()
        self._own()
        if found is not None:
            self._adopt()
        self._header[EPOCH] += 1

    def _make(self) -> None:
        self._directory.unlink(keys_name(self.number, 0))
        close_file(self._directory.open(keys_name(self.number, 0), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        created = int(time.time())
        header = Header(MAGIC, 0, 0, 0, FIRST_CELL, 0, CANARY, created, 0, 0, 0, 0)
        for index, word in enumerate(header):
            if index:
                self._header[index] = word
        self._header[0] = MAGIC  # last: now there is an arena

    def _own(self) -> None:
        self._header[EPOCH] = (self._header[EPOCH] | 1) + (self._header[EPOCH] & 1) * 2
        self._header[START] = 0
        self._header[IDLE] = self._idle
        self._header[PID] = os.getpid()
        self._header[START] = start_of(os.getpid())
        generation = generation_of(self._header[KEYS])
        self._keys_file = self._directory.open(keys_name(self.number, generation), os.O_RDWR)
        for other in (generation - 1, generation + 1):  # of an owner that was killed while it wrote the log anew
            self._directory.unlink(keys_name(self.number, other))

    def _adopt(self) -> None:
        reader = SlotReader(self._directory, self.number)
        try:
            for _ in reader.sync():
                pass
            if reader.problem:  # what cannot be read of the log is cut off, and with it what it told of
                self.count_dropped()
            self._header[KEYS] = key_position(reader.generation, reader.parsed)
            for family in reader.families.values():
                self._take_over(family.number, family.definition, family.extents, dict(family.index()), family.facts)
        finally:
            reader.close()
        self._find_spare_cells()

    def _take_over(
        self,
        number: int,
        definition: Definition,
        extents: list[tuple[int, int]],
        index: dict[tuple[str, ...], int],
        facts: dict[tuple[str, ...], bytes],
    ) -> None:
        family = Family(number, definition)
        for first, count in extents:
            family.extents.append(_Extent(family.room, count, first, self._locate(first)))
        family.index = index
        family.facts = dict(facts)
        family.used = max(index.values(), default=-1) + 1
        family.free = sorted(set(range(family.used)) - set(index.values()))
        self._next_family = max(self._next_family, number + 1)
        self.families[definition.place] = family
        unset = definition.descriptor.kind in _STATES
        for key, series in list(index.items()):
            cells, at = family.place(series)
            if unset:
                cells[at + definition.presence] = 0.0
            if not cells[at + definition.presence]:
                family.removed[key] = family.index.pop(key)
        if family.removed:
            self._header[CHANGES] = (self._header[CHANGES] | 1) + 1

    def _find_spare_cells(self) -> None:
        taken = sorted(
            (extent.first, extent.first + extent.room * family.definition.stride)
            for family in self.families.values()
            for extent in family.extents
        )
        position = FIRST_CELL
        for first, end in [*taken, (self._header[CELLS], 0)]:
            if first > position:
                self._spare.append((position, first - position))
            position = max(position, end)

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the file of cells as they are mapped: of one moment for all threads."""
        start, _, view = self._region_of(offset // 8)
        first = offset // 8 - start
        return cast("memoryview", view)[first : first + length // 8].tobytes()

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
        if family.free:
            family.free.pop()
        else:
            family.used += 1
        family.index[key] = number

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
        family.removed[key] = number
        del family.index[key]
        self._tidy()

    def _extend(self, family: Family) -> None:
        wanted = min(max(1, family.room), _MOST_SERIES)
        if family.definition.descriptor.all_labelnames and not family.extents:
            wanted = 4
        first = self._allocate(wanted * family.definition.stride)
        self._append(pack_record(EXTENT, family.number, first, wanted.to_bytes(8, "little")))
        family.extents.append(_Extent(family.room, wanted, first, self._locate(first)))

    def _allocate(self, cells: int) -> int:
        for index, (first, count) in enumerate(self._spare):
            if count >= cells and self._region_of(first) is self._region_of(first + cells - 1):
                self._spare[index] = (first + cells, count - cells)
                return first
        start, end, _ = self._regions[-1]
        first = max(self._header[CELLS], start)
        if first + cells > end:
            start, end = self._grow(cells * 8)
            first = start
        self._header[CELLS] = first + cells
        return first

    def _grow(self, least: int) -> tuple[int, int]:
        size = self._regions[-1][1] * 8
        length = max(min(size, _MOST_BYTES), least + -least % _FIRST_BYTES)
        allocate(self._cells_file, size, length)
        return self._map(size, length)

    def _map(self, start: int, length: int) -> tuple[int, int]:
        mapped = memoryview(mmap.mmap(self._cells_file, length, offset=start))
        if not start:
            self._header = mapped[:HEADER_BYTES].cast("Q")
        view = cast("Doubles", mapped.cast("d"))
        self._regions.append((start // 8, (start + length) // 8, view))
        return start // 8, (start + length) // 8

    def _region_of(self, cell: int) -> tuple[int, int, Doubles]:
        return next(region for region in self._regions if cell < region[1])

    def _locate(self, first: int) -> Place:
        start, _, view = self._region_of(first)
        return Place(view, first - start)

    def _append(self, record: bytes) -> None:
        keys = self._header[KEYS]
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
        self._header[KEYS] = key_position(generation, len(log))
        self._directory.unlink(keys_name(self.number, generation - 1))
        os.close(self._keys_file)
        self._keys_file = descriptor
        self._waste = 0
        for family in self.families.values():
            family.free += family.removed.values()
            family.facts = {key: facts for key, facts in family.facts.items() if key in family.index}
            family.removed.clear()

    def close(self) -> None:
        """Let go of the slot: the next worker may adopt it. What is mapped stays mapped."""
        self._cells_file = close_file(self._cells_file)
        self._keys_file = close_file(self._keys_file)
        self._lock = close_file(self._lock)

    def __del__(self) -> None:
        self.close()
