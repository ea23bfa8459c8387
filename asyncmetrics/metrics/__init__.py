"""The metrics that instrumented code declares and uses."""

from __future__ import annotations

from asyncmetrics.metrics._base import MetricBase
from asyncmetrics.metrics.calls import CallMetrics
from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.created import disable_created_metrics, enable_created_metrics
from asyncmetrics.metrics.enum import Enum
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram, exponential_buckets, linear_buckets
from asyncmetrics.metrics.info import Info
from asyncmetrics.metrics.summary import Summary

__all__ = (
    "CallMetrics",
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "MetricWrapperBase",
    "Summary",
    "disable_created_metrics",
    "enable_created_metrics",
    "exponential_buckets",
    "linear_buckets",
)

MetricWrapperBase = MetricBase
"""What prometheus_client calls the base of all metrics."""
