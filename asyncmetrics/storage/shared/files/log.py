"""What a slot's log of keys says: its families, their series, and where the cells of the series are.

*Rules.* Everything that grows with the number of series is in pages (`asyncmetrics.storage.shared.pages`), and each step
reads a bounded part of it. A family that its log no longer has is emptied by way of `SlotFamily.lists`: a reading that
still works with it finds no more series, and begins again.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any, TypeAlias, final

from asyncmetrics.storage.shared.files.directory import close_file
from asyncmetrics.storage.shared.files.layout import FIRST_CELL, CorruptError, Definition
from asyncmetrics.storage.shared.files.records import (
    EXTENT,
    FACTS,
    FAMILY,
    RETIRED,
    SERIES,
    records,
    split_key,
    unpack_extent,
    unpack_key,
)
from asyncmetrics.storage.shared.pages import MASK, PAGE, SHIFT, Pages, Spent

__all__ = ("Cells", "Joined", "Key", "Log", "SlotFamily", "facts_in")

Key: TypeAlias = tuple[str, ...]
Joined: TypeAlias = str
"""The label values of a series as one text: one object, which the garbage collector has nothing to do with."""

Cells: TypeAlias = "list[array[float]]"
"""The cells of a family's series in pages, each of `PAGE` series but the last."""

_PIECE = 1 << 14  # bytes of a log that are read at once: half a millisecond's worth of parsing
_FETCHED = 1 << 18  # bytes of cells that are read at once: 0.1 ms
_ABSENT = bytes(8)  # a zero
_NO_FACTS: Mapping[str, str] = {}


