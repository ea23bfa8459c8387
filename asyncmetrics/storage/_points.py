"""The numbers of one family at the moment of a reading, put together as points: how workers become one.

========== ============================================================================================
counter    the sum over all slots, dead ones as well; so are summaries and histograms, bucket by bucket
gauge      by its mode; ``all`` and ``liveall`` show each worker's number under a label, ``worker``
info       every set of facts that a live worker tells, once
stateset   each live worker's state under the label ``worker``
========== ============================================================================================

*Theory of operation.* Cells are taken column by column, so that adding them up for a slice of series is a few calls of
C functions; a column has a zero at its end, for the series that a slot does not have.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import accumulate, compress, repeat
from operator import add, itemgetter
from typing import Any, NamedTuple, TypeAlias, final

from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import Point
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage._reading import SlotFamily
from asyncmetrics.storage.base import worker_label

__all__ = ("BY_WORKER", "MERGING", "MISSING", "Key", "OwnPart", "Part", "Reading")

_SLICE = 512
MISSING = -1
_NOTHING: Mapping[str, str] = {}
_NO_EXEMPLARS: Mapping[int, Exemplar] = {}

Key: TypeAlias = tuple[str, ...]
Column: TypeAlias = "array[float]"


class OwnPart(NamedTuple):
    """What a reading takes from this process itself.

    ``slot`` is its slot (None without one), ``table`` its children, ``exemplary`` tells whether any child has had an
    exemplar. ``ttl`` is the family's here.
    """

    slot: int | None
    table: Mapping[Key, Any]
    exemplary: bool = False
    ttl: float | None = None


@final
class Part(NamedTuple):
    """One slot's numbers of a family at the moment of a reading, and their places by the view's order."""

    slot: int
    live: bool
    family: SlotFamily
    cells: Column
    places: list[int]
    has_gaps: bool
    in_order: bool

    def picked(self, column: Column, piece: slice) -> Iterable[float]:
        """Return what a column has for a slice of the view's series."""
        if self.in_order:
            return column[piece]
        return map(column.__getitem__, self.places[piece])

    def column(self, index: int) -> Column:
        """Return the same cell of all series, and a zero at the end."""
        found = self.cells[index :: self.family.definition.stride]
        found.frombytes(bytes(8 * max(1, len(self.places) - len(found))))
        return found

    @property
    def presence(self) -> Column:
        """Return for each series when it was set or made, 0 where it is not there."""
        return self.column(self.family.definition.presence)

    def fresh(self, ttl: float | None) -> Column:
        """Return what is 0 for the series that are not there, or have not changed for ``ttl`` seconds."""
        definition = self.family.definition
        if ttl is None or not definition.ages:
            return self.presence
        now = time.monotonic()
        changed = self.column(definition.presence + 1)
        pairs = zip(self.presence, changed, strict=True)
        return array("d", [there if 0 <= now - at < ttl else 0.0 for there, at in pairs])


@final
class Reading:
    """The parts of one reading, and what points ask of them later.

    It is about the first ``size`` of ``keys``: others may add to those meanwhile.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        keys: list[Key],
        texts: list[str | None],
        size: int,
        parts: list[Part],
        own: OwnPart,
    ) -> None:
        self.keys, self.texts, self.size = keys, texts, size
        self.descriptor = descriptor
        self.parts = parts
        self.own = own
        self.details = _NOTHING

    def of(self, part: Part, details: Mapping[str, str]) -> Reading:
        """Return the reading of one part alone, whose points have a label more."""
        alone = Reading(self.descriptor, self.keys, self.texts, self.size, [part], self.own)
        alone.details = details
        return alone

    def numbers(self, ordinal: int) -> Sequence[float]:
        """Return the numbers of a summary or histogram, in the order of the descriptor's rows."""
        total: Sequence[float] | None = None
        for part in self.parts:
            place = part.places[ordinal]
            if place != MISSING:
                stride, width = part.family.definition.stride, part.family.definition.presence
                found = part.cells[place * stride : place * stride + width]
                total = found if total is None else list(map(add, total, found))
        return _rows(self.descriptor, total or ())

    def created_of(self, ordinal: int) -> float:
        """Return when the oldest part of a series was made."""
        found = []
        for part in self.parts:
            place = part.places[ordinal]
            definition = part.family.definition
            if place != MISSING:
                found.append(part.cells[place * definition.stride + definition.presence])
        return min(filter(None, found), default=0.0)

    def exemplars_of(self, key: Key) -> Mapping[int, Exemplar]:
        """Return the exemplars that this process has."""
        child = self.own.table.get(key) if self.own.exemplary else None
        return _NO_EXEMPLARS if child is None else child.exemplars()

    def slices(self) -> Iterator[slice]:
        """Yield the slices that a reading is done in."""
        return (slice(start, min(start + _SLICE, self.size)) for start in range(0, self.size, _SLICE))

    def there(self) -> Callable[[slice], Sequence[object] | None]:
        """Return what tells which series of a slice are shown, or None for all."""
        ttl = self.own.ttl
        if ttl is None and not any(part.has_gaps for part in self.parts):
            return lambda _: None
        columns = [(part, part.fresh(ttl)) for part in self.parts]

        def some(piece: slice) -> Sequence[object]:
            return list(map(any, zip(*_picked(columns, piece), strict=True)))

        return some


