"""Holds the samples of one family to the rules of OpenMetrics 1.0, in the order in which a reader finds them.

*Theory of operation.* The samples of one child at one time are a "MetricPoint", and their lines are contiguous.

1. A sample of another child or time than the last one begins a point. `FamilyRules` checks the values of the point
   that ends here, and checks that the new child was not there before, or only at earlier times.
2. Each sample is checked by itself, and its value is added to those of the point. A second sample with the same
   timestamp is a repeat, which a reader leaves out, as Prometheus does: the timestamps may have differed by less than a
   nanosecond. Without a timestamp it is an error.
3. The end of the family ends the last point.
"""

from __future__ import annotations

from typing import TypeAlias, final

from asyncmetrics.formats.rules import find_buckets_problem, find_exemplar_problem, find_value_problem
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Moment, Sample, get_moment

__all__ = ("FamilyRules",)

_Labels: TypeAlias = frozenset[tuple[str, str]]


@final
class FamilyRules:
    """The rules for the family ``name`` of type ``kind``.

    Call `check_sample` for each sample and `check_end` after the last. Both return what is wrong, or ``""``. Leave out
    a sample for which ``is_repeat`` is true after `check_sample`.
    """

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self._child: _Labels | None = None
        self._time: Moment | None = None
        self._seen: set[_Labels] = set()
        self._point: dict[tuple[str, str], float] = {}
        self.is_repeat = False

    def check_sample(self, sample: Sample) -> str:
        """Return what is wrong with the next sample, or with the point that it ends."""
        suffix = sample.name.removeprefix(self._name)
        problem = find_value_problem(self._name, self._kind, suffix, sample.labels, sample.value)
        if not problem and sample.exemplar is not None:
            problem = find_exemplar_problem(self._kind, suffix, sample.labels, sample.exemplar)
        return problem or self._add(sample, suffix)

    def check_end(self) -> str:
        """Return what is wrong with the point that is complete now."""
        return find_buckets_problem(self._kind, self._point) if KINDS[self._kind].totals and self._point else ""

    def _add(self, sample: Sample, suffix: str) -> str:
        own = KINDS[self._kind].get_own_label(self._name, suffix)
        problem = ""
        child = frozenset(item for item in sample.labels.items() if item[0] != own)
        time = None if sample.timestamp is None else get_moment(sample.timestamp)
        if child != self._child or time != self._time:
            problem = self.check_end() or self._begin_point(child, time)
        key = (suffix, sample.labels.get(own, ""))
        self.is_repeat = key in self._point
        if self.is_repeat and time is None:
            problem = problem or "this sample occurs twice"
        self._point.setdefault(key, sample.value)
        return problem

    def _begin_point(self, child: _Labels, time: Moment | None) -> str:
        is_later = child == self._child and self._time is not None and time is not None and time > self._time
        is_repeated = child in self._seen and not is_later
        self._seen.add(child)
        self._child, self._time, self._point = child, time, {}
        return "the samples of one child are contiguous, in increasing order of their timestamps" if is_repeated else ""
