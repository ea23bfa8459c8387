"""Rate, errors and duration of calls by one decorator."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, final

from asyncmetrics.errors import is_cancellation
from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.timing import CallLabels, Instrument, Measure

__all__ = ("CallMetrics",)


@final
class CallMetrics(Instrument):
    """Measure calls of anything: how many, how long, how they ended, how many run.

    Declares ``<prefix>_duration_seconds`` with the label ``outcome`` (``ok``, ``error`` or ``cancelled``),
    ``<prefix>_in_progress``, and ``<prefix>_exceptions_total`` with the label ``type``; each has ``labelnames`` in
    front. Use it as a decorator, with ``with`` or ``async with``, or on an awaitable. Labels are chosen by
    ``track.labels(...)``, by ``labels=`` (a mapping, or a callable on the call's arguments), or meanwhile:
    ``with track as call: call.labels(...)``. Raises what declaring the three metrics raises.

        >>> from asyncmetrics import CallMetrics, CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> track = CallMetrics("jobs", "Jobs run.", ["kind"], registry=registry)
        >>> @track.labels(kind="mail")
        ... def job():
        ...     return "done"
        >>> job()
        'done'
        >>> registry.get_sample_value("jobs_duration_seconds_count", {"kind": "mail", "outcome": "ok"})
        1.0
    """

    __slots__ = ()

    def __init__(
        self,
        prefix: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        *,
        labels: CallLabels | None = None,
        buckets: Iterable[float | str] = Histogram.DEFAULT_BUCKETS,
        registry: CollectorRegistry | None = REGISTRY,
        exist_ok: bool = False,
    ) -> None:
        names = tuple(labelnames)
        options: dict[str, Any] = {"registry": registry, "exist_ok": exist_ok}
        series = _Series(
            Histogram(
                f"{prefix}_duration_seconds",
                f"{documentation} Seconds taken, by outcome.",
                (*names, "outcome"),
                buckets=buckets,
                **options,
            ),
            Gauge(f"{prefix}_in_progress", f"{documentation} Running now.", names, **options),
            Counter(f"{prefix}_exceptions", f"{documentation} Exceptions, by type.", (*names, "type"), **options),
        )
        super().__init__(series, labels)

    def labels(self, *values: object, **named: object) -> CallMetrics:
        """Return this instrument for the calls with these label values. Raises `LabelError` as a metric does."""
        chosen = copy.copy(self)
        chosen._target = self._target.labels(*values, **named)
        chosen._labels = None
        chosen._entered = None
        return chosen

    def measure(self, target: _Series) -> Measure:
        """Track it in progress; record its duration, its outcome, and its exception if it ends with one."""
        if target.values is None:
            return Measure(target.complain, target.give_up)
        running = target.running()
        return Measure(target.record, target.record, running.inc, running.dec)


@final
class _Series:
    """The three metrics, and the label values chosen: None until they are."""

    __slots__ = ("_duration", "_exceptions", "_in_progress", "values")

    def __init__(
        self, duration: Histogram, in_progress: Gauge, exceptions: Counter, values: tuple[object, ...] | None = None
    ) -> None:
        self._duration = duration
        self._in_progress = in_progress
        self._exceptions = exceptions
        self.values = values if in_progress.descriptor.labelnames else ()

    def labels(self, *values: object, **named: object) -> _Series:
        self._in_progress.labels(*values, **named)  # wrong labels are told at once
        names = self._in_progress.descriptor.labelnames
        chosen = values or tuple(named[name] for name in names)
        return _Series(self._duration, self._in_progress, self._exceptions, chosen)

    def require_labels(self) -> None:
        if self.values is None:
            self._in_progress.require_labels()

    def running(self) -> Any:
        return self._in_progress.labels(*self.values) if self.values else self._in_progress

    def record(self, seconds: float, error: BaseException | None = None) -> None:
        self.running().dec()
        values = self.values or ()
        if error is None or isinstance(error, GeneratorExit):
            outcome = "ok"
        elif is_cancellation(error):
            outcome = "cancelled"
        else:
            outcome = "error"
            self._exceptions.labels(*values, type(error).__name__).inc()
        self._duration.labels(*values, outcome).observe(seconds)

    def complain(self, _seconds: float) -> None:
        self.require_labels()

    def give_up(self, _seconds: float, _error: BaseException) -> None:
        """Leave the exception that is on its way alone: it says more than a missing label."""
