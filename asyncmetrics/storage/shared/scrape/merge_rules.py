"""How the numbers of several slots become the points of one family, by kind of metric.

========== ============================================================================================
counter    the sum over all slots, those of dead workers too; so are summaries and histograms, per bucket.
           A native histogram has the coarsest resolution of all.
           With ``per_worker`` each slot's numbers with the label ``worker``
gauge      by its mode; ``all`` and ``liveall`` expose each worker's number with the label ``worker``
info       every different set of facts that live workers have, once
stateset   each live worker's state with the label ``worker``
========== ============================================================================================

Each step merges the points of one slice, with a few calls of C functions per slot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import compress, repeat
from operator import add, itemgetter
from typing import Any, NamedTuple, TypeAlias

from asyncmetrics.model.family import Point
from asyncmetrics.model.kinds import Merge
from asyncmetrics.model.native import MAX_EXEMPLARS, NativeOptions, merge_stages
from asyncmetrics.model.samples import Exemplar, NativeHistogram
from asyncmetrics.storage.shared.files.blocks import read_block
from asyncmetrics.storage.shared.files.definition import BUCKETS
from asyncmetrics.storage.shared.files.exemplar_cells import get_time
from asyncmetrics.storage.shared.files.keys import JoinedKey, Key
from asyncmetrics.storage.shared.scrape.snapshot import NO_EXEMPLARS, SLICE, Snapshot

__all__ = ("MERGE_RULES", "merge_counters", "merge_gauges", "merge_infos", "merge_rows", "merge_states")

_SHORT_SLICE = SLICE // 4  # for points that Python code merges one by one, which takes longer than C functions do
_STEP_STATES = 1024  # numbers that one step makes for state sets: about four slices of other points


class _ValuePoint(NamedTuple):
    """A series of a counter or gauge, in a family without exemplars."""

    joined: JoinedKey
    label_block: str | None
    ordinal: int
    snapshot: Snapshot
    value: float = 0.0
    exemplar: Exemplar | None = None

    @property
    def labelvalues(self) -> Key:
        """The label values, split when they are read; a family that keeps its label blocks does not need them."""
        return self.snapshot.split_key(self.joined)

    def read_numbers(self) -> Sequence[float]:
        """Return the value."""
        return (self.value,)

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the newest exemplars of all workers."""
        snapshot = self.snapshot
        return snapshot.find_exemplars(self.joined, self.ordinal) if snapshot.has_exemplars else NO_EXEMPLARS

    def read_native(self) -> NativeHistogram | None:
        """Return the native histogram of a histogram that has one."""
        return None

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the label ``worker`` with the slot's number, if each worker is exposed."""
        return self.snapshot.extra_labels

    @property
    def created(self) -> float:
        """When the series was made in the slot that has had it longest."""
        return self.snapshot.find_created(self.ordinal)


class _ExemplarPoint(_ValuePoint):
    """A series of a counter whose family may have exemplars, which are read when they are asked for."""

    __slots__ = ()

    @property
    def exemplar(self) -> Exemplar | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The newest exemplar of all workers."""
        return self.read_exemplars().get(0)


class _RowsPoint(_ValuePoint):
    """A series of a summary or histogram, whose slots are added when it is read: it has no value before."""

    __slots__ = ()

    def read_numbers(self) -> Sequence[float]:
        """Return the rows, added over all slots."""
        return self.snapshot.sum_rows(self.ordinal)

    def read_counts(self) -> tuple[Sequence[float], float]:
        """Return the counts of the buckets of a histogram, each alone, and its sum."""
        cells = self.snapshot.sum_cells(self.ordinal)
        return cells[:-1], cells[-1]


class _NativePoint(_RowsPoint):
    """A series of a native histogram."""

    __slots__ = ()

    def read_native(self) -> NativeHistogram:
        """Return the native histogram of all slots, with the newest exemplars of all workers."""
        snapshot = self.snapshot
        options = snapshot.descriptor.native or NativeOptions()
        blocks = map(read_block, snapshot.iter_members(BUCKETS, self.ordinal))
        stages = [stage for stage in blocks if stage is not None] or [(options.schema, options.zero_threshold, {})]
        total = snapshot.sum_cells(self.ordinal)[-1]
        return merge_stages(stages, total, self._list_exemplars())

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return the newest exemplars by their classic buckets: only the last one if ``+Inf`` is the only bucket."""
        if not self.snapshot.descriptor.is_native_only:
            return super().read_exemplars()
        newest = self._list_exemplars()
        return {0: newest[-1]} if newest else NO_EXEMPLARS

    def _list_exemplars(self) -> list[Exemplar]:
        """Return the newest exemplars of all workers, in the order of their times."""
        exemplars = sorted(super().read_exemplars().values(), key=get_time)
        return exemplars[-MAX_EXEMPLARS:] if self.snapshot.descriptor.is_native_only else exemplars


