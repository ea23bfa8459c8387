"""The families that custom collectors yield."""

from __future__ import annotations

from asyncmetrics.model.families import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
    UntypedMetricFamily,
)
from asyncmetrics.model.family import METRIC_TYPES, Metric
from asyncmetrics.model.samples import Exemplar, NativeHistogram, Sample, Timestamp

__all__ = (
    "METRIC_TYPES",
    "CounterMetricFamily",
    "Exemplar",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "HistogramMetricFamily",
    "InfoMetricFamily",
    "Metric",
    "NativeHistogram",
    "Sample",
    "StateSetMetricFamily",
    "SummaryMetricFamily",
    "Timestamp",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
)
