"""Google's decoder of protocol buffers with the messages of both versions, written from their .proto files."""

from __future__ import annotations

from typing import Any, NamedTuple

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ("Decoded", "decode")

TYPES = {
    "double": 1,
    "int64": 3,
    "uint64": 4,
    "string": 9,
    "uint32": 13,
    "enum": 5,  # as an int32, which has the same encoding
    "sint32": 17,
    "sint64": 18,
}
HISTOGRAM = {
    "count_int": (1, "uint64"), "count_float": (2, "double"), "sum": (3, "double"), "schema": (4, "sint32"),
    "zero_threshold": (5, "double"), "zero_count_int": (6, "uint64"), "zero_count_float": (7, "double"),
    "negative_spans": (8, "*BucketSpan"), "negative_deltas": (9, "*sint64"), "negative_counts": (10, "*double"),
    "positive_spans": (11, "*BucketSpan"), "positive_deltas": (12, "*sint64"), "positive_counts": (13, "*double"),
    "reset_hint": (14, "enum"), "timestamp": (15, "int64"),
}  # fmt: skip
SPAN = {"offset": (1, "sint32"), "length": (2, "uint32")}
VERSION_1 = {
    "BucketSpan": SPAN,
    "Histogram": HISTOGRAM,
    "Label": {"name": (1, "string"), "value": (2, "string")},
    "Sample": {"value": (1, "double"), "timestamp": (2, "int64")},
    "Exemplar": {"labels": (1, "*Label"), "value": (2, "double"), "timestamp": (3, "int64")},
    "TimeSeries": {
        "labels": (1, "*Label"), "samples": (2, "*Sample"), "exemplars": (3, "*Exemplar"),
        "histograms": (4, "*Histogram"),
    },
    "MetricMetadata": {
        "type": (1, "enum"), "metric_family_name": (2, "string"), "help": (4, "string"), "unit": (5, "string"),
    },
    "WriteRequest": {"timeseries": (1, "*TimeSeries"), "metadata": (3, "*MetricMetadata")},
}  # fmt: skip
VERSION_2 = {
    "BucketSpan": SPAN,
    "Histogram": {**HISTOGRAM, "start_timestamp": (17, "int64")},
    "Sample": {"value": (1, "double"), "timestamp": (2, "int64"), "start_timestamp": (3, "int64")},
    "Exemplar": {"labels_refs": (1, "*uint32"), "value": (2, "double"), "timestamp": (3, "int64")},
    "Metadata": {"type": (1, "enum"), "help_ref": (3, "uint32"), "unit_ref": (4, "uint32")},
    "TimeSeries": {
        "labels_refs": (1, "*uint32"), "samples": (2, "*Sample"), "histograms": (3, "*Histogram"),
        "exemplars": (4, "*Exemplar"), "metadata": (5, "Metadata"), "created_timestamp": (6, "int64"),
    },
    "Request": {"symbols": (4, "*string"), "timeseries": (5, "*TimeSeries")},
}  # fmt: skip


def _make(package: str, messages: dict[str, dict[str, tuple[int, str]]], root: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = 3 if kind.startswith("*") else 1
            kind = kind.removeprefix("*")
            if kind in TYPES:
                message.field.add(name=field, number=number, label=label, type=TYPES[kind])
            else:
                message.field.add(name=field, number=number, label=label, type=11, type_name=f".{package}.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{root}"))


CLASSES = {1: _make("one", VERSION_1, "WriteRequest"), 2: _make("two", VERSION_2, "Request")}

Pairs = tuple[tuple[str, str], ...]


class Decoded(NamedTuple):
    """One series of a request: the pairs of labels in their order, and what both versions have of it."""

    labels: Pairs
    samples: list[tuple[int, float]]
    exemplars: list[tuple[Pairs, float, int]]
    histograms: list[Any]
    metadata: tuple[int, str, str] | None
    starts: tuple[int, ...]


def decode(data: bytes, version: int) -> tuple[list[Decoded], dict[str, tuple[int, str, str]]]:
    """Return the series of a compressed request, and the metadata of its families (of 1.0) by their names."""
    message = CLASSES[version]()
    message.ParseFromString(bytes(cramjam.snappy.decompress_raw(data)))
    if version == 1:
        families = {one.metric_family_name: (one.type, one.help, one.unit) for one in message.metadata}
        return [_read_1(series) for series in message.timeseries], families
    assert message.symbols[0] == ""
    assert len(set(message.symbols)) == len(message.symbols)
    return [_read_2(series, message.symbols) for series in message.timeseries], {}


def _read_1(series: Any) -> Decoded:
    exemplars = [(_pair_1(one.labels), one.value, one.timestamp) for one in series.exemplars]
    samples = [(one.timestamp, one.value) for one in series.samples]
    return Decoded(_pair_1(series.labels), samples, exemplars, list(series.histograms), None, ())


def _pair_1(labels: Any) -> Pairs:
    return tuple((label.name, label.value) for label in labels)


def _read_2(series: Any, symbols: Any) -> Decoded:
    def pair(refs: Any) -> Pairs:
        return tuple((symbols[one], symbols[other]) for one, other in zip(refs[::2], refs[1::2], strict=True))

    exemplars = [(pair(one.labels_refs), one.value, one.timestamp) for one in series.exemplars]
    samples = [(one.timestamp, one.value) for one in series.samples]
    about = series.metadata
    metadata = about.type, symbols[about.help_ref], symbols[about.unit_ref]
    starts = series.created_timestamp, *(one.start_timestamp for one in (*series.samples, *series.histograms))
    return Decoded(pair(series.labels_refs), samples, exemplars, list(series.histograms), metadata, starts)
