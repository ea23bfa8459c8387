"""Which series of a part belong to which series of the metric, in one slot.

*Theory of operation.* A `PartOrder` goes through these states:

1. *Behind*: the slot's log has series of the part whose owners are not known here. `PartOrder.add_step` looks for the
   owner of each of the next `_STEP_SERIES`: the series whose key is that of the member without its last text.
2. *Up to date*: all are known. Those whose owners have no ordinal yet (another thread has followed the log meanwhile)
   wait until the next reading; so would those of an owner that was lost, for ever.

The members of an ordinal are a chain: ``_heads`` has the number of the newest one by the ordinal of the owner, and
``_links`` by the number of each member that of the one before it. A reading may continue while the next one adds
members: it leaves out those whose cells it has not read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import final

from asyncmetrics.storage.shared.files.keys import JoinedKey, get_owner
from asyncmetrics.storage.shared.files.slot_family import CellPages, SlotFamily
from asyncmetrics.storage.shared.pages import MASK, PAGE, SHIFT, UnusedPages
from asyncmetrics.storage.shared.scrape.index import Index

__all__ = ("PartOrder", "PartSnapshot")

_STEP_SERIES = 128  # members that one step looks at: 0.2 ms
_NONE = -1
_EMPTY_PAGE = array("q", [_NONE]) * PAGE  # to be copied


@final
class PartOrder:
    """The members of a part in one slot; ``room`` is one more than the largest of the numbers that are known."""

    def __init__(self, family: SlotFamily) -> None:
        self.family = family
        self.count = 0
        self.room = 0
        self._heads: list[array[int]] = []
        self._links: list[array[int]] = []
        self._waiting: list[tuple[JoinedKey, int]] = []

    def add_members(self, ordinals: Index[JoinedKey]) -> Iterator[tuple[()]]:
        """Find the owners of all new members by their ``ordinals``, `_STEP_SERIES` at each step."""
        self._waiting, waiting = [], self._waiting
        self._add(waiting, ordinals)
        size = len(self.family.keys)  # now: a worker may add series as fast as they are numbered
        while self.count < min(size, len(self.family.keys)):
            start = self.count  # steps end at multiples of their size, so that no slice lies in two pages
            piece = slice(start, min(start - start % _STEP_SERIES + _STEP_SERIES, size))
            members = zip(self.family.keys.get_slice(piece), self.family.get_numbers(piece), strict=True)
            self._add(members, ordinals)
            self.count = piece.stop
            yield ()

    def _add(self, members: Iterable[tuple[JoinedKey, int]], ordinals: Index[JoinedKey]) -> None:
        for key, number in members:
            ordinal = ordinals.get(get_owner(key))
            if ordinal is None:
                self._waiting.append((key, number))
                continue
            before = _get(self._heads, ordinal)
            _set(self._links, number, before)
            _set(self._heads, ordinal, number)
            self.room = max(self.room, number + 1)

    def iter_numbers(self, ordinal: int) -> Iterator[int]:
        """Yield the numbers of the members of the series with this ordinal, the newest first."""
        number = _get(self._heads, ordinal)
        while number != _NONE:
            yield number
            number = _get(self._links, number)

    def list_pages(self) -> list[list[array[int]]]:
        """Return the pages, in copies of their lists: there may be points that use them."""
        return [self._heads[:], self._links[:]]


def _get(pages: Sequence[array[int]], index: int) -> int:
    page = index >> SHIFT
    return pages[page][index & MASK] if page < len(pages) else _NONE


def _set(pages: list[array[int]], index: int, number: int) -> None:
    while len(pages) <= index >> SHIFT:
        pages.append(_EMPTY_PAGE[:])
    pages[index >> SHIFT][index & MASK] = number


@final
class PartSnapshot:
    """The cells of a part in one slot at the moment of a scrape, for its first ``room`` series."""

    def __init__(self, order: PartOrder, cells: CellPages, room: int) -> None:
        self._order, self._cells, self._room = order, cells, room
        self._stride, self._presence = order.family.definition.stride, order.family.definition.presence

    def iter_members(self, ordinal: int) -> Iterator[array[float]]:
        """Yield the cells of each member of a series that exists, the presence last."""
        stride = self._stride
        for number in self._order.iter_numbers(ordinal):
            if number < self._room:
                start = (number & MASK) * stride
                cells = self._cells[number >> SHIFT][start : start + stride]
                if cells[self._presence]:
                    yield cells

    def discard(self, unused: UnusedPages) -> None:
        """Pass the pages to ``unused``, in a copy of their list: there may be points that use the snapshot."""
        unused.add([self._cells[:]])
