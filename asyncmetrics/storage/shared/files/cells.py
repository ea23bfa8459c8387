"""The file of cells that this process owns: mapped into memory, extended, and allocated in blocks.

*Rules.*

* Allocate disk space before you map it, so that storing a number cannot fail.
* Map each growth as its own region, and unmap nothing: locations that children hold stay valid.
* Keep a block within one region, because a child writes to one mapping.
* Before Python 3.13, a mapping has a descriptor of its own, which it closes when it is freed. If this process has lost
  the file, that number may be another file's: keep such a mapping for ever.
* Another program may cut the file off. Nothing can prevent that a write to cells beyond its end then ends the process
  with SIGBUS. Look at the length before you read, and restore it before you continue elsewhere.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple, cast, final

from asyncmetrics.storage.shared.files.layout import (
    CANARY,
    CELLS,
    FIRST_CELL,
    HEADER_BYTES,
    MAGIC,
    CorruptError,
    Doubles,
    Header,
)
from asyncmetrics.storage.shared.files.open_file import OpenFile, allocate

__all__ = ("CellsFile", "Location")

_FIRST_BYTES = 1 << 16  # 64 KiB, a multiple of all usual page sizes: cells for some 3800 counters
_MAX_GROWTH_BYTES = 1 << 23  # 8 MiB: the file doubles up to here, then grows steadily and wastes no more than this

_KEPT: list[object] = []  # mappings of lost files


class Location(NamedTuple):
    """Where a series' cells are: ``cells[at]`` is the first."""

    cells: Doubles
    at: int


class _Region(NamedTuple):
    """A mapped piece of the file: its first cell, its end, and the cells themselves."""

    start: int
    end: int
    cells: Doubles


@final
class CellsFile:
    """A mapped file; ``header`` is the words of its first page.

    ``used`` is how many cells the file must have; 0 stands for a new file. Raises `CorruptError` if it is shorter, and
    OSError where there is no room.
    """

    def __init__(self, file: OpenFile, used: int) -> None:
        self._file = file
        self._regions: list[_Region] = []
        self._spare: list[tuple[int, int]] = []  # unused blocks between used ones: first cell and count
        if not used:
            allocate(file, 0, _FIRST_BYTES)
        size = file.status().st_size
        whole = size - size % mmap.ALLOCATIONGRANULARITY  # a file that was cut off may end within a page
        if whole < max(8 * used, HEADER_BYTES):
            raise CorruptError("the file of cells is cut off")
        self._map(0, whole)

    def _map(self, start: int, length: int) -> _Region:
        view = memoryview(_map_file(self._file.fileno(), start, length))
        if not start:
            self.header = view[:HEADER_BYTES].cast("Q")
        region = _Region(start // 8, (start + length) // 8, cast("Doubles", view.cast("d")))
        self._regions.append(region)
        return region

    def _find_region(self, cell: int) -> _Region:
        return next(region for region in self._regions if cell < region.end)

    def locate(self, cell: int) -> Location:
        """Return where the cell with this index in the file is mapped."""
        region = self._find_region(cell)
        return Location(region.cells, cell - region.start)

    def is_whole(self) -> bool:
        """Return whether the file is as long as what is mapped of it. Raises OSError if the file is lost."""
        return self._file.status().st_size >= 8 * self._regions[-1].end

    def restore_length(self) -> None:
        """Make the file as long as what is mapped, with zeros where it was cut off. Raises OSError."""
        os.ftruncate(self._file.fileno(), 8 * self._regions[-1].end)

    def peek(self, offset: int, length: int) -> bytes:
        """Return bytes of the mapped file; under the GIL no other thread can write to them at the same time.

        Raises `CorruptError` if the file is cut off.
        """
        if not self.is_whole():
            raise CorruptError("the file of cells is cut off")
        cells, at = self.locate(offset // 8)
        return cast("memoryview", cells)[at : at + length // 8].tobytes()

    def reuse(self, used: Iterable[tuple[int, int]]) -> None:
        """Allow `allocate` to return all cells that are outside these blocks, each given by first cell and end."""
        position = FIRST_CELL
        spare = []
        for first, end in [*sorted(used), (self.header[CELLS], 0)]:
            if first > position:
                spare.append((position, first - position))
            position = max(position, end)
        self._spare = spare

    def allocate(self, count: int) -> int:
        """Return the first of ``count`` cells that nothing uses. Raises OSError if the file cannot grow."""
        for index, (first, spare) in enumerate(self._spare):
            if spare >= count and self._find_region(first) is self._find_region(first + count - 1):
                self._spare[index] = (first + count, spare - count)
                return first
        region = self._regions[-1]
        first = max(self.header[CELLS], region.start)
        if first + count > region.end:  # the block would lie in two regions: the rest of this one stays unused
            first = self._grow(count * 8).start
        self.header[CELLS] = first + count
        return first

    def make_header(self) -> None:
        """Write the header of a new arena."""
        header = Header(MAGIC, 0, 0, 0, FIRST_CELL, 0, CANARY, int(time.time()), 0, 0, 0, 0, 0, 0)
        for index, word in enumerate(header):
            if index:
                self.header[index] = word
        self.header[0] = MAGIC  # last: from now on there is an arena

    def map_growth(self) -> None:
        """Map what an interrupted call of `allocate` has added to the file."""
        end = self._regions[-1].end * 8
        size = self._file.status().st_size
        whole = size - size % mmap.ALLOCATIONGRANULARITY
        if whole > end:
            self._map(end, whole - end)

    def _grow(self, least: int) -> _Region:
        size = self._regions[-1].end * 8
        length = max(min(size, _MAX_GROWTH_BYTES), least + -least % _FIRST_BYTES)
        allocate(self._file, size, length)
        return self._map(size, length)

    def __del__(self) -> None:
        with suppress(AttributeError):  # an exception of a signal handler may have interrupted `__init__`
            self._file.close()
            if self._file.is_lost:
                _KEPT.append(self._regions)


if sys.version_info >= (3, 13):

    def _map_file(number: int, start: int, length: int) -> mmap.mmap:
        return mmap.mmap(number, length, offset=start, trackfd=False)

else:

    def _map_file(number: int, start: int, length: int) -> mmap.mmap:
        return mmap.mmap(number, length, offset=start)
