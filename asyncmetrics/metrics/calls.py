"""`CallMetrics`: the rate, errors and duration of calls, measured by one decorator."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import final

from asyncmetrics.children.interfaces import GaugeChild
from asyncmetrics.errors import is_cancellation
from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.timing import CallLabels, Instrument, Measure

__all__ = ("CallMetrics",)


@final
class CallMetrics(Instrument["_Series"]):
    """Measure calls of anything: how many there are, how long they take, how they end, how many run now.

    Declares ``<prefix>_duration_seconds`` with the label ``outcome`` (``ok``, ``error`` or ``cancelled``),
    ``<prefix>_active``, and ``<prefix>_exceptions_total`` with the label ``type``. Each has the labels ``labelnames``
    as well, in front of its own. Use it as a decorator, with ``with`` or ``async with``, or on an awaitable. Choose the
    labels by ``track.labels(...)``, by ``labels=`` (a mapping, or a callable that is called with the arguments of each
    call), or inside the block: ``with track as call: call.labels(...)``. If several workers share their metrics,
    ``per_worker=True`` exposes each with the label ``worker``; otherwise their calls are added up, running calls over
    live workers only. Raises what declaring the three metrics raises.

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
        per_worker: bool = False,
        registry: CollectorRegistry | None = REGISTRY,
        exist_ok: bool = False,
    ) -> None:
        names = tuple(labelnames)
        duration = Histogram(
            f"{prefix}_duration_seconds",
            f"{documentation} Seconds taken, by outcome.",
            (*names, "outcome"),
            registry=registry,
            buckets=buckets,
            per_worker=per_worker,
            exist_ok=exist_ok,
        )
        active = Gauge(
            f"{prefix}_active",
            f"{documentation} Running now.",
            names,
            registry=registry,
            multiprocess_mode="liveall" if per_worker else "livesum",
            exist_ok=exist_ok,
        )
        exceptions = Counter(
            f"{prefix}_exceptions",
            f"{documentation} Exceptions, by type.",
            (*names, "type"),
            registry=registry,
            per_worker=per_worker,
            exist_ok=exist_ok,
        )
        super().__init__(_Series(duration, active, exceptions), labels)

    def labels(self, *values: object, **named: object) -> CallMetrics:
        """Return this instrument for the calls with these label values. Raises `LabelError` as a metric does."""
        labelled = copy.copy(self)
        labelled._target = self._target.labels(*values, **named)
        labelled._labels = None
        labelled._entered = None
        return labelled

    def measure(self, target: _Series) -> Measure:
        """Count it as active; record its duration, its outcome, and its exception if it ends with one."""
        if target.values is None:
            return Measure(target.refuse, target.ignore)
        active = target.find_active()
        return Measure(target.record, target.record, active.inc, active.dec)


@final
class _Series:
    """The three metrics, and the label values; ``values`` is None until they are chosen."""

    __slots__ = ("_active", "_duration", "_exceptions", "values")

    def __init__(
        self, duration: Histogram, active: Gauge, exceptions: Counter, values: tuple[object, ...] | None = None
    ) -> None:
        self._duration = duration
        self._active = active
        self._exceptions = exceptions
        self.values = values if active.descriptor.labelnames else ()

    def labels(self, *values: object, **named: object) -> _Series:
        self._active.labels(*values, **named)  # raises at once if the labels are wrong
        names = self._active.descriptor.labelnames
        return _Series(self._duration, self._active, self._exceptions, values or tuple(named[name] for name in names))

    def require_labels(self) -> None:
        if self.values is None:
            self._active.require_labels()

    def find_active(self) -> GaugeChild:
        return self._active.labels(*self.values) if self.values else self._active

    def record(self, seconds: float, error: BaseException | None = None) -> None:
        self.find_active().dec()
        values = self.values or ()
        if error is None or isinstance(error, GeneratorExit):  # the consumer of a generator closed it: no fault
            outcome = "ok"
        elif is_cancellation(error):
            outcome = "cancelled"
        else:
            outcome = "error"
            self._exceptions.labels(*values, type(error).__name__).inc()
        self._duration.labels(*values, outcome).observe(seconds)

    def refuse(self, _seconds: float) -> None:
        """Raise `LabelError`: the block ended and its labels were never chosen."""
        self.require_labels()

    def ignore(self, _seconds: float, _error: BaseException) -> None:
        """Do nothing: the exception that leaves the block says more than a missing label."""
