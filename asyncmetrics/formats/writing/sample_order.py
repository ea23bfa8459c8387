"""Puts the samples of each child of a custom family together, as OpenMetrics asks.

*Theory of operation.*

1. The samples are sorted into children, in the order in which the children came: a family that is in order stays
   unchanged. Nothing can be written before this pass ends, so it does nothing else. It is left out if every sample is
   its own child.
2. The samples of one child are filtered one by one, and sorted into points by their time.
3. The points of the child are filtered as a whole, and their samples are yielded. Then the next child follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TypeAlias

from asyncmetrics.formats.writing.claims import Claims
from asyncmetrics.formats.writing.custom_families import UNREADABLE, list_samples
from asyncmetrics.formats.writing.omissions import Omissions
from asyncmetrics.formats.writing.sample_filter import MetricPoint, SampleFilter
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.names import to_label_text
from asyncmetrics.model.samples import Moment, Sample, get_moment

__all__ = ("order_samples",)

_STEP = 64  # samples in one step of an event loop: benchmarks/scrape.py

_REPEATED = "the series occurs twice"

_Child: TypeAlias = frozenset[tuple[str, str]]
_Points: TypeAlias = dict[Moment | None, MetricPoint]  # by their time


def order_samples(family: Metric, escaping: str, claims: Claims, omissions: Omissions) -> Iterator[Sample | None]:
    """Yield the samples that OpenMetrics allows of a custom family, with the written names of their labels.

    None is yielded after each step of work that led to no sample.
    """
    samples = list_samples(family)
    sample_filter = SampleFilter(family, escaping, claims, omissions)
    is_flat = not KINDS[family.type].own_label
    for start in range(0, len(samples) if is_flat else 0, _STEP):
        is_flat = is_flat and _are_alike(samples[start : start + _STEP], samples[0])
        yield None
    yield from _filter_flat(samples, sample_filter) if is_flat else _filter_children(samples, sample_filter)


def _filter_flat(samples: Sequence[Sample], sample_filter: SampleFilter) -> Iterator[Sample | None]:
    """Filter samples each of which is its own child."""
    seen: set[_Child] = set()
    for raw in samples:
        sample = sample_filter.filter_sample(raw)
        child = None if sample is None else frozenset(sample.labels.items())
        if child is None:
            yield None
        elif child in seen:
            sample_filter.omit(_REPEATED)
            yield None
        else:
            seen.add(child)
            yield sample


def _filter_children(samples: Sequence[Sample], sample_filter: SampleFilter) -> Iterator[Sample | None]:
    seen: set[_Child] = set()
    children: dict[object, list[Sample]] = {}
    for start in range(0, len(samples), _STEP):
        _sort_by_child(samples[start : start + _STEP], children, sample_filter)
        yield None
    for own_samples in children.values():
        child, points = _sort_by_time(own_samples, sample_filter)
        if child in seen:  # two children can have the same labels once these are written
            sample_filter.omit(_REPEATED, sum(map(len, points.values())))
        else:
            seen.add(child)
            for point in _list_points(points, sample_filter):
                yield from sample_filter.filter_point(point).values()
        yield None


def _sort_by_child(
    samples: Iterable[Sample], children: dict[object, list[Sample]], sample_filter: SampleFilter
) -> None:
    for raw in samples:
        try:
            children.setdefault(_make_child_key(raw, sample_filter.raw_own.get(raw.name, "")), []).append(raw)
        except Exception as error:  # noqa: BLE001  # an object without labels is no sample
            pass_interruption(error)
            sample_filter.omit(UNREADABLE)


def _make_child_key(raw: Sample, own: str) -> _Child:
    items = [item for item in raw.labels.items() if item[0] != own]
    try:
        return frozenset(items)
    except TypeError:  # the value of a label is unhashable, such as a list
        return frozenset([(to_label_text(name), to_label_text(text)) for name, text in items])


def _sort_by_time(samples: Iterable[Sample], sample_filter: SampleFilter) -> tuple[_Child, _Points]:
    """Return the written labels of one child and its points. Of samples that occur twice the first stays."""
    child: _Child = frozenset()
    points: _Points = {}
    for raw in samples:
        sample = sample_filter.filter_sample(raw)
        if sample is not None:
            suffix, own = sample_filter.own[sample.name]
            if not points:
                child = frozenset([item for item in sample.labels.items() if item[0] != own])
            time = None if sample.timestamp is None else get_moment(sample.timestamp)
            kept = points.setdefault(time, {}).setdefault((suffix, sample.labels.get(own, "")), sample)
            if kept is not sample:
                sample_filter.omit(_REPEATED)
    return child, points


def _list_points(points: _Points, sample_filter: SampleFilter) -> Iterable[MetricPoint]:
    """Return the points of one child in the order of their times, or only the point without a time if there is one."""
    if len(points) == 1:
        return points.values()
    if None not in points:
        return [point for _, point in sorted(points.items(), key=itemgetter(0))]
    sample_filter.omit(
        "the series also has a sample without a time", sum(map(len, points.values())) - len(points[None])
    )
    return [points[None]]


def _are_alike(samples: Iterable[Sample], first: Sample) -> bool:
    """Return whether samples have the name of ``first`` and no time: then no two of them belong to one child."""
    try:
        return all(sample.timestamp is None and sample.name == first.name for sample in samples)
    except AttributeError:
        return False
