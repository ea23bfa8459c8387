"""Metrics of this library as protobuf: live families, which may have a million children.

*Theory of operation.* A table has a function for each kind. It prepares what all children of the family share, and
returns a `BatchWriter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from operator import attrgetter
from typing import Any, TypeAlias

from asyncmetrics.formats.protobuf import encode_block, encode_tag, encode_varint
from asyncmetrics.formats.writing.protobuf.labels import FamilyLabels
from asyncmetrics.formats.writing.protobuf.messages import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    SUMMARY,
    CountHeads,
    encode_bucket,
    encode_created,
    encode_exemplar,
    encode_native,
    encode_number,
    encode_summary,
    frame_metric,
    has_native_start,
    pack_double,
)
from asyncmetrics.model.family import LiveFamily, Point
from asyncmetrics.model.samples import Exemplar, NativeHistogram

__all__ = ("encode_live_family",)

_DOUBLE = encode_tag(1, 1)  # before the value of a counter
_HISTOGRAM = encode_tag(HISTOGRAM, 2)
_STEP_ROWS = 128  # numbers in one step of an event loop: benchmarks/scrape.py
_STEP_NATIVE = 4  # native histograms in one step, each of which may have 160 buckets

_get_exemplar = attrgetter("exemplar")

BatchWriter: TypeAlias = "Callable[[Sequence[Any]], Iterable[bytes]]"
"""Returns the pieces of a batch of children, each of which is a step of an event loop."""


def encode_live_family(family: LiveFamily, escaping: str) -> Iterator[bytes | None]:
    """Yield the metrics of all children. None stands for an empty batch, which took time as well."""
    labels = FamilyLabels(family, escaping)
    write = _KINDS[family.type](family, labels)
    for batch in family.read_batches():
        if not batch:
            yield None
            continue
        for piece in write(batch):
            yield piece
            if family.descriptor.native is not None:
                yield None
    for _ in labels.drop_unused():
        yield None


def _cut(batch: Sequence[Any], length: int) -> Iterator[Sequence[Any]]:
    return (batch[start : start + length] for start in range(0, len(batch), length))


def _limit_times(family: LiveFamily, batch: Sequence[Any]) -> list[float]:
    """Return the times of creation, as `LiveFamily.get_created` does."""
    times = [point.created for point in batch]
    return times if max(times) <= family.now else [min(time, family.now) for time in times]


def _make_counter_writer(family: LiveFamily, labels: FamilyLabels) -> BatchWriter:
    """Write counters. These points have ``value`` beside ``read_numbers()``, and ``exemplar`` beside its method.

    The value comes last, so that all that stands before it is kept. No Python function is called for a child without an
    exemplar: benchmarks/render.py.
    """

    def begin(point: Point) -> bytes:
        created = encode_created(3, int(family.get_created(point) * 1000))
        body = labels.encode(point) + encode_tag(COUNTER, 2) + encode_varint(len(created) + 9) + created + _DOUBLE
        return frame_metric(len(body) + 8) + body

    def encode_with_exemplar(point: Point, value: bytes, exemplar: Exemplar) -> bytes:
        created = encode_created(3, int(family.get_created(point) * 1000))
        inner = b"".join((_DOUBLE, value, encode_exemplar(2, exemplar, labels.write_name), created))
        body = labels.encode(point) + encode_block(COUNTER, inner)
        return frame_metric(len(body)) + body

    def write(batch: Sequence[Any]) -> Iterable[bytes]:
        starts = labels.encode_batch(batch, _limit_times(family, batch), begin)
        values = map(pack_double, [point.value for point in batch])
        if not any(map(_get_exemplar, batch)):
            return (b"".join(chain.from_iterable(zip(starts, values, strict=True))),)
        metrics = (
            start + value if (exemplar := point.exemplar) is None else encode_with_exemplar(point, value, exemplar)
            for point, start, value in zip(batch, starts, values, strict=True)
        )
        return map(b"".join, _cut([*metrics], _STEP_ROWS))

    return write


def _make_gauge_writer(family: LiveFamily, labels: FamilyLabels) -> BatchWriter:  # noqa: ARG001  # the signature of the table
    """Write a gauge or an info, whose facts are labels."""
    head = encode_number(GAUGE, 0.0)[:-8]

    def begin(point: Point) -> bytes:
        body = labels.encode(point) + head
        return frame_metric(len(body) + 8) + body

    def write(batch: Sequence[Any]) -> Iterable[bytes]:
        starts = labels.encode_batch(batch, (), begin)
        values = [pack_double(point.read_numbers()[0]) for point in batch]
        return (b"".join(chain.from_iterable(zip(starts, values, strict=True))),)

    return write


def _make_stateset_writer(family: LiveFamily, labels: FamilyLabels) -> BatchWriter:
    """Write a gauge for each state, which is a label with the name of the family."""
    states = [labels.encode_own(*row.label) for row in family.descriptor.list_rows() if row.label is not None]

    def encode(point: Point, block: bytes) -> Iterator[bytes]:
        for state, number in zip(states, point.read_numbers(), strict=True):
            body = block + state + encode_number(GAUGE, number)
            yield frame_metric(len(body)) + body

    return _make_step_writer(labels, lambda _: (), labels.encode, encode, max(1, _STEP_ROWS // len(states)))


def _make_summary_writer(family: LiveFamily, labels: FamilyLabels) -> BatchWriter:
    """Write a summary, which has no quantiles."""

    def encode(point: Point, start: bytes) -> Iterable[bytes]:
        created, block = _split(start)
        count, total = point.read_numbers()
        body = block + encode_block(SUMMARY, encode_summary(count, total, {}) + created)
        return frame_metric(len(body)), body

    return _make_created_writer(family, labels, 4, encode, _STEP_ROWS // 2)


def _make_histogram_writer(family: LiveFamily, labels: FamilyLabels) -> BatchWriter:
    """Write a histogram: a classic one, a native one, or both.

    The bucket of ``+Inf`` is left out, as client_golang does: the count has its number. With both, the count is that of
    the native one, which is read after the other. Where it is below a bucket for a moment (it was reset in between, or
    another thread shows a new bucket to other workers), the bucket has the count.
    """
    descriptor = family.descriptor
    bounds = [pack_double(bound) for bound in descriptor.buckets[:-1]]
    heads, counts = CountHeads(encode_tag(3, 2)), CountHeads()
    width = len(bounds)
    has_sum = descriptor.buckets[0] >= 0  # otherwise no text format has it, but this one does

    def encode(point: Any, start: bytes) -> Iterable[bytes]:
        numbers = point.read_numbers()
        total = numbers[-1] if has_sum else point.read_counts()[1]
        native: NativeHistogram | None = point.read_native() if descriptor.native else None
        exemplars = point.read_exemplars()
        count = numbers[width]
        created, block = _split(start)
        rest = b""
        if native is not None:
            count, total = native.count_value, native.sum_value
            if count < numbers[width]:
                numbers = [min(number, count) for number in numbers]
            rest = encode_native(native, _encode_native_exemplars(native, labels))
            if not width and native.nh_exemplars:  # servers before 2.50 read those of buckets only
                exemplars = {0: native.nh_exemplars[-1]}
            if not has_native_start(point.created, family.now):
                created = b""
        parts = [counts[count], pack_double(total), created, rest]
        if exemplars:
            parts += _encode_buckets(descriptor.buckets, numbers, count, exemplars, labels)
        else:  # count and sum follow the buckets
            parts += chain.from_iterable(zip(map(heads.__getitem__, numbers), bounds, strict=False))
        inner = b"".join(parts)
        size = _HISTOGRAM + encode_varint(len(inner))
        return frame_metric(len(block) + len(size) + len(inner)), block, size, inner

    step = _STEP_NATIVE if descriptor.native else max(1, _STEP_ROWS // (width + 1))
    return _make_created_writer(family, labels, 15, encode, step)


def _make_created_writer(
    family: LiveFamily,
    labels: FamilyLabels,
    field: int,
    encode: Callable[[Any, bytes], Iterable[bytes]],
    step: int,
) -> BatchWriter:
    """Return a writer that passes `_split` the labels of each child and its time of creation in ``field``."""

    def begin(point: Point) -> bytes:
        created = encode_created(field, int(family.get_created(point) * 1000))
        return bytes([len(created)]) + created + labels.encode(point)

    return _make_step_writer(labels, lambda batch: _limit_times(family, batch), begin, encode, step)


def _split(start: bytes) -> tuple[bytes, bytes]:
    """Return the time of creation and the labels: one object for both is what is kept of a child."""
    size = start[0] + 1
    return start[1:size], start[size:]


def _make_step_writer(
    labels: FamilyLabels,
    list_times: Callable[[Sequence[Any]], Sequence[float]],
    begin: Callable[[Point], bytes],
    encode: Callable[[Any, bytes], Iterable[bytes]],
    step: int,
) -> BatchWriter:
    """Return a writer that encodes ``step`` children in a piece, each with what ``begin`` has returned for it."""

    def write(batch: Sequence[Any]) -> Iterable[bytes]:
        starts = labels.encode_batch(batch, list_times(batch), begin)
        for points, own in zip(_cut(batch, step), _cut(starts, step), strict=True):
            yield b"".join(chain.from_iterable(map(encode, points, own)))

    return write


def _encode_buckets(
    bounds: Sequence[float],
    numbers: Sequence[float],
    count: float,
    exemplars: Mapping[int, Exemplar],
    labels: FamilyLabels,
) -> Iterator[bytes]:
    """Yield the buckets of a histogram with exemplars; that of ``+Inf`` only if it has one."""
    for index, bound in enumerate(bounds):
        exemplar = exemplars.get(index)
        if bound < inf or exemplar is not None:
            encoded = b"" if exemplar is None else encode_exemplar(3, exemplar, labels.write_name)
            yield encode_bucket(bound, numbers[index] if bound < inf else count, encoded)


def _encode_native_exemplars(native: NativeHistogram, labels: FamilyLabels) -> list[bytes]:
    """Return the exemplars that have a time: servers drop the others."""
    return [
        encode_exemplar(16, exemplar, labels.write_name)
        for exemplar in native.nh_exemplars or ()
        if exemplar.timestamp is not None
    ]


_KINDS: dict[str, Callable[[LiveFamily, FamilyLabels], BatchWriter]] = {
    "counter": _make_counter_writer,
    "gauge": _make_gauge_writer,
    "info": _make_gauge_writer,
    "stateset": _make_stateset_writer,
    "histogram": _make_histogram_writer,
    "summary": _make_summary_writer,
}
