"""asyncmetrics: Prometheus metrics for async Python."""

from __future__ import annotations

from asyncmetrics.collectors import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from asyncmetrics.context import bind_labels, bound_labels, clear_labels, get_labels, reset_labels, unbind_labels
from asyncmetrics.metrics import (
    CallMetrics,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
    exponential_buckets,
    linear_buckets,
)
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry, Registry

__all__ = (
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "CallMetrics",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "GCCollector",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "PlatformCollector",
    "ProcessCollector",
    "Registry",
    "Summary",
    "bind_labels",
    "bound_labels",
    "clear_labels",
    "disable_created_metrics",
    "enable_created_metrics",
    "exponential_buckets",
    "get_labels",
    "linear_buckets",
    "reset_labels",
    "unbind_labels",
)
