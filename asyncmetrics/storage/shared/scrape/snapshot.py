"""The values of one family at the moment of a scrape, slot by slot, and what the family's points read of them later.

A *value* is what a cell holds. A *number* is an id: of a slot, or of a series in one slot.

*Theory of operation.* `asyncmetrics.storage.shared.scrape.merge_rules` reads a `Snapshot` in slices of ordinals, each
within one page. For each `SlotSnapshot` it does so in these steps:

1. The slot has the cells of its series in pages, by number.
2. If the slot's numbers are the ordinals, nothing needs to be done: a slice of one cell of each series is a slice of a
   page with a stride.
3. If not, `SlotSnapshot.build_column` copies the cell of all series into one array, the *column*, in steps of
   `_STEP_PAGES` pages. The column ends with a zero, which the number `MISSING` (-1) selects.
4. `SlotSnapshot.read_cells` returns the slice: from a page in case 2, else from the column, number by number.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any, NamedTuple, final
from zlib import crc32

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.label_blocks import LabelPlace
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.protocol import choose_worker_label
from asyncmetrics.storage.shared.files.exemplar_cells import get_time, unpack_exemplar
from asyncmetrics.storage.shared.files.keys import JoinedKey, Key, pack_joined_key, split_key
from asyncmetrics.storage.shared.files.slot_family import CellPages, SlotFamily, unpack_facts
from asyncmetrics.storage.shared.pages import MASK, PAGE, SHIFT, UnusedPages
from asyncmetrics.storage.shared.scrape.exemplars import SlotExemplars
from asyncmetrics.storage.shared.scrape.numbering import MISSING, Numbering
from asyncmetrics.storage.shared.scrape.parts import PartSnapshot

__all__ = ("NO_EXEMPLARS", "NO_LABELS", "SLICE", "LocalState", "SlotSnapshot", "Snapshot")

SLICE = 256  # two of them are alive at a time: fewer than the 700 new objects that start a garbage collection
_STEP_PAGES = 16  # pages that one step copies into a column: one cell of 65,536 series
_SLOTS_PER_SLICE = 4  # slots that a slice of full length is merged from; more slots make the slices shorter
NO_LABELS: Mapping[str, str] = {}
NO_EXEMPLARS: Mapping[int, Exemplar] = {}


class LocalState(NamedTuple):
    """What a scrape takes from the process that answers it.

    ``slot`` is its slot (None without one), ``by_values`` its children by their label values. ``has_exemplars`` is
    whether any child has had an exemplar. ``ttl`` is for how many seconds the metric keeps a series that does not
    change; None means for ever.
    """

    slot: int | None
    by_values: Mapping[Key, Any]
    has_exemplars: bool = False
    ttl: float | None = None


@final
class SlotSnapshot:
    """One slot's values of a family at the moment of a scrape, for its first ``room`` series.

    ``number`` is the number of the slot. ``numbers`` are those of its series by ordinal, in pages; None if each is its
    ordinal. ``is_live`` is whether the slot has an owner (False where that does not matter), ``has_gaps`` whether some
    of the series do not exist. ``parts`` has its parts by their names, but for its ``exemplars``.
    """

    def __init__(
        self,
        number: int,
        is_live: bool,
        family: SlotFamily,
        cells: CellPages,
        numbers: list[Sequence[int]] | None,
        room: int,
        has_gaps: bool,
    ) -> None:
        definition = family.definition
        self.number, self.is_live, self.cells, self.has_gaps = number, is_live, cells, has_gaps
        self.stride, self.presence, self.ages = definition.stride, definition.presence, definition.ages
        self.parts: dict[str, PartSnapshot] = {}
        self.exemplars: SlotExemplars | None = None
        self._numbers = numbers
        self._room = room
        self._facts = family.facts
        self._columns: dict[int, array[float]] = {}

    def discard(self, unused: UnusedPages) -> None:
        """Pass the pages to ``unused``, in copies of their lists: there may be points that use the snapshot."""
        unused.add([self.cells[:], list(self._numbers or ()), list(self._columns.values())])
        for part in self.parts.values():
            part.discard(unused)

    def find_number(self, ordinal: int) -> int:
        """Return the number of a series in this slot, or `MISSING`."""
        if self._numbers is None:
            return ordinal if ordinal < self._room else MISSING
        return self._numbers[ordinal >> SHIFT][ordinal & MASK]

    def read_series(self, number: int, width: int) -> Sequence[float]:
        """Return the first ``width`` cells of a series."""
        start = (number & MASK) * self.stride
        return self.cells[number >> SHIFT][start : start + width]

    def read_created(self, number: int) -> float:
        """Return when a series was made or set, as a Unix time; 0 if it does not exist."""
        return self.cells[number >> SHIFT][(number & MASK) * self.stride + self.presence]

    def has_series(self, ordinal: int) -> bool:
        """Return whether a series exists in this slot: if not, what parts have of it is a leftover."""
        number = self.find_number(ordinal)
        return number != MISSING and self.read_created(number) > 0

    def read_facts(self, number: int) -> Mapping[str, str]:
        """Return the facts of an info."""
        return unpack_facts(self._facts, number)

    def iter_members(self, part: str, ordinal: int) -> Iterator[array[float]]:
        """Yield the cells of each series of a part that belongs to a series, if that exists in this slot."""
        members = self.parts.get(part)
        if members is not None and self.has_series(ordinal):
            yield from members.iter_members(ordinal)

    def build_column(self, index: int) -> Iterator[tuple[()]]:
        """Prepare `read_cells` for the cell ``index`` of all series, some pages at each step."""
        if self._numbers is None or index in self._columns:
            return
        column = array("d")
        for count, page in enumerate(self.cells, 1):
            column.extend(page[index :: self.stride])
            if not count % _STEP_PAGES:
                yield ()
        column.append(0.0)
        self._columns[index] = column

    def read_cells(self, index: int, piece: slice) -> Iterable[float]:
        """Return the cell ``index`` of each series in a slice of ordinals; 0 for a series that the slot lacks."""
        page, start = divmod(piece.start, PAGE)
        stop = start + piece.stop - piece.start
        if self._numbers is not None:
            return map(self._columns[index].__getitem__, self._numbers[page][start:stop])
        stride = self.stride
        if page >= len(self.cells):
            return array("d", bytes(8 * (stop - start)))
        values: array[float] = self.cells[page][start * stride + index : stop * stride : stride]
        if len(values) < stop - start:
            values.frombytes(bytes(8 * (stop - start - len(values))))
        return values

    def list_presence_cells(self, ttl: float | None) -> tuple[int, ...]:
        """Return the indexes of the cells that `read_presence` reads."""
        return (self.presence,) if ttl is None or not self.ages else (self.presence, self.presence + 1)

    def read_presence(self, ttl: float | None, piece: slice) -> Iterable[float]:
        """Return the presence of each series in a slice; 0 also if it has not changed for ``ttl`` seconds."""
        presence = self.read_cells(self.presence, piece)
        if ttl is None or not self.ages:
            return presence
        now = time.monotonic()  # one clock for all processes; a time in the future is from before a reboot
        changed = self.read_cells(self.presence + 1, piece)
        return [created if 0 <= now - at < ttl else 0.0 for created, at in zip(presence, changed, strict=True)]


@final
class Snapshot:
    """The snapshots of all slots at one scrape, for the first ``size`` series of ``numbering``, which may grow.

    ``extra_labels`` are labels of all its points: none, or the label of the only slot. ``is_selection`` is whether
    some slots are left out.
    """

    def __init__(
        self, descriptor: Descriptor, numbering: Numbering, size: int, slots: list[SlotSnapshot], local: LocalState
    ) -> None:
        self.descriptor = descriptor
        self.numbering = numbering
        self.size = size
        self.slots = slots
        self.local = local
        self.extra_labels = NO_LABELS
        self.is_selection = False

    def select_live(self) -> Snapshot:
        """Return a snapshot of the slots that have an owner."""
        return self._select([slot for slot in self.slots if slot.is_live], self.local)

    def split(self) -> Iterator[Snapshot]:
        """Yield a snapshot for each slot alone, whose points have the label of its worker."""
        for slot in self.slots:
            is_own = slot.number == self.local.slot
            part = self._select([slot], self.local if is_own else self.local._replace(has_exemplars=False))
            part.extra_labels = {self._worker_label: str(slot.number)}
            yield part

    def _select(self, slots: list[SlotSnapshot], local: LocalState) -> Snapshot:
        selection = Snapshot(self.descriptor, self.numbering, self.size, slots, local)
        selection.is_selection = True
        return selection

    @property
    def _worker_label(self) -> str:
        kind = KINDS[self.descriptor.kind]
        own = kind.get_own_label(self.descriptor.name, kind.own_suffix)
        return choose_worker_label((*self.descriptor.all_labelnames, own))

    def get_joined_keys(self, piece: slice) -> Sequence[JoinedKey]:
        """Return the label values of a slice of the series, each as one text."""
        return self.numbering.keys.get_slice(piece)

    def get_keys(self, piece: slice) -> Iterator[Key]:
        """Return the label values of a slice of the series."""
        return map(self.split_key, self.get_joined_keys(piece))

    def split_key(self, joined: JoinedKey) -> Key:
        """Return the label values that ``joined`` consists of."""
        return split_key(joined, len(self.descriptor.all_labelnames))

    def get_label_blocks(self, piece: slice) -> Sequence[str | None]:
        """Return the label blocks of a slice of the series, with the extra labels."""
        blocks = self.numbering.label_blocks.get_slice(piece)
        for name, text in self.extra_labels.items():
            place = LabelPlace(name, self.descriptor.all_labelnames, omit_empty=self.descriptor.omit_empty)
            label = f'{name}="{text}"'
            blocks = [block if block is None else place.insert(block, label) for block in blocks]
        return blocks

    def sum_rows(self, ordinal: int) -> Sequence[float]:
        """Return the values of a summary or histogram, in the order of the descriptor's rows."""
        return _to_rows(self.descriptor, self.sum_cells(ordinal))

    def sum_cells(self, ordinal: int) -> Sequence[float]:
        """Return the numbers of a summary or histogram as its children keep them, added over all slots."""
        total: Sequence[float] | None = None
        for slot in self.slots:
            number = slot.find_number(ordinal)
            if number != MISSING:
                cells = slot.read_series(number, slot.presence)
                total = cells if total is None else list(map(add, total, cells))
        return total or ()

    def iter_members(self, part: str, ordinal: int) -> Iterator[array[float]]:
        """Yield the cells of each series of a part that belongs to a series, in all slots."""
        for slot in self.slots:
            yield from slot.iter_members(part, ordinal)

    def find_created(self, ordinal: int) -> float:
        """Return when the series was made in the slot that has had it longest; 0 if none has it."""
        first = 0.0
        for slot in self.slots:
            number = slot.find_number(ordinal)
            time = 0.0 if number == MISSING else slot.read_created(number)
            if time and (time < first or not first):
                first = time
        return first

    @property
    def has_exemplars(self) -> bool:
        """Whether any series may have exemplars."""
        return self.local.has_exemplars or any(slot.exemplars is not None for slot in self.slots)

    def find_exemplars(self, joined: JoinedKey, ordinal: int) -> Mapping[int, Exemplar]:
        """Return the newest exemplars of a series by their places: of all slots, and of the child in this process."""
        seed = crc32(pack_joined_key(joined))
        newest: dict[float, tuple[float, ...]] = {}
        for slot in self.slots:
            if slot.exemplars is not None and slot.has_series(ordinal):
                slot.exemplars.find_newest(ordinal, seed, newest)
        found = {int(place): unpack_exemplar(numbers) for place, numbers in newest.items()}
        child = self.local.by_values.get(self.split_key(joined)) if self.local.has_exemplars else None
        for place, own in child.read_placed_exemplars().items() if child is not None else ():
            if place not in found or get_time(found[place]) <= get_time(own):
                found[place] = own
        return found

    def cut_slices(self, length: int = SLICE) -> Iterator[slice]:
        """Yield slices of at most ``length`` series, and of fewer if more than `_SLOTS_PER_SLICE` slots are merged."""
        # Half as many series for 5 slots, a quarter for 9, an eighth for 17. Powers of two divide a page evenly.
        length = max(1, length >> (max(0, len(self.slots) - 1) // _SLOTS_PER_SLICE).bit_length())
        return (slice(start, min(start + length, self.size)) for start in range(0, self.size, length))

    @property
    def has_gaps(self) -> bool:
        """Whether some series may exist in none of the slots, or have expired."""
        # A selection of slots may lack series that other slots have.
        return self.is_selection or self.local.ttl is not None or any(slot.has_gaps for slot in self.slots)

    def build_columns(self, *indexes: int) -> Iterator[tuple[()]]:
        """Prepare all slots for reading these cells and the presence, some pages at each step."""
        for slot in self.slots:
            for index in (*indexes, *slot.list_presence_cells(self.local.ttl)):
                yield from slot.build_column(index)

    def list_present(self, piece: slice) -> Sequence[object]:
        """Return for each series of a slice whether any slot has it."""
        return list(map(any, zip(*(slot.read_presence(self.local.ttl, piece) for slot in self.slots), strict=True)))


def _to_rows(descriptor: Descriptor, cells: Sequence[float]) -> Sequence[float]:
    """Return the values of the descriptor's rows: the buckets of a histogram become cumulative, then count and sum."""
    if descriptor.kind != "histogram":
        return tuple(cells)
    cumulative = [*accumulate(cells[:-1])]
    # OpenMetrics 1.0, "Histogram": with a negative bound there is no sum.
    return [*cumulative, cumulative[-1]] if descriptor.buckets[0] < 0 else [*cumulative, cumulative[-1], cells[-1]]
