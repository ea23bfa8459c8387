"""What children of native histograms do besides the quick path of an observation: new buckets, limits and readings.

*Rules.* Those of `asyncmetrics.storage.memory.plain`, and:

- A dict of counts that a child had once stays one of its ``_stages``: a thread that loaded it before a change of stage
  may still count in it, and loses nothing.
- Make no call between the changes of one observation, nor between the copies of one reading. ``[*map(f, items)]`` with
  ``map`` bound before is one opcode, in which C functions alone run.
- A bucket is in its dict, with the count 0.0, before an observation is added to it.

*Theory of operation.* ``_stage`` is what an observation needs: the lower bounds of the schema, the zero threshold, the
schema and the counts by key (`asyncmetrics.model.native`). The states of a child:

1. *First stage*: ``_stages`` is None. A new bucket beyond ``max_buckets`` leads to 2, or to 3 if a reset is due.
2. *Changed*: ``_stages`` has the counts of each schema. ``_stage`` has half the resolution of the one before. Its dict
   has all buckets that the present ones would lie in, with the count 0.0, so that it says how many there are. Readings
   merge all of them.
   In 1 and 2, a stage with a wider zero bucket may replace ``_stage``. It has the same dict: readings add the buckets
   that lie within the zero bucket to it, and nothing counts in them from then on.
3. *Reset*: all dicts are empty and ``_stage`` is the first one again. A thread that loaded a dict before finds no
   bucket in it, and looks for the present stage. The observation that led here is counted again, as client_golang does.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import Any, ClassVar, NoReturn, TypeAlias

from asyncmetrics.children.exemplars import make_exemplar
from asyncmetrics.children.interfaces import HistogramChild
from asyncmetrics.children.table import Child, ChildTable
from asyncmetrics.errors import MetricsError
from asyncmetrics.model.native import (
    MIN_SCHEMA,
    NEGATIVE,
    ZERO,
    NativeOptions,
    Stage,
    find_bound,
    find_key,
    find_last_zero,
    get_bounds,
    halve_key,
    merge_stages,
    to_index,
    to_key,
)
from asyncmetrics.model.samples import Exemplar, NativeHistogram

__all__ = ("Buckets", "NativeBuckets", "get_options")

Buckets: TypeAlias = "tuple[tuple[float, ...], float, int, dict[int, float], int]"
"""A stage: its lower bounds, zero threshold, buckets for each power of two, counts, and schema.