class _ValuePoint(NamedTuple):
    """A counter or gauge."""

    labelvalues: Key
    text: str | None
    value: float
    exemplar: Exemplar | None
    ordinal: int
    reading: Reading

    def numbers(self) -> Sequence[float]:
        """Return the value."""
        return (self.value,)

    def exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplar of this process."""
        return _NO_EXEMPLARS if self.exemplar is None else {0: self.exemplar}

    def details(self) -> Mapping[str, str]:
        """Return the label that tells workers apart, where there is one."""
        return self.reading.details

    @property
    def created(self) -> float:
        """When the oldest part was made."""
        return self.reading.created_of(self.ordinal)


class _RowsPoint(NamedTuple):
    """A summary or histogram."""

    labelvalues: Key
    text: str | None
    ordinal: int
    reading: Reading

    def numbers(self) -> Sequence[float]:
        """Return the rows, added up over all slots."""
        return self.reading.numbers(self.ordinal)

    def exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars of this process."""
        return self.reading.exemplars_of(self.labelvalues)

    def details(self) -> Mapping[str, str]:
        """Return nothing."""
        return _NOTHING

    @property
    def created(self) -> float:
        """When the oldest part was made."""
        return self.reading.created_of(self.ordinal)


class _FixedPoint(NamedTuple):
    """An info or a state set."""

    labelvalues: Key
    text: str | None
    rows: Sequence[float]
    extra: Mapping[str, str]
    created: float = 0.0

    def numbers(self) -> Sequence[float]:
        """Return the rows."""
        return self.rows

    def exemplars(self) -> Mapping[int, Exemplar]:
        """Return nothing."""
        return _NO_EXEMPLARS

    def details(self) -> Mapping[str, str]:
        """Return the facts, or the worker."""
        return self.extra


def _rows(descriptor: Descriptor, cells: Sequence[float]) -> Sequence[float]:
    if descriptor.kind != "histogram":
        return tuple(cells)
    cumulative = [*accumulate(cells[:-1])]
    return cumulative if descriptor.buckets[0] < 0 else [*cumulative, cumulative[-1], cells[-1]]


def _picked(columns: Sequence[tuple[Part, Column]], piece: slice) -> list[Iterable[float]]:
    return [part.picked(column, piece) for part, column in columns]


def _added(reading: Reading) -> Iterator[Sequence[Point]]:
    """Yield the points of a counter: benchmarks/workers.py."""
    columns = []
    for part in reading.parts:
        columns.append((part, part.column(0)))
        yield ()
    there = reading.there()
    for piece in reading.slices() if columns else ():
        keys = reading.keys[piece]
        values = reduce(_sums, _picked(columns, piece))
        exemplars: Iterator[Exemplar | None] = repeat(None)
        if reading.own.exemplary:
            exemplars = iter([reading.exemplars_of(key).get(0) for key in keys])
        ordinals = range(piece.start, piece.stop)
        fields = zip(keys, reading.texts[piece], values, exemplars, ordinals, repeat(reading))
        points: Iterator[_ValuePoint] = map(_MAKE, fields)
        shown = there(piece)
        yield list(points if shown is None else compress(points, shown))


# What the class itself does, without a function of Python's in between.
_MAKE: Callable[[Iterable[Any]], _ValuePoint] = partial(tuple.__new__, _ValuePoint)


def _sums(one: Iterable[float], other: Iterable[float]) -> Iterable[float]:
    return map(add, one, other)


