"""What writers of custom collectors need: families, samples, registries, under prometheus_client's names."""

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
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp
from asyncmetrics.registry import REGISTRY, Collector, CollectorRegistry

__all__ = (
    "REGISTRY",
    "Collector",
    "CollectorRegistry",
    "CounterMetricFamily",
    "Exemplar",
    "GaugeHistogramMetricFamily",
    "GaugeMetricFamily",
    "HistogramMetricFamily",
    "InfoMetricFamily",
    "Metric",
    "Sample",
    "StateSetMetricFamily",
    "SummaryMetricFamily",
    "Timestamp",
    "UnknownMetricFamily",
    "UntypedMetricFamily",
)
