"""The metrics about pushes, in the registry that is pushed."""

from __future__ import annotations

from time import time
from typing import Literal, TypeAlias, final

from asyncmetrics.metrics import Counter, Gauge, Histogram
from asyncmetrics.registry import CollectorRegistry

__all__ = ("Outcome", "PushMetrics")

Outcome: TypeAlias = Literal["ok", "retried", "rejected", "failed"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABELS = ("sink",)


@final
class PushMetrics:
    """The metrics about the pushes to sinks of one ``name``."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._name = name
        self._pushes = Counter(
            "asyncmetrics_push",
            "Pushes by their outcome: ok; retried: an attempt has failed; rejected: a part was refused for good; "
            "failed: an error in a sink, a collector or the encoding.",
            ["sink", "outcome"],
            registry=registry,
            exist_ok=True,
        )
        self._dropped = Counter(
            "asyncmetrics_push_dropped",
            "Collections that were dropped unsent: from the full buffer, or at the end of the program.",
            _LABELS,
            registry=registry,
            exist_ok=True,
        )
        self._success = Gauge(
            "asyncmetrics_push_last_success_timestamp_seconds",
            "Unix time of the last push that succeeded.",
            _LABELS,
            registry=registry,
            exist_ok=True,
            multiprocess_mode="max",
        )
        self._duration = Histogram(
            "asyncmetrics_push_duration_seconds",
            "Duration of attempts to send one collection.",
            _LABELS,
            registry=registry,
            exist_ok=True,
            buckets=_BUCKETS,
        )
        self._pending = Gauge(
            "asyncmetrics_push_pending",
            "Collections that wait to be sent.",
            _LABELS,
            registry=registry,
            exist_ok=True,
            multiprocess_mode="livesum",
        )

    def count(self, outcome: Outcome) -> None:
        """Count a push."""
        self._pushes.labels(self._name, outcome).inc()

    def count_dropped(self, number: int) -> None:
        """Count collections that were dropped unsent."""
        self._dropped.labels(self._name).inc(number)

    def observe(self, seconds: float) -> None:
        """Observe the duration of one attempt."""
        self._duration.labels(self._name).observe(seconds)

    def set_success(self) -> None:
        """Set the time of the last success to now."""
        self._success.labels(self._name).set(time())

    def set_pending(self, number: int) -> None:
        """Set the number of collections that wait."""
        self._pending.labels(self._name).set(number)
