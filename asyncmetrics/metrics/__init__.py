"""The metrics that instrumented code declares and uses: one module for each kind, and `CallMetrics`.

- `_base`: `MetricBase`, what the kinds share: the constructor, labels, collection.
- `_native_options`: the checks of what a native histogram is declared with.
- `_mistakes`: what is wrong with a declaration, in the words of the program.
- `calls`: `CallMetrics`, which measures rate, errors and duration of calls.
- `created`: the switch for ``_created`` samples.

In a signal handler you may declare and use metrics, and bind labels; in a finaliser or a callback of the garbage
collector as well. No operation of a metric takes a lock that could deadlock. This holds for ``inc``, ``observe``,
``labels``, ``remove``, and for declarations.

A metric finds its child in a table (`asyncmetrics.children.table`); the child has the numbers
(`asyncmetrics.storage.memory.plain`). The bucket of an observation is chosen by ``bisect_left`` in ``observe`` and, for
timers, in ``recorder``: of ``MemoryHistogram`` there, and again of ``SharedHistogram`` in
`asyncmetrics.storage.shared.children`. A metric about the library itself is a self-metric
(`asyncmetrics.registry.self_metrics`).
"""

from __future__ import annotations

from asyncmetrics.metrics._base import MetricBase
from asyncmetrics.metrics.call_metrics import CallMetrics
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
"""The name of `MetricBase` in prometheus_client."""
