"""One family in one slot: what the slot's log declares of it, and how its cells are read.

*Rules.*

* Keep everything that grows with the number of series in pages (`asyncmetrics.storage.shared.pages`).
* Process a bounded number of series in each step: a scrape of a million series must not hold an event loop.

*Theory of operation.* The states of a family, in both of which the order of its series is that of their records:

1. *In order*: the number of each series is its position, and only the label values are kept. A family starts here, and
   most stay, because a worker numbers its series in the order in which it makes them.
2. *Out of order*: the numbers are kept as well. `SlotFamily.apply_record` leads from 1 to 2 when the number of a series
   is not the next one, as after a rewrite of the log without removed series.
3. *Discarded*: the log has retired the family, or another log has replaced this one. `SlotFamily.discard` passes the
   pages to an `UnusedPages`, which empties them step by step. A scrape that still uses the family finds no more
   series, and makes another attempt.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TypeAlias, final

from asyncmetrics.interruptions import ignoring
from asyncmetrics.storage.shared.files.definition import Definition
from asyncmetrics.storage.shared.files.keys import JoinedKey, Key, split_key, unpack_key
from asyncmetrics.storage.shared.files.layout import FIRST_CELL, CorruptError
from asyncmetrics.storage.shared.files.records import EXTENT, FACTS, SERIES, unpack_extent
from asyncmetrics.storage.shared.pages import PAGE, SHIFT, Pages, UnusedPages

__all__ = ("CellPages", "SlotFamily", "unpack_facts")

CellPages: TypeAlias = "list[array[float]]"
"""The cells of a family's series in pages. Each page has the cells of `PAGE` series, the last one those of fewer."""

_STEP_BYTES = 1 << 16  # bytes of cells that one step reads: 0.03 ms
_STEP_PAGES = 16  # pages that one step examines: the presence of 65,536 series
_ABSENT = bytes(8)  # a presence of 0
_NO_FACTS: Mapping[str, str] = {}


