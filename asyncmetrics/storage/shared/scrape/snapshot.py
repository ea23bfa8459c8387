"""The numbers of one family at the moment of a reading, by slot, and what points ask of them later.

*Theory of operation.* A reading goes through the series in slices that lie within one page. Where a slot has the series
in the view's order, a slice of one of their cells is a slice of a page. Where it does not, the cells are first strung
together to a column, a few pages at each step, with a zero at its end for the series that the slot does not have.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any, NamedTuple, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.shared.files.log import Cells, Joined, Key, SlotFamily, facts_in
from asyncmetrics.storage.shared.files.records import join_key, split_key
from asyncmetrics.storage.shared.pages import MASK, PAGE, SHIFT
from asyncmetrics.storage.shared.scrape.numbering import MISSING, Numbering

__all__ = ("NOTHING", "NO_EXEMPLARS", "SLICE", "OwnPart", "Part", "Reading")

SLICE = 256  # two of them are alive at a time: fewer than the 700 new objects that start a garbage collection
_STRUNG = 16  # pages that are strung together in one step
_FEW = 4  # parts that a slice of full length is put together from
NOTHING: Mapping[str, str] = {}
NO_EXEMPLARS: Mapping[int, Exemplar] = {}


def _no_children() -> Iterator[Sequence[Any]]:
    return iter(())


class OwnPart(NamedTuple):
    """What a reading takes from this process itself.

    ``slot`` is its slot (None without one), ``by_values`` its children, which ``children`` yields in slices; ``exemplary``
    is whether any child has had an exemplar. ``ttl`` is the family's here.
    """

    slot: int | None
    by_values: Mapping[Key, Any]
    children: Callable[[], Iterator[Sequence[Any]]] = _no_children
    exemplary: bool = False
    ttl: float | None = None


@final
class Part:
    """One slot's numbers of a family at the moment of a reading, for its first ``room`` series.

    ``places`` are the numbers of its series by the view's order, in pages; None if they are the same.
    """

    __slots__ = (
        "_columns",
        "_facts",
        "_places",
        "_room",
        "ages",
        "cells",
        "has_gaps",
        "live",
        "presence",
        "slot",
        "stride",
    )

    def __init__(
        self,
        slot: int,
        live: bool,
        family: SlotFamily,
        cells: Cells,
        places: list[Sequence[int]] | None,
        room: int,
        has_gaps: bool,
    ) -> None:
        definition = family.definition
        self.slot, self.live, self.cells, self.has_gaps = slot, live, cells, has_gaps
        self.stride, self.presence, self.ages = definition.stride, definition.presence, definition.ages
        self._places = places
        self._room = room
        self._facts = family.facts
        self._columns: dict[int, array[float]] = {}

    def blocks(self) -> list[list[Any]]:
        """Return the lists of what takes memory, for a `Spent`: copies, since there may be points that use the part."""
        return [self.cells[:], list(self._places or ()), list(self._columns.values())]

    def place(self, ordinal: int) -> int:
        """Return the number of a series in its slot, `MISSING` if the slot does not have it."""
        if self._places is None:
            return ordinal if ordinal < self._room else MISSING
        return self._places[ordinal >> SHIFT][ordinal & MASK]

    def row(self, place: int, width: int) -> Sequence[float]:
        """Return the first cells of a series."""
        start = (place & MASK) * self.stride
        return self.cells[place >> SHIFT][start : start + width]

    def created(self, place: int) -> float:
        """Return when a series was made or set."""
        return self.cells[place >> SHIFT][(place & MASK) * self.stride + self.presence]

    def facts(self, place: int) -> Mapping[str, str]:
        """Return the facts of an info."""
        return facts_in(self._facts, place)

    def string(self, index: int) -> Iterator[tuple[()]]:
        """Do what `pick` needs for this cell of each series, a few pages at each step."""
        if self._places is None or index in self._columns:
            return
        column = array("d")
        for number, page in enumerate(self.cells, 1):
            column.extend(page[index :: self.stride])
            if not number % _STRUNG:
                yield ()
        column.append(0.0)
        self._columns[index] = column

    def pick(self, index: int, piece: slice) -> Iterable[float]:
        """Return one cell of each of the view's series in a slice."""
        page, start = divmod(piece.start, PAGE)
        stop = start + piece.stop - piece.start
        if self._places is not None:
            return map(self._columns[index].__getitem__, self._places[page][start:stop])
        stride = self.stride
        if page >= len(self.cells):
            return array("d", bytes(8 * (stop - start)))
        found: array[float] = self.cells[page][start * stride + index : stop * stride : stride]
        if len(found) < stop - start:
            found.frombytes(bytes(8 * (stop - start - len(found))))
        return found

    def fresh_indexes(self, ttl: float | None) -> tuple[int, ...]:
        """Return the cells that `pick_fresh` looks at."""
        return (self.presence,) if ttl is None or not self.ages else (self.presence, self.presence + 1)

    def pick_fresh(self, ttl: float | None, piece: slice) -> Iterable[float]:
        """Return what is 0 for the series that are not there, or have not changed for ``ttl`` seconds."""
        present = self.pick(self.presence, piece)
        if ttl is None or not self.ages:
            return present
        now = time.monotonic()
        changed = self.pick(self.presence + 1, piece)
        return [there if 0 <= now - at < ttl else 0.0 for there, at in zip(present, changed, strict=True)]


