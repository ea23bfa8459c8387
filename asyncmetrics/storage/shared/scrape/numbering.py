"""Which series a family has over all slots, and which of them each slot has: their order, once for all readings.

*Theory of operation.* A `Numbering` gives each series of a slot's log its ordinal: the one that it has already, by its
label values, or the next one. A `_Layer` says for one slot which number in the slot's log belongs to which ordinal. As
long as the two are the same, which is so for the first slot and for all slots whose series come in one order, a layer
keeps nothing. All of it is in pages, and each step takes `_ABSORBED` series.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import repeat
from typing import Any, final

from asyncmetrics.storage.shared.files.log import Joined, Key, SlotFamily
from asyncmetrics.storage.shared.files.records import split_key
from asyncmetrics.storage.shared.files.slot_reader import UNSTEADY, SlotReader
from asyncmetrics.storage.shared.pages import PAGE, Pages
from asyncmetrics.storage.shared.scrape.index import Index

__all__ = ("MISSING", "Numbering")

_ABSORBED = 128  # series that are numbered in one step: 0.3 ms
_COPIED = 64  # pages of places that are copied in one step
MISSING = -1
_EMPTY = array("q", [MISSING]) * PAGE
_NOWHERE: Sequence[int] = (MISSING,) * PAGE  # a page that all layers share


@final
class _Layer:
    """Which of one slot's series are which of the view's: ``places`` are their numbers, in pages by the view's order.

    There are no ``places`` as long as each series has the number that it has in the view.
    """

    def __init__(self, family: SlotFamily) -> None:
        self.family = family
        self.places: list[Sequence[int]] | None = None
        self.taken = 0
        self.room = 0  # one more than the largest number of those that were taken
        self.changes = UNSTEADY
        self.has_gaps = False

    def put(self, ordinal: int, number: int) -> None:
        """Take the next series."""
        if self.places is not None or ordinal != number or ordinal != self.taken:
            self._place(ordinal, number)
        self.taken += 1
        if number >= self.room:
            self.room = number + 1

    def _place(self, ordinal: int, number: int) -> None:
        places, (index, at) = self._places(), divmod(ordinal, PAGE)
        places.extend(repeat(_NOWHERE, index + 1 - len(places)))
        page = places[index]
        if not isinstance(page, array):
            page = places[index] = _EMPTY[:] if page is _NOWHERE else array("q", page)
        page[at] = number

    def _places(self) -> list[Sequence[int]]:
        if self.places is None:
            full, rest = divmod(self.taken, PAGE)
            self.places = [range(page * PAGE, (page + 1) * PAGE) for page in range(full)]
            self.places.append(array("q", [*range(full * PAGE, self.taken), *repeat(MISSING, PAGE - rest)]))
        return self.places

    def copied(self, size: int) -> Generator[tuple[()], None, list[Sequence[int]] | None]:
        """Return the places of so many series as they are now, some pages at each step: others may take series."""
        if self.places is None:
            return None
        pages: list[Sequence[int]] = []
        for page in self.places:
            pages.append(page[:])
            if not len(pages) % _COPIED:
                yield ()
        pages.extend(repeat(_NOWHERE, -(-size // PAGE) - len(pages)))
        return pages


@final
class Numbering:
    """The series of a family as a view numbers them, and which of them are in which slot.

    ``users`` are the readings that work with it: a view may begin another one meanwhile.
    """

    def __init__(self, write: Callable[[Key], str] | None, labels: int) -> None:
        self.keys: Pages[Joined] = Pages()
        self.texts: Pages[str | None] = Pages()
        self.ordinals: Index[Joined] = Index()
        self.layers: dict[tuple[int, int], _Layer] = {}
        self.users = 0
        self._write = write
        self._labels = labels
        self._size = 0

    def absorbing(self, families: Sequence[tuple[SlotReader, SlotFamily]]) -> Iterator[tuple[()]]:
        """Give each series of all slots its ordinal, some at each step."""
        for reader, family in families:
            layer = self.layers.setdefault((reader.number, family.number), _Layer(family))
            if layer.family is not family:  # of a log that was written anew since: the attempt is not good
                continue
            size = len(family.keys)  # a worker may add series as fast as they are numbered
            while layer.taken < min(size, len(family.keys)):
                self._absorb(layer, min(size, len(family.keys)))
                yield ()

    def _absorb(self, layer: _Layer, size: int) -> None:
        stop = min(layer.taken - layer.taken % _ABSORBED + _ABSORBED, size)
        piece, write = slice(layer.taken, stop), self._write
        for key, number in zip(layer.family.keys.part(piece), layer.family.numbers(piece), strict=True):
            ordinal = self.ordinals.setdefault(key, self._size)
            if ordinal == self._size:
                self.texts.append(None if write is None else write(split_key(key, self._labels)))
                self.keys.append(key)
                self._size += 1
            layer.put(ordinal, number)

    def lists(self) -> list[list[Any]]:
        """Return the lists of pages of a numbering that is of no more use."""
        places = [layer.places for layer in self.layers.values() if layer.places is not None]
        return [self.keys.pages, self.texts.pages, self.ordinals.drain(), *places]
