"""What stands before and behind the data points of a family: the message ``Metric``.

*Rules* (OpenTelemetry, "Prometheus and OpenMetrics Compatibility", "Prometheus Metric points to OTLP").

* The name is that of the text format, with ``_total``, ``_info`` and the unit: Prometheus' receiver adds what is
  missing, and VictoriaMetrics adds nothing, so the names are the same behind both.
* A counter is a monotonic sum. An info or a stateset is a sum that is not monotonic, and always cumulative.
* The type is also in the metadata, as ``prometheus.type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from asyncmetrics.bridges.otlp.attributes import encode_attribute
from asyncmetrics.bridges.otlp.units import to_ucum
from asyncmetrics.formats.protobuf import encode_integer, encode_tag, encode_text, encode_varint
from asyncmetrics.formats.writing.custom_families import get_help
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS

__all__ = ("CUMULATIVE", "DELTA", "EXPONENTIAL", "GAUGE", "HISTOGRAM", "SUM", "SUMMARY", "MetricFrame", "make_frame")

GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = 5, 7, 9, 10, 11  # the fields of Metric that hold data points
DELTA, CUMULATIVE = 1, 2  # AggregationTemporality


@final
@dataclass(frozen=True, slots=True)
class MetricFrame:
    """The bytes of a metric without its data points: ``head`` and ``tail`` stand before and behind these.

    ``field`` is the type of the metric, and ``options`` what its message holds behind the points.
    """

    head: bytes
    field: int
    options: bytes
    tail: bytes

    def wrap(self, size: int) -> tuple[bytes, bytes]:
        """Return what stands before and behind ``size`` bytes of data points, as a field of ``ScopeMetrics``."""
        inner = encode_tag(self.field, 2) + encode_varint(size + len(self.options))
        whole = len(self.head) + len(inner) + size + len(self.options) + len(self.tail)
        return b"".join([encode_tag(2, 2), encode_varint(whole), self.head, inner]), self.options + self.tail


def make_frame(family: Metric, field: int, temporality: int, name: str = "") -> MetricFrame:
    """Return the frame of ``family``, whose data points are of the type ``field``."""
    is_sum = field == SUM
    options = encode_integer(2, temporality) if field in _TEMPORAL else b""
    if is_sum and family.type == "counter":
        options += encode_integer(3, 1)
    head = encode_text(1, name or family.name + KINDS[family.type].text_suffix)
    documentation = get_help(family)
    if documentation:
        head += encode_text(2, documentation)
    unit = _get_unit(family)
    if unit:
        head += encode_text(3, unit)
    return MetricFrame(head, field, options, encode_attribute(12, "prometheus.type", family.type))


_TEMPORAL = frozenset({SUM, HISTOGRAM, EXPONENTIAL})


def _get_unit(family: Metric) -> str:
    """Return the unit, if the name ends with it: Prometheus' receiver would append another one to the name."""
    unit: object = family.unit
    if not unit or not isinstance(unit, str) or not family.name.endswith(f"_{unit}"):
        return ""
    return to_ucum(unit)
