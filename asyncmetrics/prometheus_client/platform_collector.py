"""The collector of the Python version."""

from __future__ import annotations

from asyncmetrics.collectors import PLATFORM_COLLECTOR, PlatformCollector
from asyncmetrics.prometheus_client.metrics_core import GaugeMetricFamily, Metric
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

__all__ = (
    "PLATFORM_COLLECTOR",
    "REGISTRY",
    "Collector",
    "CollectorRegistry",
    "GaugeMetricFamily",
    "Metric",
    "PlatformCollector",
)
