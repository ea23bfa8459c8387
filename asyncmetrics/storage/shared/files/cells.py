"""The file of cells that this process owns: mapped, grown, and given out by the piece.

*Rules.* What is mapped was allocated before, so that storing a number cannot fail. The file grows by regions, each
mapped by itself: places that were given out stay where they are, and a piece is never cut by the end of a region.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from typing import NamedTuple, cast, final

from asyncmetrics.storage.shared.files.directory import allocate
from asyncmetrics.storage.shared.files.layout import CELLS, FIRST_CELL, HEADER_BYTES, CorruptError, Doubles

__all__ = ("CellsFile", "Place")

_FIRST_BYTES = 1 << 16
_MOST_BYTES = 1 << 23  # of one growth


class Place(NamedTuple):
    """Where a series' cells are: ``cells[at]`` is the first."""

    cells: Doubles
    at: int


class _Region(NamedTuple):
    start: int
    end: int
    view: Doubles


@final
class CellsFile:
    """The mapped file behind an open descriptor; ``header`` has the words of its first page.

    ``used`` is how many cells there have to be, 0 for a file that is new. Raises `CorruptError` if it was cut off, and
    OSError where there is no room.
    """

    def __init__(self, descriptor: int, used: int) -> None:
        self._descriptor = descriptor
        self._regions: list[_Region] = []
        self._spare: list[tuple[int, int]] = []
        if not used:
            allocate(descriptor, 0, _FIRST_BYTES)
        size = os.fstat(descriptor).st_size
        whole = size - size % mmap.ALLOCATIONGRANULARITY
        if whole < max(8 * used, HEADER_BYTES):
            raise CorruptError("the file of cells is cut off")
        self._map(0, whole)

    def _map(self, start: int, length: int) -> _Region:
        mapped = memoryview(mmap.mmap(self._descriptor, length, offset=start))
        if not start:
            self.header = mapped[:HEADER_BYTES].cast("Q")
        region = _Region(start // 8, (start + length) // 8, cast("Doubles", mapped.cast("d")))
        self._regions.append(region)
        return region

    def _region_of(self, cell: int) -> _Region:
        return next(region for region in self._regions if cell < region.end)

    def place(self, cell: int) -> Place:
        """Return where a cell is."""
        region = self._region_of(cell)
        return Place(region.view, cell - region.start)

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the file as they are mapped: of one moment for all threads."""
        cells, at = self.place(offset // 8)
        return cast("memoryview", cells)[at : at + length // 8].tobytes()

    def reuse(self, taken: Iterable[tuple[int, int]]) -> None:
        """Give out again what is in none of these pieces (their first cells and ends)."""
        position = FIRST_CELL
        for first, end in [*sorted(taken), (self.header[CELLS], 0)]:
            if first > position:
                self._spare.append((position, first - position))
            position = max(position, end)

    def allocate(self, count: int) -> int:
        """Return the first of so many cells that nobody has. Raises OSError."""
        for index, (first, spare) in enumerate(self._spare):
            if spare >= count and self._region_of(first) is self._region_of(first + count - 1):
                self._spare[index] = (first + count, spare - count)
                return first
        region = self._regions[-1]
        first = max(self.header[CELLS], region.start)
        if first + count > region.end:
            first = self._grow(count * 8).start
        self.header[CELLS] = first + count
        return first

    def _grow(self, least: int) -> _Region:
        size = self._regions[-1].end * 8
        length = max(min(size, _MOST_BYTES), least + -least % _FIRST_BYTES)
        allocate(self._descriptor, size, length)
        return self._map(size, length)