A schema below 0 has None instead of its buckets for each power of two, so that the quick path of an observation fails.
"""


def get_options(table: ChildTable[Any]) -> NativeOptions:
    """Return the options of a table of native histograms."""
    options = table.descriptor.native
    assert options is not None
    return options


class NativeBuckets(Child, HistogramChild):
    """The child of a native histogram; a subclass has the quick path of an observation."""

    __slots__ = ("_exemplars", "_stage", "_stages", "_sum", "created")
    can_reset: ClassVar[bool] = True
    """Whether ``min_reset_seconds`` has an effect."""

    def __init__(self, table: ChildTable[Any], labelvalues: tuple[str, ...]) -> None:
        super().__init__(table, labelvalues)
        options = get_options(table)
        self._stage = self._make_stage(options.schema, options.zero_threshold, {})
        self._stages: dict[int, dict[int, float]] | None = None
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] | None = None
        self.created = time.time()

    def _make_stage(self, schema: int, zero_threshold: float, counts: dict[int, float]) -> Buckets:
        """Return a stage with ``counts``; that of a subclass may have more items."""
        # The product is 20 ns quicker than ``exponent << schema``, which CPython 3.11 does not specialise.
        scale: Any = None if schema < 0 else 1 << schema
        return get_bounds(schema), zero_threshold, scale, counts, schema

    @abstractmethod
    def _count(self, counts: dict[int, float], key: int, amount: float) -> None:
        """Add an observation to its bucket. Raises `KeyError`, and changes nothing, if there is none."""

    @abstractmethod
    def choose_exemplar_place(self, amount: float) -> int:
        """Return the place that the exemplar of an observation of ``amount`` has: one of each place is kept."""

    @abstractmethod
    def _add_exemplar(self, exemplar: Exemplar) -> None:
        """Keep ``exemplar`` as the latest one of its place."""

    @abstractmethod
    def _restart(self, stage: Buckets, clearings: Iterator[None]) -> None:
        """Set all numbers to zero, and go on with ``stage``; each step of ``clearings`` clears one dict of counts."""

    def _observe_rare(self, amount: float, exemplar: Mapping[str, str] | None) -> None:
        """Add an observation that the quick path leaves: of a new bucket, with an exemplar, not above zero, or NaN."""
        if amount != amount:  # noqa: PLR0124  # NaN, by its definition
            self.table.count_dropped_observation()
            return
        if exemplar is not None and (latest := make_exemplar(self, exemplar, amount)):
            self._add_exemplar(latest)
        while True:
            stage = self._stage
            _, low, _, counts, schema = stage[:5]
            key = find_key(amount, schema, low)
            is_new = key not in counts and key != ZERO
            counts.setdefault(key, 0.0)
            try:
                self._count(counts, key, amount)
            except KeyError:  # another thread has reset the child in between
                continue
            break
        if is_new and self._stage is stage:
            self._limit_buckets(stage, amount, exemplar)

    def _limit_buckets(self, stage: Buckets, amount: float, exemplar: Mapping[str, str] | None) -> None:
        """Do what the options say if there are too many buckets: client_golang's ``limitBuckets``."""
        options = get_options(self.table)
        if self._reset_if_due(options):
            self._observe_rare(amount, exemplar)
        elif _is_full(stage, options) and not self._widen(stage, options.max_zero_threshold):
            self._halve(stage)

    def _widen(self, stage: Buckets, limit: float) -> bool:
        """Let the zero bucket have the bucket nearest to zero, up to ``limit``; return whether it does."""
        _, low, _, _, schema = stage[:5]
        if low >= limit:
            return False
        first = min((to_index(key, schema) for key in _list_keys(stage)), default=None)  # None: reset meanwhile
        nearest = inf if first is None else find_bound(first, schema)
        if nearest > limit:
            return False
        self._raise_threshold(stage, nearest)
        return True

    def _raise_threshold(self, stage: Buckets, zero_threshold: float) -> None:
        """Go from ``stage`` to the one with this threshold, which has the same counts."""
        following = self._make_stage(stage[4], zero_threshold, stage[3])
        if self._stage is stage:  # or another thread is further
            self._stage = following

    def _halve(self, stage: Buckets) -> None:
        _, low, _, _, schema = stage[:5]
        if schema > MIN_SCHEMA:
            self._change_stage(stage, schema - 1, low, (halve_key(key, schema) for key in _list_keys(stage)))

    def _change_stage(self, stage: Buckets, schema: int, zero_threshold: float, keys: Iterable[int]) -> None:
        """Go from ``stage`` to the one with this schema and threshold, which has the buckets ``keys``."""
        before = {stage[4]: stage[3]}
        self._stages = stages = self._stages or before  # no call in between: all threads get the same dict
        counts = stages.setdefault(schema, {})
        for key in keys:
            counts.setdefault(key, 0.0)
        following = self._make_stage(schema, zero_threshold, counts)
        if self._stage is stage:  # or another thread is further
            self._stage = following

    def _reset_if_due(self, options: NativeOptions) -> bool:
        """Reset the child if its buckets are too many, or coarser than at the start; return whether it was due."""
        wait, created = options.min_reset_seconds, self.created
        if not (wait and self.can_reset) or time.time() - created < wait:
            return False
        stage = self._stage
        is_changed = stage[1] != options.zero_threshold or self._has_later_stages()
        if not (is_changed or _is_full(stage, options)):
            return False
        stages = self._stages
        all_counts = [self._stage[3]] if stages is None else [*stages.values()]
        first = self._make_stage(options.schema, options.zero_threshold, all_counts[0])
        if self.created == created:  # or another thread has reset it meanwhile
            self._restart(first, map(dict.clear, all_counts))
        return type(self._stage[3]) is dict  # else it has become a stand-in, which passes the observation on

    def _has_later_stages(self) -> bool:
        """Return whether there are buckets of a later stage than the first one."""
        stages = self._stages
        return stages is not None and any([*stages.values()][1:])

    def _copy_stages(self) -> tuple[list[Stage], float]:
        """Return the stages that have counts, and the present one, with the sum of the same moment."""
        _, low, _, counts, schema = self._stage[:5]
        stages = self._stages
        if stages is None:
            total, copy = self._sum, {**counts}
            return [(schema, low, copy)], total
        keys, copying = [*stages], map(dict.copy, [*stages.values()])
        total, copies, low = self._sum, [*copying], self._stage[1]
        found = zip(keys, copies, strict=False)  # another thread may have added a stage after ``keys``
        return [(key, low, copy) for key, copy in found if key == schema or any(copy.values())], total

    def read_native(self) -> NativeHistogram:
        """Return the native histogram of one moment, with its exemplars in the order of their times."""
        stages, total = self._copy_stages()
        return merge_stages(stages, total, self.list_exemplars())

    def list_exemplars(self) -> list[Exemplar]:
        """Return the exemplars in the order of their times."""
        return sorted((self._exemplars or {}).values(), key=_get_time)

    def add_number(self, index: int, amount: float) -> NoReturn:  # noqa: ARG002  # of the interface
        """Raise `MetricsError`."""
        raise MetricsError(
            f"{self!r}: no number of a native histogram can be changed alone, since each observation "
            "belongs to a bucket: use observe()"
        )

    def set_number(self, index: int, value: float) -> NoReturn:
        """Raise `MetricsError`."""
        self.add_number(index, value)


def _is_full(stage: Buckets, options: NativeOptions) -> bool:
    """Return whether a stage has too many buckets, the zero bucket not counted."""
    counts, most = stage[3], options.max_buckets
    return most is not None and len(counts) - (ZERO in counts) > most and len(_list_keys(stage)) > most


def _list_keys(stage: Buckets) -> list[int]:
    """Return the keys of the buckets of a stage that are not within its zero bucket."""
    _, low, _, counts, schema = stage[:5]
    last = to_key(find_last_zero(schema, low), schema)
    return [key for key in [*counts] if last < key < NEGATIVE // 2 or last + NEGATIVE < key < ZERO]


def _get_time(exemplar: Exemplar) -> float:
    return float(exemplar.timestamp or 0.0)
