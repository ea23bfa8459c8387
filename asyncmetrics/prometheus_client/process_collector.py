"""The collector of the process: CPU time, memory, file descriptors."""

from __future__ import annotations

from asyncmetrics.collectors import PROCESS_COLLECTOR, ProcessCollector
from asyncmetrics.prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

__all__ = (
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "Collector",
    "CollectorRegistry",
    "CounterMetricFamily",
    "GaugeMetricFamily",
    "Metric",
    "ProcessCollector",
)