class _FixedPoint(NamedTuple):
    """A series of an info or a state set."""

    labelvalues: Key
    label_block: str | None
    rows: Sequence[float]
    extra: Mapping[str, str]
    created: float = 0.0

    def read_numbers(self) -> Sequence[float]:
        """Return the rows."""
        return self.rows

    def read_exemplars(self) -> Mapping[int, Exemplar]:
        """Return no exemplars."""
        return NO_EXEMPLARS

    def read_native(self) -> NativeHistogram | None:
        """Return no histogram."""
        return None

    def read_extra_labels(self) -> Mapping[str, str]:
        """Return the facts of an info, or the label of the worker that has the state."""
        return self.extra


def merge_counters(snapshot: Snapshot) -> Iterator[Sequence[Point]]:
    """Yield the points of a counter."""
    yield from snapshot.build_columns(0)
    # A format writes a slice of counters in one step, and an exemplar takes ten times as long as a number.
    length = _SHORT_SLICE if snapshot.has_exemplars else SLICE
    yield from _merge_slices(snapshot, _make_value_points, per_worker=snapshot.descriptor.per_worker, length=length)


def merge_rows(snapshot: Snapshot) -> Iterator[Sequence[Point]]:
    """Yield the points of a summary or histogram."""
    yield from snapshot.build_columns()
    yield from _merge_slices(snapshot, _make_rows_points, per_worker=snapshot.descriptor.per_worker)


def _merge_slices(
    snapshot: Snapshot,
    make_points: Callable[[Snapshot, slice], Iterator[Point]],
    *,
    per_worker: bool,
    length: int = SLICE,
) -> Iterator[Sequence[Point]]:
    for part in snapshot.split() if per_worker else (snapshot,):
        has_gaps = part.has_gaps
        for piece in part.cut_slices(length) if part.slots else ():
            points = make_points(part, piece)
            yield list(compress(points, part.list_present(piece)) if has_gaps else points)


def _make_value_points(snapshot: Snapshot, piece: slice) -> Iterator[Point]:
    """Return points whose values are added up. No Python function is called per point: benchmarks/workers.py."""
    values = reduce(_add_values, [slot.read_cells(0, piece) for slot in snapshot.slots])
    fields = zip(*_list_fields(snapshot, piece), values, repeat(None), strict=False)  # some of them never end
    return map(_MAKE_EXEMPLAR_POINT if snapshot.has_exemplars else _MAKE_VALUE_POINT, fields)


def _make_rows_points(snapshot: Snapshot, piece: slice) -> Iterator[Point]:
    make = _RowsPoint if snapshot.descriptor.native is None else _NativePoint
    return map(make, *_list_fields(snapshot, piece))


def _list_fields(snapshot: Snapshot, piece: slice) -> tuple[Iterable[Any], ...]:
    """Return the first fields of a slice's points."""
    keys, blocks = snapshot.get_joined_keys(piece), snapshot.get_label_blocks(piece)
    return keys, blocks, range(piece.start, piece.stop), repeat(snapshot)


# Calling the class would call its `__new__`, which is a Python function, for each point.
_MAKE_VALUE_POINT: Callable[[Iterable[Any]], _ValuePoint] = partial(tuple.__new__, _ValuePoint)
_MAKE_EXEMPLAR_POINT: Callable[[Iterable[Any]], _ExemplarPoint] = partial(tuple.__new__, _ExemplarPoint)