@final
class SlotFamily:
    """What one slot's log says of a family: its series in order, their numbers, and where the cells are."""

    def __init__(self, number: int, definition: Definition) -> None:
        self.number = number
        self.definition = definition
        self.extents: list[tuple[int, int]] = []
        self.keys: Pages[Joined] = Pages()
        self.facts: dict[int, dict[int, bytes]] = {}  # by the page that a series is in, and its number
        self.cells: Cells = []  # of the last reading that was good
        self.room = 0  # one more than the largest number
        self._numbers: Pages[int] | None = None  # once series no longer come in the order of their numbers
        self._seen: dict[int, bytearray] = {}  # with ``_numbers``: by page, which numbers there are
        self._found: dict[Key, int] = {}  # as far as `numbers_of` was asked for any
        self._held = 0  # series that the extents have cells for
        self._labels = len(definition.descriptor.all_labelnames)

    def numbers(self, piece: slice) -> Sequence[int]:
        """Return the numbers of a slice of the series that lies within one page."""
        return range(piece.start, piece.stop) if self._numbers is None else self._numbers.part(piece)

    def index(self) -> Iterator[tuple[Key, int]]:
        """Yield the series and their numbers."""
        numbers = range(len(self.keys)) if self._numbers is None else self._numbers
        return zip((split_key(key, self._labels) for key in self.keys), numbers, strict=True)

    def numbers_of(self, keys: Iterable[Key] | None) -> list[int]:
        """Return the numbers of these series as far as they are there; None stands for all."""
        if keys is None:
            return [number for _, number in self.index()]
        if len(self._found) < len(self.keys):
            self._found = dict(self.index())
        return [self._found[key] for key in keys if key in self._found]

    def cell(self, number: int) -> int:
        """Return the first cell of a series."""
        for first, room in self.extents:
            if number < room:
                return first + number * self.definition.stride
            number -= room
        raise CorruptError("a series without cells")

    def take(self, kind: int, number: int, payload: bytes) -> None:
        """Follow a record of this family. Raises `CorruptError`."""
        if kind == SERIES:
            self._take_series(number, unpack_key(payload, self._labels))
        elif kind == EXTENT:
            self._take_extent(number, *unpack_extent(payload))
        elif kind == FACTS:
            self.facts.setdefault(number >> SHIFT, {})[number] = payload

    def _take_extent(self, first: int, room: int, number: int) -> None:
        while self.extents and self._held > number:  # told of twice: its owner was interrupted
            self._held -= self.extents.pop()[1]
        if self._held != number:
            raise CorruptError("an extent that does not follow the others")
        self.extents.append((first, room))
        self._held += room

    def check(self, end: int) -> None:
        """Raise `CorruptError` unless all series have cells, and all cells are before ``end``."""
        stride = self.definition.stride
        outside = any(first < FIRST_CELL or first + room * stride > end for first, room in self.extents)
        if outside or self.room > self._held:
            raise CorruptError("series without cells")

    def _take_series(self, number: int, key: Joined) -> None:
        if number != self.room and self._numbers is None:
            self._leave_order()
        if self._numbers is not None:
            seen = self._seen.setdefault(number >> SHIFT, bytearray(PAGE))
            if seen[number & MASK]:  # told of twice: its owner was interrupted
                return
            seen[number & MASK] = 1
            self._numbers.append(number)
        self.keys.append(key)
        if number >= self.room:
            self.room = number + 1

    def _leave_order(self) -> None:
        full, rest = divmod(self.room, PAGE)
        self._numbers = numbers = Pages(PAGE, lambda: array("Q"))
        numbers.pages.extend(range(page * PAGE, (page + 1) * PAGE) for page in range(full))
        for number in range(full * PAGE, self.room):
            numbers.append(number)
        self._seen = {page: bytearray(b"\1" * PAGE) for page in range(full)}
        self._seen[full] = bytearray(b"\1" * rest + bytes(PAGE - rest))

    def fetch(self, read: Callable[[int, int], bytes], room: int) -> Generator[tuple[()], None, Cells]:
        """Return the cells of the first ``room`` series, of which a part is read at each step.

        ``read`` takes an offset and a length in bytes. Raises `CorruptError` if the file is too short.
        """
        stride = self.definition.stride
        most = max(1, _FETCHED // (8 * stride))  # whole series: the cells of one are of one moment
        cells: Cells = []
        step = 0
        for first, held in self.extents:
            stop = min(held, room)
            room -= stop
            taken = 0
            while taken < stop:
                if not cells or len(cells[-1]) == PAGE * stride:
                    cells.append(array("d"))
                count = min(stop - taken, most, PAGE - len(cells[-1]) // stride)
                found = read(8 * (first + taken * stride), 8 * count * stride)
                if len(found) != 8 * count * stride:
                    raise CorruptError("the file of cells is cut off")
                cells[-1].frombytes(found)
                taken += count
                step += len(found)
                if step >= _FETCHED:
                    yield ()
                    step = 0
        if room:
            raise CorruptError("series without cells")
        return cells

    def known(self, room: int) -> Cells:
        """Return the cells of the first ``room`` series as the last good reading had them, zeros for those it lacks."""
        width = self.definition.stride * PAGE
        cells = self.cells[:]
        if cells and len(cells[-1]) < width:
            cells[-1] = cells[-1] + array("d", bytes(8 * (width - len(cells[-1]))))
        return [*cells, *repeat(array("d", bytes(8 * width)), -(-room // PAGE) - len(cells))]

    def has_gaps(self, cells: Cells) -> Generator[tuple[()], None, bool]:
        """Return whether any series is not there, by its cells; some pages are looked at in each step."""
        presence, stride = self.definition.presence, self.definition.stride
        for index, page in enumerate(cells, 1):
            found = page[presence::stride].tobytes()
            at = found.find(_ABSENT)
            while at >= 0 and at % 8:  # the end of one number and the beginning of the next
                at = found.find(_ABSENT, at + 1)
            if at >= 0:
                return True
            if not index % 16:
                yield ()
        return False

    def lists(self) -> list[list[Any]]:
        """Return the lists of pages of a family that is of no more use; it is empty once they are.

        A `Spent` empties the last list first. That is the keys, so that a reading under way finds no series before it
        finds no number for one.
        """
        numbers = [] if self._numbers is None else self._numbers.pages
        facts, self.facts = self.facts, {}
        return [numbers, self.cells, list(self._seen.values()), list(facts.values()), [self._found], self.keys.pages]


def facts_in(pages: Mapping[int, Mapping[int, bytes]], number: int) -> Mapping[str, str]:
    """Return the facts of an info; none if they are not what was written."""
    with suppress(ValueError):
        facts = json.loads(pages.get(number >> SHIFT, {}).get(number, b"{}"))
        if isinstance(facts, dict):
            return facts
    return _NO_FACTS


@final
class Log:
    """One generation of a slot's log, as far as it has been followed; families that it retires go to ``spent``."""

    def __init__(self, generation: int, descriptor: int, spent: Spent) -> None:
        self.generation = generation
        self.parsed = 0
        self.families: dict[int, SlotFamily] = {}
        self.named: dict[tuple[str, str], list[SlotFamily]] = {}
        self._file = descriptor
        self._spent = spent

    def follow(self, end: int) -> Iterator[None]:
        """Follow the log to ``end``, a slice at each step. Raises OSError and `CorruptError`."""
        while self.parsed < end:
            want = _PIECE
            before = self.parsed
            while self.parsed == before:  # a record may be longer than a piece
                data = os.pread(self._file, min(want, end - before), before)
                for kind, family, number, payload, end_of_record in records(data):
                    self._take(kind, family, number, payload)
                    self.parsed = before + end_of_record
                if self.parsed == before and len(data) < want:
                    raise CorruptError("the log of keys is cut off")
                want *= 4
            yield

    def _take(self, kind: int, family: int, number: int, payload: bytes) -> None:
        if kind in {FAMILY, RETIRED}:
            before = self.families.pop(family, None)
            if before is not None:
                self.named[before.definition.name].remove(before)
                self._spent.add(before.lists())
        if kind == FAMILY:
            self.families[family] = found = SlotFamily(family, Definition.unpack(payload))
            self.named.setdefault(found.definition.name, []).append(found)
        elif (known := self.families.get(family)) is not None:
            known.take(kind, number, payload)

    def retire(self) -> None:
        """Give up what is known: another log has taken the place of this one."""
        for family in self.families.values():
            self._spent.add(family.lists())
        self.families, self.named = {}, {}

    def close(self) -> None:
        """Close its file."""
        self._file = close_file(self._file)

    def __del__(self) -> None:
        self.close()
