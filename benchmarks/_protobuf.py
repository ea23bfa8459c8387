"""The peer of our protobuf: the messages of an exposition, built and serialised by the protobuf package.

It is what a program would write around prometheus_client or client_model's generated code: one object for each message.
The classes are made from a description of the fields, which has those that counters and histograms need.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

__all__ = ("encode_with_package", "read_with_package")

_FIELDS: dict[str, dict[str, str]] = {
    "Timestamp": {"seconds": "1 int64", "nanos": "2 int32"},
    "LabelPair": {"name": "1 string", "value": "2 string"},
    "Counter": {"value": "1 double", "created_timestamp": "3 Timestamp"},
    "Bucket": {"cumulative_count": "1 uint64", "upper_bound": "2 double"},
    "Histogram": {
        "sample_count": "1 uint64",
        "sample_sum": "2 double",
        "bucket": "3 Bucket*",
        "created_timestamp": "15 Timestamp",
    },
    "Metric": {"label": "1 LabelPair*", "counter": "3 Counter", "histogram": "7 Histogram"},
    "MetricFamily": {"name": "1 string", "help": "2 string", "type": "3 int32", "metric": "4 Metric*"},
}
_TYPES = {"counter": 0, "histogram": 4}


@cache
def _make_family_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="benchmark.proto", package="benchmark", syntax="proto2")
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, text in fields.items():
            number, kind = text.rstrip("*").split()
            label = field_type.LABEL_REPEATED if text.endswith("*") else field_type.LABEL_OPTIONAL
            added = message.field.add(name=field, number=int(number), label=label)
            if kind in _FIELDS:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".benchmark.{kind}"
            else:
                added.type = getattr(field_type, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("benchmark.MetricFamily"))  # type: ignore[no-untyped-call]


def encode_with_package(families: Iterable[Any]) -> bytes:
    """Return the exposition of live families of counters and histograms."""
    from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[import-not-found]

    make = _make_family_class()
    parts = []
    for family in families:
        if family.type not in _TYPES or not family.descriptor.labelnames:
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        message = make(name=name, help=family.documentation, type=_TYPES[family.type])
        for batch in family.read_batches():
            for point in batch:
                _add_metric(message.metric.add(), family, point)
        data = message.SerializeToString()
        parts += (_VarintBytes(len(data)), data)
    return b"".join(parts)


def _add_metric(metric: Any, family: Any, point: Any) -> None:
    for name, value in sorted(zip(family.descriptor.all_labelnames, point.labelvalues, strict=True)):
        metric.label.add(name=name, value=value)
    numbers = point.read_numbers()
    if family.type == "counter":
        value = metric.counter
        value.value = numbers[0]
    else:
        value = metric.histogram
        value.sample_count, value.sample_sum = int(numbers[-2]), numbers[-1]
        for bound, count in zip(family.descriptor.buckets[:-1], numbers, strict=False):
            value.bucket.add(cumulative_count=int(count), upper_bound=bound)
    seconds, milliseconds = divmod(int(point.created * 1000), 1000)
    value.created_timestamp.seconds = seconds
    if milliseconds:  # a 0 that is set would be written, and would not equal one that is not
        value.created_timestamp.nanos = milliseconds * 10**6


def read_with_package(data: bytes) -> Any:
    """Return the first family of an exposition."""
    size = shift = position = 0
    while True:
        byte = data[position]
        size |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return _make_family_class().FromString(data[position : position + size])
