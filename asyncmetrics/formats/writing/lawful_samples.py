"""The samples of custom collectors in the order and the company that OpenMetrics asks for.

*Theory of operation.* Samples are first put into groups, one for each child, in the order in which the children came:
what was in order stays as it is. This pass is short, as nothing can be written before it ends, and left out where
every child has one sample; all else is done group by group. Samples that may not be at all are left out one by one.
Those of one child and time (a "MetricPoint") are judged together: a histogram whose buckets are in disorder is sorted;
if its count and sum do not fit they are left out; if that does not help, or its last bucket is missing, it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, final

from asyncmetrics.formats.numbers import parse_bound
from asyncmetrics.formats.rules import buckets_problem, exemplar_problem, value_problem
from asyncmetrics.formats.writing.custom_families import Claims, SampleReader, raw_samples
from asyncmetrics.formats.writing.lines import written_label_name, written_name
from asyncmetrics.model.caching import cache_short
from asyncmetrics.model.descriptor import format_bound
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS, NUMERIC_LABELS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Sample

__all__ = ("lawful_samples",)

_STEP = 64  # samples are looked at in one go: benchmarks/scrape.py says what an event loop can bear

_Child: TypeAlias = frozenset[tuple[str, str]]
# The samples of one point by their suffix and own label, and the points of one child by their time.
_Point: TypeAlias = dict[tuple[str, str], Sample]
_Points: TypeAlias = dict[float | None, _Point]


def lawful_samples(family: Metric, escaping: str, claims: Claims) -> Iterator[Sample | None]:
    """Yield what OpenMetrics lets stand of a custom collector's family, the labels under their written names.

    None is yielded after every little while of work that has led to no sample.
    """
    return _Lawful(family, escaping, claims).samples()


@final
class _Lawful:
    def __init__(self, family: Metric, escaping: str, claims: Claims) -> None:
        self._family = family
        self._kind = kind = family.type
        self._label = label = written_label_name(family.name, escaping)  # a stateset's
        # A state's label is called as its family is: where a name is written as no label can be, there are no states.
        self._can_be = kind != "stateset" or label.strip('"') == written_name(family.name, escaping).strip('"')
        self._claims = claims
        self._read = SampleReader(escaping, exemplars=True)
        self._own = {
            family.name + suffix: (suffix, KINDS[kind].get_own_label(label, suffix)) for suffix in KINDS[kind].suffixes
        }
        # Before it is written, a stateset's own label is called as the family is.
        self._unwritten = {name: family.name if own == label else own for name, (_, own) in self._own.items()}

    def samples(self) -> Iterator[Sample | None]:
        """Yield the samples, each child once."""
        raws = raw_samples(self._family)
        seen: set[_Child] = set()
        alike = not KINDS[self._kind].own_label
        for start in range(0, len(raws) if alike else 0, _STEP):
            alike = alike and _are_alike(raws[start : start + _STEP], raws[0])
            yield None
        yield from self._single(raws, seen) if alike else self._grouped(raws, seen)

    def _single(self, raws: Sequence[Sample], seen: set[_Child]) -> Iterator[Sample | None]:
        for raw in raws:
            sample = self._lawful(raw)
            child = None if sample is None else frozenset(sample.labels.items())
            if child is None or child in seen:
                yield None
            else:
                seen.add(child)
                yield sample

    def _grouped(self, raws: Sequence[Sample], seen: set[_Child]) -> Iterator[Sample | None]:
        groups: dict[object, list[Sample]] = {}
        for start in range(0, len(raws), _STEP):
            self._sort(raws[start : start + _STEP], groups)
            yield None
        for group in groups.values():
            child, points = self._points(group)
            if child not in seen:  # two children may be one once their labels are written
                seen.add(child)
                for point in _in_time(points):
                    yield from self._lawful_point(point).values()
            yield None

    def _sort(self, raws: Iterable[Sample], groups: dict[object, list[Sample]]) -> None:
        for raw in raws:
            try:
                groups.setdefault(_child(raw, self._unwritten.get(raw.name, "")), []).append(raw)
            except Exception:  # noqa: BLE001, S112  # what has no labels is no sample
                continue

    def _points(self, group: Sequence[Sample]) -> tuple[_Child, _Points]:
        child: _Child = frozenset()
        points: _Points = {}
        for raw in group:
            sample = self._lawful(raw)
            if sample is not None:
                suffix, own = self._own[sample.name]
                if not points:
                    child = frozenset([item for item in sample.labels.items() if item[0] != own])
                time = None if sample.timestamp is None else float(sample.timestamp)
                points.setdefault(time, {}).setdefault((suffix, sample.labels.get(own, "")), sample)
        return child, points

    def _lawful(self, raw: Sample) -> Sample | None:
        """Return the sample, ``le`` and ``quantile`` canonical, with no exemplar where none may be; or None."""
        sample = self._read(raw)
        if sample is None or not self._can_be:
            return None
        if sample.name not in self._own:
            self._claims.stray(raw)
            return None
        suffix, own = self._own[sample.name]
        labels = sample.labels
        if own in NUMERIC_LABELS and own in labels:
            labels[own] = _canonical(labels[own])
        if value_problem(self._label, self._kind, suffix, labels, sample.value):
            return None
        if sample.exemplar is not None and exemplar_problem(self._kind, suffix, labels, sample.exemplar):
            return sample._replace(exemplar=None)
        return sample

    def _lawful_point(self, point: _Point) -> _Point:
        """Return the samples of one histogram as they are, or sorted, or without count and sum, or none of them."""
        if not KINDS[self._kind].totals or self._family.partial:
            return point
        ordered = _by_bound(point)
        for arranged in (point, ordered, _without_totals(self._kind, ordered)):
            if not buckets_problem(self._kind, {key: sample.value for key, sample in arranged.items()}):
                return arranged
        return {}


@cache_short  # the same few bounds come again and again
def _canonical(text: str) -> str:
    bound = parse_bound(text)
    return text if bound is None else format_bound(bound)


def _are_alike(raws: Sequence[Sample], first: Sample) -> bool:
    """Tell whether samples have the name of the first one and no time, so that no two can belong to one child."""
    try:
        return all(raw.timestamp is None and raw.name == first.name for raw in raws)
    except AttributeError:
        return False


def _child(raw: Sample, own: str) -> _Child:
    items = [item for item in raw.labels.items() if item[0] != own]
    try:
        return frozenset(items)
    except TypeError:  # a list as a label's value
        return frozenset([(to_label_text(name), to_label_text(text)) for name, text in items])


def _in_time(points: _Points) -> Iterable[_Point]:
    """Return the points of one child: where there are several they have times, which go forward."""
    if len(points) == 1:
        return points.values()
    return [points[None]] if None in points else [point for _, point in sorted(points.items(), key=_time)]


def _time(item: tuple[float | None, _Point]) -> float:
    return item[0] or 0.0


def _by_bound(point: _Point) -> _Point:
    return dict(sorted(point.items(), key=lambda item: (item[0][0] != "_bucket", float(item[0][1] or 0))))


def _without_totals(kind: str, point: _Point) -> _Point:
    return {key: sample for key, sample in point.items() if key[0] not in KINDS[kind].totals}