def _add_values(one: Iterable[float], other: Iterable[float]) -> Iterable[float]:
    return map(add, one, other)


def merge_gauges(snapshot: Snapshot) -> Iterator[Sequence[Point]]:
    """Yield the points of a gauge, by its mode."""
    mode = snapshot.descriptor.mode
    if mode.startswith("live"):
        snapshot = snapshot.select_live()
    yield from snapshot.build_columns(0)
    fold = _FOLDS.get(mode.removeprefix("live"))
    if fold is None:
        yield from _merge_slices(snapshot, _make_value_points, per_worker=True)
    else:
        yield from _fold_values(snapshot, fold)


_Fold: TypeAlias = Callable[[list[tuple[float, float]]], float]
# How the numbers of several workers become one, by mode; a pair is the time at which a number was set, and the number.
_FOLDS: dict[str, _Fold] = {
    "min": lambda pairs: min(value for _, value in pairs),
    "max": lambda pairs: max(value for _, value in pairs),
    "sum": lambda pairs: sum(value for _, value in pairs),
    "mostrecent": lambda pairs: max(pairs, key=itemgetter(0))[1],
}


def _fold_values(snapshot: Snapshot, fold: _Fold) -> Iterator[Sequence[Point]]:
    ttl = snapshot.local.ttl
    for piece in snapshot.cut_slices(_SHORT_SLICE) if snapshot.slots else ():
        present = zip(*(slot.read_presence(ttl, piece) for slot in snapshot.slots), strict=True)
        values = zip(*(slot.read_cells(0, piece) for slot in snapshot.slots), strict=True)
        keys, blocks = snapshot.get_joined_keys(piece), snapshot.get_label_blocks(piece)
        series = zip(range(piece.start, piece.stop), keys, blocks, present, values, strict=True)
        points = []
        for ordinal, key, block, set_times, numbers in series:
            pairs = [pair for pair in zip(set_times, numbers, strict=True) if pair[0]]
            if pairs:
                points.append(_ValuePoint(key, block, ordinal, snapshot, fold(pairs)))
        yield points


def merge_infos(snapshot: Snapshot) -> Iterator[Sequence[Point]]:
    """Yield the points of an info."""
    live, ttl = snapshot.select_live(), snapshot.local.ttl
    yield from live.build_columns()
    for piece in live.cut_slices(_SHORT_SLICE):
        present = [(slot, [*slot.read_presence(ttl, piece)]) for slot in live.slots]
        points: list[Point] = []
        for at, key in enumerate(live.get_keys(piece)):
            facts = [slot.read_facts(slot.find_number(piece.start + at)) for slot, presence in present if presence[at]]
            points += _make_info_points(key, facts)
        yield points


def _make_info_points(key: Key, facts: Sequence[Mapping[str, str]]) -> Iterator[Point]:
    different = {tuple(sorted(one.items())): one for one in facts}
    if len(different) > 1:
        different.pop((), None)  # of a worker that has not set any facts yet
    return (_FixedPoint(key, None, (1.0,), one) for one in different.values())


def merge_states(snapshot: Snapshot) -> Iterator[Sequence[Point]]:
    """Yield the points of a state set."""
    count, ttl = len(snapshot.descriptor.states), snapshot.local.ttl
    length = max(1, min(SLICE, 1 << (_STEP_STATES // max(1, count)).bit_length()))
    live = snapshot.select_live()
    yield from live.build_columns(0)
    for part in live.split():
        (slot,) = part.slots
        for piece in part.cut_slices(length):
            series = zip(part.get_keys(piece), part.get_label_blocks(piece), slot.read_cells(0, piece), strict=True)
            yield [
                _FixedPoint(key, block, [float(index == state) for index in range(count)], part.extra_labels)
                for key, block, state in compress(series, slot.read_presence(ttl, piece))
            ]


MERGE_RULES: dict[Merge, Callable[[Snapshot], Iterator[Sequence[Point]]]] = {
    "add_value": merge_counters,
    "add_rows": merge_rows,
    "by_mode": merge_gauges,
    "each_fact": merge_infos,
    "each_state": merge_states,
}
"""The function that merges a family, by the `MetricKind.merge` of its kind."""
