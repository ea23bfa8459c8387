"""One data point of each type, and its exemplars.

The messages have few fields of a fixed size, so a `Struct` packs several of them at once, tags included:
benchmarks/push_otlp.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import trunc
from struct import Struct

from asyncmetrics.bridges.otlp.attributes import encode_attributes
from asyncmetrics.formats.protobuf import encode_block, encode_double, encode_varint
from asyncmetrics.model.samples import Exemplar, Moment, get_moment

__all__ = (
    "FRAMES",
    "MAX_NANOSECONDS",
    "HistogramPacker",
    "encode_exemplars",
    "encode_summary",
    "frame_point",
    "pack_number",
    "to_nanoseconds",
)

MAX_NANOSECONDS = 2**63 - 1
_TRACE_ID_DIGITS, _SPAN_ID_DIGITS = 32, 16

# Tags and values: start_time_unix_nano (2), time_unix_nano (3), then as_double (4), or count (4) and sum (5).
_NUMBER = Struct("<BQBQBd")
_TOTALS = Struct("<BQBQBQBd")
_EXEMPLAR = Struct("<BQBd")
_START, _TIME, _DOUBLE, _COUNT, _SUM = 0x11, 0x19, 0x21, 0x21, 0x29
FRAMES = tuple(b"\x0a" + encode_varint(size) for size in range(1024))


def frame_point(body: bytes) -> bytes:
    """Return what stands before a data point of these bytes: its tag, 1 in metrics of all types, and its size."""
    size = len(body)
    return FRAMES[size] if size < len(FRAMES) else b"\x0a" + encode_varint(size)


def pack_number(start: int, now: int, value: float) -> bytes:
    """Return the times, in nanoseconds, and the value of a ``NumberDataPoint``."""
    return _NUMBER.pack(_START, start, _TIME, now, _DOUBLE, value)


class HistogramPacker:
    """Packs the data points of histograms with the same bounds; ``+Inf`` is not one of them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        size = len(bounds) + 1
        head = b"\x32" + encode_varint(8 * size)
        tail = encode_block(7, Struct(f"<{size - 1}d").pack(*bounds)) if bounds else b""
        self._head, self._tail = head, tail
        self._pack = Struct(f"<BQBQBQBd{len(head)}s{size}Q{len(tail)}s").pack
        self._pack_without_sum = Struct(f"<BQBQBQ{len(head)}s{size}Q{len(tail)}s").pack

    def pack(self, start: int, now: int, counts: Iterable[float], total: float | None) -> bytes:
        """Return the times, the count, the sum if there is one, and the buckets.

        ``counts`` are those of each bucket alone. Raises ``struct.error``, ValueError or OverflowError for one that is
        negative, no number, or too large for 64 bits.
        """
        whole = [*map(trunc, counts)]  # half the time of int(): benchmarks/push_otlp.py
        count, head, tail = sum(whole), self._head, self._tail
        if total is None:
            return self._pack_without_sum(_START, start, _TIME, now, _COUNT, count, head, *whole, tail)
        return self._pack(_START, start, _TIME, now, _COUNT, count, _SUM, total, head, *whole, tail)


def encode_summary(start: int, now: int, count: int, total: float, quantiles: Mapping[float, float]) -> bytes:
    """Return a ``SummaryDataPoint`` without its attributes."""
    values = [encode_block(6, encode_double(1, quantile) + encode_double(2, v)) for quantile, v in quantiles.items()]
    return _TOTALS.pack(_START, start, _TIME, now, _COUNT, count, _SUM, total) + b"".join(values)


def encode_exemplars(field: int, exemplars: Iterable[Exemplar], now: int) -> bytes:
    """Return each of ``exemplars`` in the field ``field``; one without a time gets the time ``now``.

    The labels ``trace_id`` and ``span_id`` become the identifiers of the trace if they are such, in hexadecimal digits.
    """
    return b"".join([encode_block(field, _encode_exemplar(exemplar, now)) for exemplar in exemplars])


def _encode_exemplar(exemplar: Exemplar, now: int) -> bytes:
    labels = dict(exemplar.labels)
    trace_id = _take_identifier(labels, "trace_id", _TRACE_ID_DIGITS)
    span_id = _take_identifier(labels, "span_id", _SPAN_ID_DIGITS)
    time = None if exemplar.timestamp is None else to_nanoseconds(get_moment(exemplar.timestamp))
    parts = [_EXEMPLAR.pack(_START, now if time is None else time, 0x19, exemplar.value)]
    if span_id:
        parts.append(encode_block(4, span_id))
    if trace_id:
        parts.append(encode_block(5, trace_id))
    parts.append(encode_attributes(7, labels.items()))
    return b"".join(parts)


def _take_identifier(labels: dict[str, str], name: str, digits: int) -> bytes:
    """Remove an identifier from ``labels`` and return it; return ``b""`` for a text that is none."""
    text = labels.get(name, "")
    if len(text) != digits or not text.isascii() or not text.isalnum():  # bytes.fromhex would skip blanks
        return b""
    try:
        identifier = bytes.fromhex(text)
    except ValueError:
        return b""
    if not any(identifier):  # W3C Trace Context: all zeros is invalid
        return b""
    del labels[name]
    return identifier


def to_nanoseconds(moment: Moment) -> int | None:
    """Return a time in nanoseconds, or None for one before 1970 or after 2262."""
    seconds, rest = moment
    nanoseconds = seconds * 10**9 + int(rest)
    return nanoseconds if 0 <= nanoseconds <= MAX_NANOSECONDS else None