def _rows_added(reading: Reading) -> Iterator[Sequence[Point]]:
    """Yield the points of a summary or histogram."""
    there = reading.there()
    for piece in reading.slices() if reading.parts else ():
        ordinals = range(piece.start, piece.stop)
        points = map(_RowsPoint, reading.keys[piece], reading.texts[piece], ordinals, repeat(reading))
        shown = there(piece)
        yield list(points if shown is None else compress(points, shown))


def _gauges(reading: Reading) -> Iterator[Sequence[Point]]:
    mode = reading.descriptor.mode
    if mode.startswith("live"):
        reading.parts = [part for part in reading.parts if part.live]
    fold = _FOLDS.get(mode.removeprefix("live"))
    if fold is not None:
        yield from _folded(reading, fold)
        return
    for part in reading.parts:
        yield from _of_worker(reading, part)


def _of_worker(reading: Reading, part: Part) -> Iterator[Sequence[Point]]:
    """Yield one worker's gauges under its label."""
    label, worker = worker_label(reading.descriptor.all_labelnames), str(part.slot)
    alone = reading.of(part, {label: worker})
    values, fresh = part.column(0), part.fresh(reading.own.ttl)
    for piece in reading.slices():
        ordinals = range(piece.start, piece.stop)
        series = zip(ordinals, reading.keys[piece], reading.texts[piece], part.places[piece], strict=True)
        yield [
            _ValuePoint(key, _with_label(text, label, worker), values[place], None, ordinal, alone)
            for ordinal, key, text, place in series
            if fresh[place]
        ]


def _with_label(text: str | None, label: str, worker: str) -> str | None:
    return text and f'{text},{label}="{worker}"' if text != "" else f'{label}="{worker}"'


_Fold: TypeAlias = Callable[[list[tuple[float, float]]], float]
# How the numbers of several workers become one: each comes with when it was set.
_FOLDS: dict[str, _Fold] = {
    "min": lambda found: min(value for _, value in found),
    "max": lambda found: max(value for _, value in found),
    "sum": lambda found: sum(value for _, value in found),
    "mostrecent": lambda found: max(found, key=itemgetter(0))[1],
}


def _folded(reading: Reading, fold: _Fold) -> Iterator[Sequence[Point]]:
    columns = [(part.places, part.column(0), part.fresh(reading.own.ttl)) for part in reading.parts]
    for piece in reading.slices():
        points = []
        for ordinal in range(piece.start, piece.stop):
            key = reading.keys[ordinal]
            found = [
                (fresh[place], values[place]) for places, values, fresh in columns if fresh[place := places[ordinal]]
            ]
            if found:
                points.append(_ValuePoint(key, reading.texts[ordinal], fold(found), None, ordinal, reading))
        yield points


def _infos(reading: Reading) -> Iterator[Sequence[Point]]:
    others = [(part, part.presence) for part in reading.parts if part.live and part.slot != reading.own.slot]
    own = {key: child.details() for key, child in list(reading.own.table.items())}
    ordinals = {key: ordinal for ordinal, key in enumerate(reading.keys[: reading.size])}
    keys = dict.fromkeys([*own, *ordinals])
    points: list[Point] = []
    for key in keys:
        told = [own[key]] if key in own else []
        for part, presence in others:
            place = part.places[ordinals[key]] if key in ordinals else MISSING
            if presence[place]:
                told.append(part.family.facts_of(place))
        texts = {tuple(sorted(facts.items())): facts for facts in told}
        if len(texts) > 1:
            texts.pop((), None)  # a worker that has not said anything yet
        points += [_FixedPoint(key, None, (1.0,), facts) for facts in texts.values()]
    yield points


def _states(reading: Reading) -> Iterator[Sequence[Point]]:
    label = worker_label((*reading.descriptor.all_labelnames, reading.descriptor.name))
    count = len(reading.descriptor.states)
    for part in reading.parts:
        if part.live:
            fresh, states, worker = part.fresh(reading.own.ttl), part.column(0), str(part.slot)
            yield [
                _FixedPoint(
                    key,
                    _with_label(text, label, worker),
                    [float(index == states[place]) for index in range(count)],
                    {label: worker},
                )
                for key, text, place in zip(reading.keys, reading.texts, part.places, strict=False)
                if fresh[place]
            ]


BY_WORKER = frozenset({"gauge", "info", "stateset"})
MERGING: dict[str, Callable[[Reading], Iterator[Sequence[Point]]]] = {
    "counter": _added,
    "gauge": _gauges,
    "summary": _rows_added,
    "histogram": _rows_added,
    "info": _infos,
    "stateset": _states,
}
