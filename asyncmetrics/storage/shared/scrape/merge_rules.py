"""The numbers of one family at the moment of a reading, put together as points: how workers become one.

========== ============================================================================================
counter    the sum over all slots, dead ones as well; so are summaries and histograms, bucket by bucket
gauge      by its mode; ``all`` and ``liveall`` show each worker's number under a label, ``worker``
info       every set of facts that a live worker tells, once
stateset   each live worker's state under the label ``worker``
========== ============================================================================================

The points of a slice are put together in one step, by a few calls of C functions a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import compress, repeat
from operator import add, itemgetter
from typing import Any, NamedTuple, TypeAlias

from asyncmetrics.model.family import Point
from asyncmetrics.model.kinds import Merge
from asyncmetrics.model.samples import Exemplar
from asyncmetrics.storage.protocol import choose_worker_label
from asyncmetrics.storage.shared.files.log import Joined, Key
from asyncmetrics.storage.shared.scrape.snapshot import NO_EXEMPLARS, NOTHING, SLICE, Part, Reading

__all__ = ("MERGE_RULES",)

_SHORT = SLICE // 4  # for points that take long to put together


class _ValuePoint(NamedTuple):
    """A counter or gauge."""

    joined: Joined
    label_block: str | None
    value: float
    exemplar: Exemplar | None
    ordinal: int
    reading: Reading

    @property
    def labelvalues(self) -> Key:
        """The label values: asked for where a label block has to be written anew."""
        return self.reading.split(self.joined)

    def read_numbers(self) -> Sequence[float]:
        """Return the value."""
        return (self.value,)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplar of this process."""
        return NO_EXEMPLARS if self.exemplar is None else {0: self.exemplar}

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the label that tells workers apart, where there is one."""
        return self.reading.details

    @property
    def created(self) -> float:
        """When the oldest part was made."""
        return self.reading.created_of(self.ordinal)


class _RowsPoint(NamedTuple):
    """A summary or histogram."""

    joined: Joined
    label_block: str | None
    ordinal: int
    reading: Reading

    @property
    def labelvalues(self) -> Key:
        """The label values: asked for where a label block has to be written anew."""
        return self.reading.split(self.joined)

    def read_numbers(self) -> Sequence[float]:
        """Return the rows, added up over all slots."""
        return self.reading.numbers(self.ordinal)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the exemplars of this process."""
        return self.reading.exemplars_of(self.labelvalues)

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return nothing."""
        return NOTHING

    @property
    def created(self) -> float:
        """When the oldest part was made."""
        return self.reading.created_of(self.ordinal)


class _FixedPoint(NamedTuple):
    """An info or a state set."""

    labelvalues: Key
    label_block: str | None
    rows: Sequence[float]
    extra: Mapping[str, str]
    created: float = 0.0

    def read_numbers(self) -> Sequence[float]:
        """Return the rows."""
        return self.rows

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return nothing."""
        return NO_EXEMPLARS

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the facts, or the worker."""
        return self.extra


def _added(reading: Reading) -> Iterator[Sequence[Point]]:
    """Yield the points of a counter: benchmarks/workers.py."""
    yield from reading.string(0)
    has_gaps, exemplary = reading.has_gaps, reading.own.exemplary
    for piece in reading.slices() if reading.parts else ():
        values = reduce(_sums, [part.pick(0, piece) for part in reading.parts])
        exemplars: Iterable[Exemplar | None] = repeat(None)
        if exemplary:
            exemplars = [reading.exemplars_of(key).get(0) for key in reading.keys(piece)]
        ordinals = range(piece.start, piece.stop)
        fields = zip(reading.joined(piece), reading.texts(piece), values, exemplars, ordinals, repeat(reading))
        points: Iterator[_ValuePoint] = map(_MAKE, fields)
        yield list(compress(points, reading.shown(piece)) if has_gaps else points)


# What the class itself does, without a function of Python's in between.
_MAKE: Callable[[Iterable[Any]], _ValuePoint] = partial(tuple.__new__, _ValuePoint)


def _sums(one: Iterable[float], other: Iterable[float]) -> Iterable[float]:
    return map(add, one, other)


def _rows_added(reading: Reading) -> Iterator[Sequence[Point]]:
    """Yield the points of a summary or histogram."""
    yield from reading.string()
    has_gaps = reading.has_gaps
    for piece in reading.slices() if reading.parts else ():
        ordinals = range(piece.start, piece.stop)
        points = map(_RowsPoint, reading.joined(piece), reading.texts(piece), ordinals, repeat(reading))
        yield list(compress(points, reading.shown(piece)) if has_gaps else points)


def _gauges(reading: Reading) -> Iterator[Sequence[Point]]:
    mode = reading.descriptor.mode
    if mode.startswith("live"):
        reading = reading.of([part for part in reading.parts if part.live])
    yield from reading.string(0)
    fold = _FOLDS.get(mode.removeprefix("live"))
    if fold is not None:
        yield from _folded(reading, fold)
        return
    for part in reading.parts:
        yield from _of_worker(reading, part)


def _of_worker(reading: Reading, part: Part) -> Iterator[Sequence[Point]]:
    """Yield one worker's gauges under its label."""
    label, worker = choose_worker_label(reading.descriptor.all_labelnames), str(part.slot)
    alone = reading.of([part], {label: worker})
    for piece in alone.slices():
        ordinals, values = range(piece.start, piece.stop), part.pick(0, piece)
        series = zip(ordinals, reading.joined(piece), reading.texts(piece), values, strict=True)
        yield [
            _ValuePoint(key, _with_label(text, label, worker), value, None, ordinal, alone)
            for ordinal, key, text, value in compress(series, part.pick_fresh(reading.own.ttl, piece))
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
    ttl = reading.own.ttl
    for piece in reading.slices(_SHORT) if reading.parts else ():
        fresh = zip(*(part.pick_fresh(ttl, piece) for part in reading.parts), strict=True)
        values = zip(*(part.pick(0, piece) for part in reading.parts), strict=True)
        ordinals = range(piece.start, piece.stop)
        series = zip(ordinals, reading.joined(piece), reading.texts(piece), fresh, values, strict=True)
        points = []
        for ordinal, key, text, times, numbers in series:
            found = [pair for pair in zip(times, numbers, strict=True) if pair[0]]
            if found:
                points.append(_ValuePoint(key, text, fold(found), None, ordinal, reading))
        yield points


def _infos(reading: Reading) -> Iterator[Sequence[Point]]:
    table = reading.own.by_values
    others = reading.of([part for part in reading.parts if part.live and part.slot != reading.own.slot])
    yield from others.string()
    for piece in others.slices(_SHORT):
        present = [(part, [*part.pick(part.presence, piece)]) for part in others.parts]
        points: list[Point] = []
        for at, key in enumerate(reading.keys(piece)):
            child = table.get(key)
            told = [] if child is None else [child.read_extra_labels()]
            told += [part.facts(part.place(piece.start + at)) for part, there in present if there[at]]
            points += _facts_points(key, told)
        yield points
    for batch in reading.own.children():  # those that no slot has, for want of room
        alone = [child for child in batch if reading.is_beyond(child.labelvalues)]
        yield [point for child in alone for point in _facts_points(child.labelvalues, [child.read_extra_labels()])]


def _facts_points(key: Key, told: Sequence[Mapping[str, str]]) -> Iterator[Point]:
    texts = {tuple(sorted(facts.items())): facts for facts in told}
    if len(texts) > 1:
        texts.pop((), None)  # a worker that has not said anything yet
    return (_FixedPoint(key, None, (1.0,), facts) for facts in texts.values())


def _states(reading: Reading) -> Iterator[Sequence[Point]]:
    label = choose_worker_label((*reading.descriptor.all_labelnames, reading.descriptor.name))
    count, ttl = len(reading.descriptor.states), reading.own.ttl
    length = max(1, min(SLICE, 1 << (1024 // max(1, count)).bit_length()))  # numbers of about a thousand states
    reading = reading.of([part for part in reading.parts if part.live])
    yield from reading.string(0)
    for part in reading.parts:
        worker = str(part.slot)
        for piece in reading.of([part]).slices(length):
            series = zip(reading.keys(piece), reading.texts(piece), part.pick(0, piece), strict=True)
            yield [
                _FixedPoint(
                    key,
                    _with_label(text, label, worker),
                    [float(index == state) for index in range(count)],
                    {label: worker},
                )
                for key, text, state in compress(series, part.pick_fresh(ttl, piece))
            ]


MERGE_RULES: dict[Merge, Callable[[Reading], Iterator[Sequence[Point]]]] = {
    "add_value": _added,
    "add_rows": _rows_added,
    "by_mode": _gauges,
    "each_fact": _infos,
    "each_state": _states,
}
"""What merges a family, by the `MetricKind.merge` of its kind."""
