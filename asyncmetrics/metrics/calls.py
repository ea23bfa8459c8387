"""`CallMetrics`: the rate, errors and duration of calls, measured by one decorator."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, TypeVar, final

from asyncmetrics.children.interfaces import GaugeChild
from asyncmetrics.errors import DuplicateMetricError, is_cancellation
from asyncmetrics.metrics._mistakes import ExplainingType
from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.model.checks import check_text, list_texts, make_refusal
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.timing import CallLabels, Instrument, Measure, Started, is_closed, track

__all__ = ("CallMetrics",)

M = TypeVar("M", Histogram, Gauge, Counter)


@final
class CallMetrics(Instrument["_Series"], metaclass=ExplainingType):
    """Measure calls of anything: how many there are, how long they take, how they end, how many run now.

    Declares ``<prefix>_duration_seconds`` with the label ``outcome`` (``ok``, ``error`` or ``cancelled``),
    ``<prefix>_active``, and ``<prefix>_exceptions_total`` with the label ``type``. Each has the labels ``labelnames``
    and ``context_labels`` as well. Use it as a decorator, with ``with`` or ``async with``, or on an awaitable. Choose
    the labels by ``track.labels(...)``, by ``labels=`` (a mapping, or a callable that is called with the arguments of
    each call), or inside the block: ``with track as call: call.labels(...)``. The context labels are read when a call
    begins for ``<prefix>_active``, whose child goes up and down, and when it ends for the other two.

    If several workers share their metrics, ``per_worker=True`` exposes each with the label ``worker``; otherwise their
    calls are added up. ``multiprocess_mode`` says how their running calls are merged: by default over live workers
    only. Raises what declaring the three metrics raises; then none of them is registered.

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

    _verb = "labels()"

    def __init__(
        self,
        prefix: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        *,
        labels: CallLabels | None = None,
        context_labels: Iterable[str] = (),
        buckets: Iterable[float | str] = Histogram.DEFAULT_BUCKETS,
        multiprocess_mode: GaugeMode | None = None,
        per_worker: bool = False,
        registry: CollectorRegistry | None = REGISTRY,
        exist_ok: bool = False,
    ) -> None:
        if not isinstance(prefix, str) or not prefix:
            raise make_refusal("prefix", "a str such as 'jobs'", prefix)
        check_text("documentation", documentation, "Jobs run.", prefix)
        names = list_texts("labelnames", labelnames, "label names", prefix)
        context = list_texts("context_labels", context_labels, "label names", prefix)
        shared: dict[str, Any] = {"registry": registry, "context_labels": context}
        with ExitStack() as undo:  # all three metrics are registered, or none
            declare = _Declaration(registry, exist_ok, undo).declare
            duration = declare(
                Histogram,
                f"{prefix}_duration_seconds",
                f"{documentation} Seconds taken, by outcome.",
                (*names, "outcome"),
                buckets=buckets,
                per_worker=per_worker,
                **shared,
            )
            active = declare(
                Gauge,
                f"{prefix}_active",
                f"{documentation} Running now.",
                names,
                multiprocess_mode=multiprocess_mode or ("liveall" if per_worker else "livesum"),
                **shared,
            )
            exceptions = declare(
                Counter,
                f"{prefix}_exceptions",
                f"{documentation} Exceptions, by type.",
                (*names, "type"),
                per_worker=per_worker,
                **shared,
            )
            super().__init__(_Series(duration, active, exceptions), labels)
            undo.pop_all()

    def labels(self, *values: object, **named: object) -> CallMetrics:
        """Return this instrument for the calls with these label values. Raises `LabelError` as a metric does."""
        labelled = copy.copy(self)
        labelled._target = self._target.labels(*values, **named)
        labelled._labels = None
        labelled._entries, labelled._fixed = {}, None
        return labelled

    def __repr__(self) -> str:
        return repr(self._target)

    def measure(self, target: _Series) -> Measure:
        """Count it as active; record its duration, its outcome, and its exception if it ends with one."""
        return track(target.find_active(), target.make_end)


@final
class _Declaration:
    """Declares metrics, each of which ``undo`` unregisters if it is new."""

    def __init__(self, registry: CollectorRegistry | None, exist_ok: bool, undo: ExitStack) -> None:
        self._registry = registry
        self._exist_ok = exist_ok
        self._undo = undo

    def declare(self, kind: type[M], *args: Any, **options: Any) -> M:
        try:
            metric = kind(*args, **options)
        except DuplicateMetricError:
            if not self._exist_ok:
                raise
            return kind(*args, exist_ok=True, **options)
        if self._registry is not None:
            self._undo.callback(self._registry.unregister, metric)
        return metric


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

    def count_dropped(self) -> None:
        self._duration.count_dropped()

    def find_active(self) -> Gauge | GaugeChild:
        return self._active.labels(*self.values) if self.values else self._active

    def make_end(self, active: GaugeChild) -> Started:
        values, durations, exceptions = self.values or (), self._duration, self._exceptions
        context = durations.read_context()

        def end(seconds: float, error: BaseException | None = None) -> None:
            active.dec()
            if is_closed(error):  # the consumer of a generator closed it: no fault
                durations.labels(*values, "ok").in_context(context).observe(seconds)
                return
            if error is None:
                outcome = "ok"
            elif is_cancellation(error):
                outcome = "cancelled"
            else:
                outcome = "error"
                exceptions.labels(*values, type(error).__name__).inc()
            durations.labels(*values, outcome).observe(seconds)

        return end, end, active.dec

    def __repr__(self) -> str:
        return f"CallMetrics({self._active.descriptor.name.removesuffix('_active')!r})"
