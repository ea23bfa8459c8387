"""Which series a family has over all slots, and which of them each slot has.

A series has two kinds of numbers. Its *number* is what one slot's log gave it: it says where the slot keeps its cells,
and other slots may have another number for it. Its *ordinal* is its position in the merged family, over all slots.

*Theory of operation.* The numbering of a family goes through these states:

1. *Behind*: some slot's log has series that have no ordinal here. `Numbering.add_series` takes them in steps of
   `_STEP_SERIES`. It gives a series the ordinal that its label values have already, or the next one, and records in the
   slot's `SlotOrder` which number belongs to the ordinal. After the last step: state 2.
2. *Up to date*: all series that the logs had at the beginning of 1 have an ordinal. A scrape copies what it needs of
   each `SlotOrder`, because the next scrape may lead back to 1 before the first one ends.
3. *Replaced*: a log was rewritten, so the series that it no longer has must disappear. The merged family has begun a
   new numbering. The scrapes that use the old one (``users``) end with it, and the last one discards it.

A `SlotOrder` is in one of these states:

1. *The same*: each number is the ordinal. Nothing is kept. That is so for the first slot, and for all slots whose
   series come in the same order.
2. *Different*: the numbers are kept by ordinal, in pages. `SlotOrder.add` leads from 1 to 2 at the first series whose
   number is not its ordinal.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import repeat
from typing import final

from asyncmetrics.storage.shared.files.keys import JoinedKey, Key, split_key
from asyncmetrics.storage.shared.files.slot_family import SlotFamily
from asyncmetrics.storage.shared.files.slot_reader import UNSTEADY, SlotReader
from asyncmetrics.storage.shared.pages import PAGE, Pages, UnusedPages
from asyncmetrics.storage.shared.scrape.index import Index
from asyncmetrics.storage.shared.scrape.parts import PartOrder

__all__ = ("MISSING", "Numbering", "SlotOrder")

_STEP_SERIES = 128  # series that one step numbers: 0.3 ms
_STEP_PAGES = 64  # pages of numbers that one step copies: 2 MiB at most
MISSING = -1
"""Stands for the number of a series that a slot does not have."""
_EMPTY_PAGE = array("q", [MISSING]) * PAGE  # to be copied
_SHARED_EMPTY_PAGE: Sequence[int] = (MISSING,) * PAGE  # for all pages without a number, so that they take no memory


@final
class SlotOrder:
    """The order of one slot's series: ``numbers`` by ordinal, in pages; None if each number is the ordinal.

    ``count`` is how many series of the slot are numbered, ``room`` one more than the largest of their numbers.
    ``has_gaps`` is whether some of them do not exist, as of the header's ``changes``.
    """

    def __init__(self, family: SlotFamily) -> None:
        self.family = family
        self.numbers: list[Sequence[int]] | None = None
        self.count = 0
        self.room = 0
        self.changes = UNSTEADY
        self.has_gaps = False

    def add(self, ordinal: int, number: int) -> None:
        """Record the number of the slot's next series."""
        if self.numbers is not None or ordinal != number or ordinal != self.count:
            self._store(ordinal, number)
        self.count += 1
        if number >= self.room:
            self.room = number + 1

    def _store(self, ordinal: int, number: int) -> None:
        pages, (index, at) = self._make_pages(), divmod(ordinal, PAGE)
        pages.extend(repeat(_SHARED_EMPTY_PAGE, index + 1 - len(pages)))
        page = pages[index]
        if not isinstance(page, array):
            page = pages[index] = _EMPTY_PAGE[:] if page is _SHARED_EMPTY_PAGE else array("q", page)
        page[at] = number

    def _make_pages(self) -> list[Sequence[int]]:
        """Return the pages; at first go from state 1 to state 2, where full pages are ranges that take no memory."""
        if self.numbers is None:
            full, rest = divmod(self.count, PAGE)
            self.numbers = [range(page * PAGE, (page + 1) * PAGE) for page in range(full)]
            self.numbers.append(array("q", [*range(full * PAGE, self.count), *repeat(MISSING, PAGE - rest)]))
        return self.numbers

    def copy_numbers(self, size: int) -> Generator[tuple[()], None, list[Sequence[int]] | None]:
        """Return a copy of the numbers of the first ``size`` ordinals, some pages at each step; None in state 1."""
        if self.numbers is None:
            return None
        pages: list[Sequence[int]] = []
        for page in self.numbers:
            pages.append(page[:])
            if not len(pages) % _STEP_PAGES:
                yield ()
        pages.extend(repeat(_SHARED_EMPTY_PAGE, -(-size // PAGE) - len(pages)))
        return pages


@final
class Numbering:
    """The series of a merged family by their ordinals: ``keys`` and ``label_blocks``; ``ordinals`` by their keys.

    ``orders`` has the order of each slot's family, by the slot's number and the family's number in its log, and
    ``part_orders`` those of the parts. ``users``
    counts the scrapes that use the numbering. ``write`` renders a label block; None if the blocks are not kept.
    """

    def __init__(self, write: Callable[[Key], str] | None, labels: int) -> None:
        self.keys: Pages[JoinedKey] = Pages()
        self.label_blocks: Pages[str | None] = Pages()
        self.ordinals: Index[JoinedKey] = Index()
        self.orders: dict[tuple[int, int], SlotOrder] = {}
        self.part_orders: dict[tuple[int, int], PartOrder] = {}
        self.users = 0
        self._write = write
        self._labels = labels
        self._size = 0

    def add_series(self, families: Sequence[tuple[SlotReader, SlotFamily]]) -> Iterator[tuple[()]]:
        """Give each series of all slots its ordinal, `_STEP_SERIES` at each step."""
        for reader, family in families:
            order = self.orders.setdefault((reader.number, family.number), SlotOrder(family))
            if order.family is not family:  # the log was rewritten in between: this attempt to read the family fails
                continue
            size = len(family.keys)  # now: a worker may add series as fast as they are numbered
            while order.count < min(size, len(family.keys)):
                self._add_step(order, min(size, len(family.keys)))
                yield ()

    def _add_step(self, order: SlotOrder, size: int) -> None:
        # Steps end at multiples of their size, so that no slice lies in two pages.
        stop = min(order.count - order.count % _STEP_SERIES + _STEP_SERIES, size)
        piece, write = slice(order.count, stop), self._write
        for key, number in zip(order.family.keys.get_slice(piece), order.family.get_numbers(piece), strict=True):
            ordinal = self.ordinals.setdefault(key, self._size)
            if ordinal == self._size:
                self.label_blocks.append(None if write is None else write(split_key(key, self._labels)))
                self.keys.append(key)
                self._size += 1
            order.add(ordinal, number)

    def discard(self, unused: UnusedPages) -> None:
        """Pass all pages of a numbering that nothing uses to ``unused``."""
        numbers = [order.numbers for order in self.orders.values() if order.numbers is not None]
        unused.add([self.keys.pages, self.label_blocks.pages, self.ordinals.pop_buckets(), *numbers])
        for part in self.part_orders.values():
            unused.add(part.list_pages())
