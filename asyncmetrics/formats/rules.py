"""What OpenMetrics 1.0 asks of the samples of one family, beyond their grammar.

*Theory of operation.* Samples arrive in order. Those of one child at one time (a "MetricPoint") stand together, and
are judged when the next one begins: `FamilyRules` keeps one such group, and the label sets it has seen. Each check
returns what is wrong, or ``""``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf, isnan
from typing import TypeAlias, final

from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS, is_never_negative
from asyncmetrics.model.samples import Exemplar, Sample

__all__ = (
    "FamilyRules",
    "buckets_problem",
    "exemplar_problem",
    "value_problem",
)

EXEMPLAR_LIMIT = 128

_Labels: TypeAlias = frozenset[tuple[str, str]]


def _bucket(labels: Mapping[str, str]) -> str:
    text = labels.get("le", "")
    bound = parse_bound(text)
    if bound is None or isnan(bound):
        return "a bucket needs the label le, a number"
    return "the bound of the last bucket is written +Inf" if bound == inf and text != "+Inf" else ""


def _quantile(labels: Mapping[str, str], value: float) -> str:
    quantile = parse_bound(labels.get("quantile", ""))
    if quantile is None or not 0 <= quantile <= 1:
        return "the label quantile has to be from 0 to 1"
    return "a quantile is not negative" if value < 0 else ""


def value_problem(name: str, kind: str, suffix: str, labels: Mapping[str, str], value: float) -> str:
    """Return why the family ``name`` cannot have a sample with this suffix, labels and value, or ``""``."""
    rules = KINDS[kind]
    if suffix not in rules.suffixes:
        return f"a {kind} has no sample {name}{suffix}"
    if is_never_negative(suffix) and not value >= 0:
        return f"{suffix} can be neither negative nor NaN"
    if suffix == "_gsum" and isnan(value):
        return "_gsum cannot be NaN"
    if suffix in rules.whole and not value.is_integer():
        return f"{suffix} is a whole number"
    if rules.own_label in NUMERIC_LABELS and rules.own_label in labels and suffix != rules.own_suffix:
        return f"{suffix} has no label {rules.own_label}"
    match kind, suffix:
        case "histogram" | "gaugehistogram", "_bucket":
            return _bucket(labels)
        case "summary", "":
            return _quantile(labels, value)
        case "info", _ if value != 1:
            return "the value of an info is 1"
        case "stateset", _ if value not in {0, 1} or name not in labels:
            return f"a state is 0 or 1 and has the label {name!r}"
    return ""


def exemplar_problem(kind: str, suffix: str, labels: Mapping[str, str], exemplar: Exemplar) -> str:
    """Return why a sample with this suffix and these labels cannot have the exemplar, or ``""``."""
    if suffix not in KINDS[kind].exemplars:
        return f"no exemplar may be at a {kind}'s {suffix or 'value'}"
    length = sum(len(name) + len(text) for name, text in exemplar.labels.items())
    if length > EXEMPLAR_LIMIT:
        return f"an exemplar's labels have {EXEMPLAR_LIMIT} characters at most"
    bound = parse_bound(labels.get("le", "")) if suffix == "_bucket" else None
    return "" if bound is None or exemplar.value <= bound else "an exemplar lies within its bucket"


def buckets_problem(kind: str, group: Mapping[tuple[str, str], float]) -> str:
    """Return what is wrong with one histogram, its values by suffix and ``le``, or ``""``."""
    buckets = [(float(le), value) for (suffix, le), value in group.items() if suffix == "_bucket"]
    if not buckets or buckets[-1][0] != inf:
        return "the last bucket has to be +Inf"
    for (bound, value), (next_bound, next_value) in pairwise(buckets):
        if not bound < next_bound:
            return "buckets stand in increasing order of le"
        if not value <= next_value:
            return "buckets are cumulative"
    return _totals_problem(kind, group, buckets)


def _totals_problem(kind: str, group: Mapping[tuple[str, str], float], buckets: Sequence[tuple[float, float]]) -> str:
    count_name, sum_name = KINDS[kind].totals
    count, total = group.get((count_name, "")), group.get((sum_name, ""))
    if (count is None) is not (total is None):
        return f"{count_name} and {sum_name} go together"
    if count is not None and count != buckets[-1][1]:
        return f"{count_name} has to be the +Inf bucket"
    if total is not None and buckets[0][0] < 0 and kind == "histogram":
        return "with negative buckets there is no _sum"
    if total is not None and not total >= 0 and buckets[0][0] >= 0:
        return f"without negative buckets {sum_name} is not negative"
    return ""


@final
class FamilyRules:
    """The rules for the family ``name`` of type ``kind``: `sample` for each of its samples, `end` after the last."""

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self._child: _Labels | None = None
        self._time: float | None = None
        self._seen: set[_Labels] = set()
        self._group: dict[tuple[str, str], float] = {}

    def sample(self, sample: Sample) -> str:
        """Take the next sample, and return what is wrong with it or with the group that it ends."""
        suffix = sample.name.removeprefix(self._name)
        problem = value_problem(self._name, self._kind, suffix, sample.labels, sample.value)
        if not problem and sample.exemplar is not None:
            problem = exemplar_problem(self._kind, suffix, sample.labels, sample.exemplar)
        return problem or self._place(sample, suffix)

    def _place(self, sample: Sample, suffix: str) -> str:
        own = KINDS[self._kind].get_own_label(self._name, suffix)
        problem = ""
        child = frozenset(item for item in sample.labels.items() if item[0] != own)
        time = None if sample.timestamp is None else float(sample.timestamp)
        if child != self._child or time != self._time:
            problem = self.end() or self._begin(child, time)
        key = (suffix, sample.labels.get(own, ""))
        if key in self._group:
            problem = problem or "the same sample again"
        self._group[key] = sample.value
        return problem

    def end(self) -> str:
        """Return what is wrong with the group that is complete now."""
        return buckets_problem(self._kind, self._group) if KINDS[self._kind].totals and self._group else ""

    def _begin(self, child: _Labels, time: float | None) -> str:
        later = child == self._child and self._time is not None and time is not None and time > self._time
        again = child in self._seen and not later
        self._seen.add(child)
        self._child, self._time, self._group = child, time, {}
        return (
            "the samples of one child stand together, at most once or in the order of their timestamps" if again else ""
        )