@final
class Reading:
    """The parts of one reading, about the first ``size`` series of ``numbering``, which others may add to meanwhile."""

    def __init__(
        self, descriptor: Descriptor, numbering: Numbering, size: int, parts: list[Part], own: OwnPart
    ) -> None:
        self.descriptor = descriptor
        self.numbering = numbering
        self.size = size
        self.parts = parts
        self.own = own
        self.details = NOTHING

    def of(self, parts: list[Part], details: Mapping[str, str] = NOTHING) -> Reading:
        """Return the reading of these parts alone, whose points have these labels more."""
        alone = Reading(self.descriptor, self.numbering, self.size, parts, self.own)
        alone.details = details
        return alone

    def joined(self, piece: slice) -> Sequence[Joined]:
        """Return the label values of a slice of the series, each as one text."""
        return self.numbering.keys.part(piece)

    def keys(self, piece: slice) -> Iterator[Key]:
        """Return the label values of a slice of the series."""
        return map(self.split, self.joined(piece))

    def split(self, joined: Joined) -> Key:
        """Return the label values that a text stands for."""
        return split_key(joined, len(self.descriptor.all_labelnames))

    def texts(self, piece: slice) -> Sequence[str | None]:
        """Return the label blocks of a slice of the series."""
        return self.numbering.texts.part(piece)

    def numbers(self, ordinal: int) -> Sequence[float]:
        """Return the numbers of a summary or histogram, in the order of the descriptor's rows."""
        total: Sequence[float] | None = None
        for part in self.parts:
            place = part.place(ordinal)
            if place != MISSING:
                found = part.row(place, part.presence)
                total = found if total is None else list(map(add, total, found))
        return _rows(self.descriptor, total or ())

    def created_of(self, ordinal: int) -> float:
        """Return when the oldest part of a series was made."""
        places = ((part, part.place(ordinal)) for part in self.parts)
        found = (part.created(place) for part, place in places if place != MISSING)
        return min(filter(None, found), default=0.0)

    def exemplars_of(self, key: Key) -> Mapping[int, Exemplar]:
        """Return the exemplars that this process has."""
        child = self.own.by_values.get(key) if self.own.exemplary else None
        return NO_EXEMPLARS if child is None else child.read_exemplars()

    def slices(self, length: int = SLICE) -> Iterator[slice]:
        """Yield the slices that a reading is done in: shorter ones where there are many parts to put together."""
        length = max(1, length >> (max(0, len(self.parts) - 1) // _FEW).bit_length())
        return (slice(start, min(start + length, self.size)) for start in range(0, self.size, length))

    def is_beyond(self, key: Key) -> bool:
        """Return whether no slot has this series."""
        ordinal = self.numbering.ordinals.get(join_key(key))
        return ordinal is None or ordinal >= self.size

    @property
    def has_gaps(self) -> bool:
        """Whether some series may be there in no slot, or have gone stale."""
        return self.own.ttl is not None or any(part.has_gaps for part in self.parts)

    def string(self, *indexes: int) -> Iterator[tuple[()]]:
        """Do what `Part.pick` needs for these cells, and `Part.pick_fresh` for its own, a few pages at each step."""
        for part in self.parts:
            for index in (*indexes, *part.fresh_indexes(self.own.ttl)):
                yield from part.string(index)

    def shown(self, piece: slice) -> Sequence[object]:
        """Return which series of a slice are there in any slot."""
        return list(map(any, zip(*(part.pick_fresh(self.own.ttl, piece) for part in self.parts), strict=True)))


def _rows(descriptor: Descriptor, cells: Sequence[float]) -> Sequence[float]:
    if descriptor.kind != "histogram":
        return tuple(cells)
    cumulative = [*accumulate(cells[:-1])]
    return cumulative if descriptor.buckets[0] < 0 else [*cumulative, cumulative[-1], cells[-1]]
