"""Which families of an exposition in protobuf are native histograms: no text says so.

The body is a sequence of messages ``io.prometheus.client.MetricFamily``, each after its length. Nothing else is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncmetrics.formats.protobuf import decode_fields

__all__ = ("list_native_names",)

_NAME, _METRIC = 1, 4  # of MetricFamily
_HISTOGRAM = 7  # of Metric
_SCHEMA, _THRESHOLD, _SPANS = 5, 6, (9, 12)  # of Histogram; a native one has some of these
_MAX_SHIFT = 63


def list_native_names(body: bytes) -> Iterator[str]:
    """Yield the names of the families with a native histogram. Raises ValueError for what is no such exposition."""
    position = 0
    while position < len(body):
        size, position = _read_length(body, position)
        if position + size > len(body):
            raise ValueError(f"expected a message of {size} bytes, got {len(body) - position}")
        name, is_native = "", False
        for field, value, _ in decode_fields(body[position : position + size]):
            if field == _NAME and isinstance(value, bytes):
                name = value.decode()
            elif field == _METRIC and isinstance(value, bytes):
                is_native = is_native or _has_native(value)
        if is_native:
            yield name
        position += size


def _has_native(metric: bytes) -> bool:
    histograms = (value for field, value, _ in decode_fields(metric) if field == _HISTOGRAM)
    return any(
        field in {_SCHEMA, _THRESHOLD, *_SPANS}
        for histogram in histograms
        if isinstance(histogram, bytes)
        for field, _, _ in decode_fields(histogram)
    )


def _read_length(body: bytes, position: int) -> tuple[int, int]:
    length = 0
    for shift in range(0, _MAX_SHIFT, 7):
        byte = body[position : position + 1]
        if not byte:
            break
        position += 1
        length |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return length, position
    raise ValueError(f"expected the length of a message at byte {position}")
