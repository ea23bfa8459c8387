"""One family over all workers: its series, wherever they come from.

*Rules.* A reading is of one moment for each slot, and belongs to one scrape: others may begin meanwhile. Where workers
define a family in several ways, the definition that was declared last counts, that of a live worker before that of a
dead one; what is defined otherwise is left out and counted.

*Theory of operation.* A `View` numbers the series as it meets them and remembers for each slot which of the slot's
series that is; what becomes of their numbers is said in `asyncmetrics.storage._points`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import repeat
from typing import final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Point
from asyncmetrics.storage._layout import Definition
from asyncmetrics.storage._points import BY_WORKER, MERGING, MISSING, Key, OwnPart, Part, Reading
from asyncmetrics.storage._reading import UNSTEADY, SlotFamily, SlotReader, SlotReaders

__all__ = ("View", "newest")

_ABSORBED = 256  # series that are numbered at once: half a millisecond's work
_TRIES = 5


@final
class _Layer:
    """Which of one slot's series are which of the view's."""

    def __init__(self, family: SlotFamily) -> None:
        self.family = family
        self.places: list[int] = []
        self.taken = 0
        self.changes = UNSTEADY
        self.has_gaps = False
        self.in_order = True  # whether each of its series has the number that it has in the view

    def snapshot(self, size: int) -> _Layer:
        """Return it as it is now, with a place for each of so many series."""
        found = _Layer(self.family)
        found.places = [*self.places, *repeat(MISSING, size - len(self.places))]
        found.changes, found.has_gaps, found.in_order = self.changes, self.has_gaps, self.in_order
        return found


@final
class View:
    """One family over all slots. ``write`` writes a label block, or is None where it is written in several ways.

    Its caller sees to it that one thread at a time takes a step of `readings`.
    """

    def __init__(self, descriptor: Descriptor, space: str, write: Callable[[Key], str] | None) -> None:
        self.descriptor = descriptor
        self.keys: list[Key] = []
        self.texts: list[str | None] = []
        self.conflicts = 0
        self._space = space
        self._write = write
        self._ordinals: dict[Key, int] = {}
        self._layers: dict[tuple[int, int], _Layer] = {}

    def readings(self, readers: SlotReaders, own: OwnPart) -> Iterator[Sequence[Point]]:
        """Read the family: empty slices while the logs are followed, then the points."""
        for attempt in range(1, _TRIES + 1):
            for _ in readers.sync():
                yield ()
            yield from self._absorbing(readers)
            keys, texts, size = self.keys, self.texts, len(self.keys)
            snapshots = [(reader, family, self._snapshot(reader, family)) for reader, family in self._families(readers)]
            parts = []
            for reader, family, snapshot in snapshots:
                parts.append((yield from self._part(readers, reader, family, snapshot)))
            if None not in parts or attempt == _TRIES:
                good = [part for part in parts if part is not None]
                yield from MERGING[self.descriptor.kind](Reading(self.descriptor, keys, texts, size, good, own))
                return

    def anew(self) -> View:
        """Return a view of the same family that has met no series yet."""
        return View(self.descriptor, self._space, self._write)

    def _families(self, readers: SlotReaders) -> list[tuple[SlotReader, SlotFamily]]:
        name, descriptor = (self._space, self.descriptor.name), self.descriptor
        named = [(reader, family) for reader in readers.all() for family in reader.log.named.get(name, ())]
        if all(family.definition.descriptor == descriptor for _, family in named):
            self.conflicts = 0
            return named
        alike = [pair for pair in named if pair[1].definition.descriptor.kind == descriptor.kind]
        last = newest(alike).descriptor if alike else descriptor
        found = [pair for pair in alike if pair[1].definition.descriptor == last]
        self.conflicts = len(named) - len(found)
        return found if last == descriptor else []

    def _absorbing(self, readers: SlotReaders) -> Iterator[Sequence[Point]]:
        families = self._families(readers)
        known = {(reader.number, family.number): family for reader, family in families}
        if any(known.get(which) is not layer.family for which, layer in self._layers.items()):
            self._forget()  # a log was written anew: what it no longer has would stay for ever
        for reader, family in families:
            layer = self._layers.setdefault((reader.number, family.number), _Layer(family))
            while layer.taken < len(family.keys):
                self._absorb(layer, family)
                yield ()

    def _forget(self) -> None:
        self.keys, self.texts = [], []
        self._ordinals, self._layers = {}, {}

    def _absorb(self, layer: _Layer, family: SlotFamily) -> None:
        stop = min(layer.taken + _ABSORBED, len(family.keys))
        for key, number in zip(family.keys[layer.taken : stop], family.numbers[layer.taken : stop], strict=True):
            ordinal = self._ordinals.get(key)
            if ordinal is None:
                ordinal = self._ordinals[key] = len(self.keys)
                self.texts.append(None if self._write is None else self._write(key))
                self.keys.append(key)
            layer.in_order = layer.in_order and ordinal == number == len(layer.places)
            if ordinal == len(layer.places):
                layer.places.append(number)
            else:
                layer.places.extend(repeat(MISSING, ordinal + 1 - len(layer.places)))
                layer.places[ordinal] = number
        layer.taken = stop

    def _snapshot(self, reader: SlotReader, family: SlotFamily) -> _Layer | None:
        """Return a slot's layer as it is: others may number more series while its cells are read."""
        layer = self._layers.get((reader.number, family.number))
        if layer is None or layer.family is not family:
            return None
        return layer.snapshot(len(self.keys))

    def _part(
        self, readers: SlotReaders, reader: SlotReader, family: SlotFamily, layer: _Layer | None
    ) -> Generator[Sequence[Point], None, Part | None]:
        """Return the numbers of a slot, None for one whose log was written anew this moment."""
        if layer is None:
            return None
        changes = yield from readers.read(reader, family)
        if changes is None:
            return None
        cells = family.cells  # of this reading: others go on to newer ones
        live = self.descriptor.kind in BY_WORKER and reader.is_live
        if layer.changes != changes or changes == UNSTEADY:
            layer.changes, layer.has_gaps = changes, family.has_gaps()
            kept = self._layers.get((reader.number, family.number))
            if kept is not None and kept.family is family:
                kept.changes, kept.has_gaps = layer.changes, layer.has_gaps
            yield ()
        return Part(reader.number, live, family, cells, layer.places, layer.has_gaps, layer.in_order)


def newest(families: Iterable[tuple[SlotReader, SlotFamily]]) -> Definition:
    """Return the definition that counts."""
    _, family = max(families, key=lambda pair: (pair[0].is_live, pair[1].definition.declared))
    return family.definition
