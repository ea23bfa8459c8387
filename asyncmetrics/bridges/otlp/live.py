"""The metrics of this library as data points: live families, which may have a million children.

*Theory of operation.* A table has a function for each kind. It prepares what all children of the family share, and
returns a `PointWriter`, which encodes a few children in one step.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from asyncmetrics.bridges.otlp.attributes import encode_attribute, make_point_attributes
from asyncmetrics.bridges.otlp.export import Export
from asyncmetrics.bridges.otlp.metric import CUMULATIVE, EXPONENTIAL, GAUGE, HISTOGRAM, SUM, SUMMARY, make_frame
from asyncmetrics.bridges.otlp.native import encode_native_histogram
from asyncmetrics.bridges.otlp.points import (
    FRAMES,
    HistogramPacker,
    encode_exemplars,
    encode_summary,
    frame_point,
    pack_number,
)
from asyncmetrics.bridges.otlp.requests import STEP_POINTS
from asyncmetrics.bridges.push.deltas import Round
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.samples import Exemplar

__all__ = ("encode_live_family",)

_FRAMES = len(FRAMES)

PointWriter: TypeAlias = "Callable[[Sequence[Any], list[bytes]], None]"
"""Encodes children, and appends two pieces for each data point: what stands before it, and the point."""


class _LiveKind(NamedTuple):
    field: int
    is_delta: bool
    make_writer: Callable[[LiveFamily, Export], PointWriter]
    width: int = 0  # how many rows more a child takes the time of


def encode_live_family(family: LiveFamily, export: Export) -> Iterator[None]:
    """Add the data points of all children to the requests, in short steps."""
    kind = _choose_kind(family, export)
    write = kind.make_writer(family, export)
    requests = export.requests
    requests.begin(make_frame(family, kind.field, export.temporality if kind.is_delta else CUMULATIVE))
    width = len(family.descriptor.list_rows()) + len(family.descriptor.all_labelnames) + kind.width
    if export.round is not None:  # changes take twice the time
        width *= 2
    step = max(1, STEP_POINTS // width)
    for batch in family.read_batches():
        yield
        for start in range(0, len(batch), step):
            pieces: list[bytes] = []
            write(batch[start : start + step], pieces)
            yield from requests.add(b"".join(pieces), len(pieces) // 2)
    requests.end()


def _make_key(family: LiveFamily, point: Point) -> tuple[object, ...]:
    """Return what identifies a series among all others, from one collection to the next."""
    return family.name, point.labelvalues, *point.read_extra_labels().items()


def _to_nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _make_counter_writer(family: LiveFamily, export: Export) -> PointWriter:
    attributes = make_point_attributes(family, 7, export.labels)
    now, latest, sent = export.now, family.now, export.round

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            value = point.value
            if not value >= 0:
                export.omissions.add(family, "a counter can be neither negative nor NaN")
                continue
            created, since = point.created, None
            if sent is not None:
                since, (value,) = sent.take(_make_key(family, point), (value,))
                created = created if since is None else since
            body = attributes(point) + pack_number(int(min(created, latest) * 1e9), now, value)
            exemplar = point.exemplar
            if exemplar is not None:
                body += encode_exemplars(5, _select_new([exemplar], since), now)
            pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _make_gauge_writer(family: LiveFamily, export: Export) -> PointWriter:
    """Write a gauge or an info, whose facts are labels."""
    attributes = make_point_attributes(family, 7, export.labels)
    now = export.now
    is_info = family.type == "info"

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            start = _to_nanoseconds(family.get_created(point)) if is_info else 0
            body = attributes(point) + pack_number(start, now, point.read_numbers()[0])
            pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _make_stateset_writer(family: LiveFamily, export: Export) -> PointWriter:
    """Write a data point for each state, which is a label with the name of the family."""
    attributes = make_point_attributes(family, 7, {k: v for k, v in export.labels.items() if k != family.name})
    now = export.now
    states = [(index, encode_attribute(7, *row.label)) for index, row in family.rows.items() if row.label is not None]

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            shared = attributes(point)
            numbers = point.read_numbers()
            start = _to_nanoseconds(family.get_created(point))
            for index, state in states:
                body = shared + state + pack_number(start, now, numbers[index])
                pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _make_histogram_writer(family: LiveFamily, export: Export) -> PointWriter:
    """Write a histogram. These points have ``read_counts()`` beside ``read_numbers()``: benchmarks/push_otlp.py."""
    attributes = make_point_attributes(family, 9, export.labels)
    now, latest, sent = export.now, family.now, export.round
    bounds = family.descriptor.buckets
    has_sum = bounds[0] >= 0  # OpenMetrics 1.0, "Histogram": with a negative bound there is no sum
    packer = HistogramPacker(bounds[:-1])

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            counts, total = point.read_counts()
            if not has_sum:
                total = None
            elif not total >= 0:
                export.omissions.add(family, "a sum can be neither negative nor NaN")
                total = None
            start, since = min(point.created, latest), None
            if sent is not None:
                since, counts, total = _take_changes(sent, _make_key(family, point), counts, total)
                start = start if since is None else since
            try:
                packed = packer.pack(int(start * 1e9), now, counts, total)
            except (struct.error, ValueError, OverflowError):
                export.omissions.add(family, "the count of a bucket is a whole number below 2**64")
                continue
            exemplars = point.read_exemplars()
            body = attributes(point) + packed
            if exemplars:
                body += encode_exemplars(8, _select_new(exemplars.values(), since), now)
            pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _make_exponential_writer(family: LiveFamily, export: Export) -> PointWriter:
    """Write a native histogram."""
    attributes = make_point_attributes(family, 1, export.labels)
    now = export.now

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            native = point.read_native()
            if native is None:
                continue
            start = _to_nanoseconds(family.get_created(point))
            try:
                packed = encode_native_histogram(native, start, now)
            except ValueError as error:
                export.omissions.add(family, str(error))
                continue
            body = attributes(point) + packed + encode_exemplars(11, native.nh_exemplars or (), now)
            pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _make_summary_writer(family: LiveFamily, export: Export) -> PointWriter:
    """Write count and sum: no metric of this library computes quantiles. OTLP has no changes of summaries."""
    attributes = make_point_attributes(family, 7, export.labels)
    now = export.now

    def write(points: Sequence[Any], pieces: list[bytes]) -> None:
        for point in points:
            count, total = point.read_numbers()
            if not 0 <= count < 2**63 or not total >= 0:
                export.omissions.add(family, "a count or a sum can be neither negative nor NaN")
                continue
            start = _to_nanoseconds(family.get_created(point))
            body = attributes(point) + encode_summary(start, now, int(count), total, {})
            pieces += (FRAMES[len(body)] if len(body) < _FRAMES else frame_point(body), body)

    return write


def _take_changes(
    sent: Round, key: tuple[object, ...], counts: Sequence[float], total: float | None
) -> tuple[float | None, Sequence[float], float | None]:
    """Return since when and by how much counts and sum have grown; a sum that fell is None.

    The sum is taken by itself: an observation may be negative, which is no new beginning.
    """
    since, grown = sent.take(key, tuple(counts))
    if total is not None:
        sum_since, (sum_grown,) = sent.take((*key, "sum"), (total,))
        total = sum_grown if (sum_since is None) == (since is None) else total if since is None else None
    return since, grown, total


def _select_new(exemplars: Any, since: float | None) -> list[Exemplar]:
    """Return the exemplars that are newer than the last export."""
    if since is None:
        return list(exemplars)
    return [one for one in exemplars if one.timestamp is None or float(one.timestamp) > since]


_KINDS: dict[str, _LiveKind] = {
    "counter": _LiveKind(SUM, True, _make_counter_writer),
    "gauge": _LiveKind(GAUGE, False, _make_gauge_writer),
    "info": _LiveKind(SUM, False, _make_gauge_writer),
    "stateset": _LiveKind(SUM, False, _make_stateset_writer),
    "histogram": _LiveKind(HISTOGRAM, True, _make_histogram_writer),
    "summary": _LiveKind(SUMMARY, False, _make_summary_writer),
}
_EXPONENTIAL = _LiveKind(EXPONENTIAL, False, _make_exponential_writer, width=200)  # 0.17 ms for one of 60 buckets


def _choose_kind(family: LiveFamily, export: Export) -> _LiveKind:
    """Return how the family is sent: a metric of OTLP has one type, so either as a native histogram or as a classic."""
    is_native = family.has_native and (export.is_exponential or family.descriptor.is_native_only)
    return _EXPONENTIAL if is_native else _KINDS[family.type]