@final
class SlotFamily:
    """One family as one slot's log declares it: its series in their order, their numbers, and where their cells are.

    ``declared`` is the number of its last declaration, and ``shape`` the `Descriptor.shape` of its definition.
    ``parts`` has the parts that the log declares of it, by their names.
    """

    def __init__(self, number: int, definition: Definition, declared: int) -> None:
        self.number = number
        self.definition = definition
        self.declared = declared
        self.shape = definition.descriptor.shape
        self.parts: dict[str, SlotFamily] = {}
        self.extents: list[tuple[int, int]] = []
        self.keys: Pages[JoinedKey] = Pages()
        self.facts: dict[int, dict[int, bytes]] = {}  # by the page of the series, and its number
        self.cells: CellPages = []  # of the last scrape that could read them
        self.room = 0  # one more than the largest number
        self._numbers: Pages[int] | None = None  # state 2
        self._numbers_by_key: dict[Key, int] = {}  # filled when `find_numbers` needs it
        self._extent_room = 0  # how many series the extents have cells for
        self._labels = definition.key_length

    def get_numbers(self, piece: slice) -> Sequence[int]:
        """Return the numbers of a slice of the series that lies within one page."""
        return range(piece.start, piece.stop) if self._numbers is None else self._numbers.get_slice(piece)

    def iter_series(self) -> Iterator[tuple[Key, int]]:
        """Yield each series' label values and its number."""
        numbers = range(len(self.keys)) if self._numbers is None else self._numbers
        return zip((split_key(key, self._labels) for key in self.keys), numbers, strict=True)

    def find_numbers(self, keys: Iterable[Key] | None) -> list[int]:
        """Return the numbers of those of ``keys`` that the family has; None stands for all its series."""
        if keys is None:
            return [number for _, number in self.iter_series()]
        if len(self._numbers_by_key) < len(self.keys):
            self._numbers_by_key = dict(self.iter_series())
        return [self._numbers_by_key[key] for key in keys if key in self._numbers_by_key]

    def locate_cell(self, number: int) -> int:
        """Return the position of a series' first cell in the file. Raises `CorruptError` if the series has no cells."""
        for first, room in self.extents:
            if number < room:
                return first + number * self.definition.stride
            number -= room
        raise CorruptError("a series without cells")

    def find_neighbours(self, number: int, most: int) -> tuple[int, int]:
        """Return the first and the end of at most ``most`` numbers around a series, whose cells follow one another.

        Raises `CorruptError` if the series has no cells.
        """
        start = 0
        for _, room in self.extents:
            if number < start + room:
                first = number - (number - start) % most
                return first, min(first + most, start + room)
            start += room
        raise CorruptError("a series without cells")

    def apply_record(self, kind: int, number: int, payload: bytes) -> None:
        """Learn from a record of this family. Raises `CorruptError`."""
        if kind == SERIES:
            self._apply_series(number, unpack_key(payload, self._labels))
        elif kind == EXTENT:
            self._apply_extent(number, *unpack_extent(payload))
        elif kind == FACTS:
            self.facts.setdefault(number >> SHIFT, {})[number] = payload

    def _apply_extent(self, first: int, room: int, number: int) -> None:
        if self._extent_room != number:
            raise CorruptError("an extent does not follow the one before it")
        self.extents.append((first, room))
        self._extent_room += room

    def check(self, end: int) -> None:
        """Raise `CorruptError` unless all series have cells, and all cells are before ``end``."""
        stride = self.definition.stride
        outside = any(first < FIRST_CELL or first + room * stride > end for first, room in self.extents)
        if outside or self.room > self._extent_room:
            raise CorruptError("series without cells")

    def _apply_series(self, number: int, key: JoinedKey) -> None:
        if number != self.room and self._numbers is None:
            self._store_numbers()
        if self._numbers is not None:
            self._numbers.append(number)
        self.keys.append(key)
        if number >= self.room:
            self.room = number + 1

    def _store_numbers(self) -> None:
        """Go from state 1 to state 2; a full page of numbers is a range, which takes little memory."""
        full = self.room // PAGE
        self._numbers = numbers = Pages(PAGE, lambda: array("Q"))
        numbers.pages.extend(range(page * PAGE, (page + 1) * PAGE) for page in range(full))
        for number in range(full * PAGE, self.room):
            numbers.append(number)

    def read_cells(self, read: Callable[[int, int], bytes], room: int) -> Generator[tuple[()], None, CellPages]:
        """Return the cells of the first ``room`` series; read `_STEP_BYTES` of them at each step.

        ``read`` takes an offset and a length in bytes. Raises `CorruptError` if the file is too short.
        """
        stride = self.definition.stride
        most = max(1, _STEP_BYTES // (8 * stride))  # whole series, so that all cells of a series are of one moment
        cells: CellPages = []
        step = 0
        for first, held in self.extents:
            stop = min(held, room)
            room -= stop
            done = 0
            while done < stop:
                if not cells or len(cells[-1]) == PAGE * stride:
                    cells.append(array("d"))
                count = min(stop - done, most, PAGE - len(cells[-1]) // stride)
                data = read(8 * (first + done * stride), 8 * count * stride)
                if len(data) != 8 * count * stride:
                    raise CorruptError("the file of cells is cut off")
                cells[-1].frombytes(data)
                done += count
                step += len(data)
                if step >= _STEP_BYTES:
                    yield ()
                    step = 0
        if room:
            raise CorruptError("series without cells")
        return cells

    def get_last_cells(self, room: int) -> CellPages:
        """Return the cells of the first ``room`` series as they were last read, and zeros for new series."""
        width = self.definition.stride * PAGE
        cells = self.cells[:]
        if cells and len(cells[-1]) < width:
            cells[-1] = cells[-1] + array("d", bytes(8 * (width - len(cells[-1]))))
        return [*cells, *repeat(array("d", bytes(8 * width)), -(-room // PAGE) - len(cells))]

    def has_gaps(self, cells: CellPages) -> Generator[tuple[()], None, bool]:
        """Return whether any series does not exist, by its presence; examine `_STEP_PAGES` pages at each step."""
        presence, stride = self.definition.presence, self.definition.stride
        for index, page in enumerate(cells, 1):
            column = page[presence::stride].tobytes()
            at = column.find(_ABSENT)
            while at >= 0 and at % 8:  # zeros at the end of one number and the beginning of the next
                at = column.find(_ABSENT, at + 1)
            if at >= 0:
                return True
            if not index % _STEP_PAGES:
                yield ()
        return False

    def discard(self, unused: UnusedPages) -> None:
        """Pass all pages of a family that the log no longer has to ``unused``, which empties the last list first.

        That is the keys: a scrape that still uses the family finds no more series before it finds one without a number.
        """
        numbers = [] if self._numbers is None else self._numbers.pages
        facts, self.facts = self.facts, {}
        unused.add([numbers, self.cells, list(facts.values()), [self._numbers_by_key], self.keys.pages])


def unpack_facts(facts: Mapping[int, Mapping[int, bytes]], number: int) -> Mapping[str, str]:
    """Return the facts of an info from `SlotFamily.facts`; none if there are none, or if they are not JSON."""
    with ignoring(ValueError):
        unpacked = json.loads(facts.get(number >> SHIFT, {}).get(number, b"{}"))
        if isinstance(unpacked, dict):
            return unpacked
    return _NO_FACTS
