"""The exemplars of a family in one slot, read from their cells when a format asks for them.

*Rules.*

* Read no cells of exemplars before a point is asked for its exemplars: a scrape of the text format never asks.
* Read them again at each scrape, later than the numbers. They may be half written, or the cells may belong to other
  series by then: the check of each one finds that out (`asyncmetrics.storage.shared.files.exemplar_cells`).
* Read the cells of neighbours as well, with one system call: most points that are asked in turn have neighbours.
"""

from __future__ import annotations

from typing import final

from asyncmetrics.interruptions import ignoring
from asyncmetrics.storage.shared.files.exemplar_cells import EXEMPLAR_CELLS, PLACE, TIME, find_numbers
from asyncmetrics.storage.shared.files.layout import CorruptError
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from asyncmetrics.storage.shared.scrape.parts import PartOrder

__all__ = ("SlotExemplars",)

_MOST = 64  # exemplars that one system call reads
_STRIDE = 8 * EXEMPLAR_CELLS


@final
class SlotExemplars:
    """The exemplars of one family in one slot; ``order`` says which series have some."""

    def __init__(self, reader: SlotReader, order: PartOrder) -> None:
        self._reader = reader
        self._order = order
        self._read: tuple[int, int, bytes] = (0, 0, b"")  # the first number of the cells, one more than the last

    def find_newest(self, ordinal: int, seed: int, newest: dict[float, tuple[float, ...]]) -> None:
        """Put the cells of a series' exemplars into ``newest``, by their places, where they are newer than those there.

        ``seed`` is the CRC-32 of the key of the series. Leave out what cannot be read.
        """
        for number in self._order.iter_numbers(ordinal):
            first, end, data = self._read
            if not first <= number < end:
                first, end, data = self._read = self._read_neighbours(number)
            numbers = find_numbers(seed, data, (number - first) * _STRIDE) if number < end else None
            if numbers is not None and not newest.get(numbers[PLACE], numbers)[TIME] > numbers[TIME]:
                newest[numbers[PLACE]] = numbers

    def _read_neighbours(self, number: int) -> tuple[int, int, bytes]:
        family = self._order.family
        with ignoring(OSError, CorruptError):
            first, end = family.find_neighbours(number, _MOST)
            data = self._reader.read_series(family, first, (end - first) * EXEMPLAR_CELLS)
            return first, first + len(data) // _STRIDE, data
        return 0, 0, b""
