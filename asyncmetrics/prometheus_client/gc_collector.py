"""The collector of the garbage collector."""

from __future__ import annotations

from asyncmetrics.collectors import GC_COLLECTOR, GCCollector
from asyncmetrics.prometheus_client.metrics_core import CounterMetricFamily, Metric
from asyncmetrics.prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

__all__ = ("GC_COLLECTOR", "REGISTRY", "Collector", "CollectorRegistry", "CounterMetricFamily", "GCCollector", "Metric")
