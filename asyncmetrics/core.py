"""For authors of custom collectors: families, samples and registries, under the names of prometheus_client.

This is not the core of asyncmetrics. Its names are those of prometheus_client's module ``core``, and also `Collector`,
`METRIC_TYPES` and `unescape_name`.
"""

from __future__ import annotations

from asyncmetrics.metrics import Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.model.escaping import unescape_name
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
from asyncmetrics.model.samples import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp
from asyncmetrics.registry import REGISTRY, Collector, CollectorRegistry, DuplicateTimeseries

__all__ = (
    "METRIC_TYPES",
    "REGISTRY",
    "BucketSpan",
    "Collector",
    "CollectorRegistry",
    "Counter",
    "CounterMetricFamily",
    "DuplicateTimeseries",
    "Enum",
    "Exemplar",
    "Gauge",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "Histogram",
    "HistogramMetricFamily",
    "Info",
    "InfoMetricFamily",
    "Metric",
    "NativeHistogram",
    "Sample",
    "StateSetMetricFamily",
    "Summary",
    "SummaryMetricFamily",
    "Timestamp",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
    "unescape_name",
)
