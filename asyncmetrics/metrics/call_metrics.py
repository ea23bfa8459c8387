"""`CallMetrics`: the rate, errors and duration of calls, measured by one decorator."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import final

from asyncmetrics.context.exemplars import ExemplarSource, find_provider
from asyncmetrics.metrics._mistakes import ExplainingType
from asyncmetrics.metrics.calls import CallNames, Calls, declare_calls
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.model.checks import check_text, list_texts, make_refusal
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.model.names import to_label_text
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.timing import CallLabels, Instrument, Measure

__all__ = ("CallMetrics",)


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
    only. ``buckets`` and ``native`` are those of the duration, a `Histogram`. ``exemplars`` is where the exemplars of
    durations and exceptions come from, as for any metric: a call asks when it ends. Raises what declaring the three
    metrics raises; then none of them is registered.

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
        native: bool | int = False,
        multiprocess_mode: GaugeMode | None = None,
        per_worker: bool = False,
        exemplars: ExemplarSource | None = None,
        registry: CollectorRegistry | None = REGISTRY,
        exist_ok: bool = False,
    ) -> None:
        if not isinstance(prefix, str) or not prefix:
            raise make_refusal("prefix", "a str such as 'jobs'", prefix)
        check_text("documentation", documentation, "Jobs run.", prefix)
        find_provider(exemplars, prefix)  # raises an error with the prefix
        calls = declare_calls(
            CallNames(f"{prefix}_duration_seconds", f"{prefix}_active", f"{prefix}_exceptions"),
            documentation,
            list_texts("labelnames", labelnames, "label names", prefix),
            context_labels=list_texts("context_labels", context_labels, "label names", prefix),
            buckets=buckets,
            native=native,
            multiprocess_mode=multiprocess_mode,
            per_worker=per_worker,
            exemplars=exemplars,
            registry=registry,
            exist_ok=exist_ok,
        )
        super().__init__(_Series(calls), labels)

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
        return target.measure()


@final
class _Series:
    """The calls, and the label values; ``values`` is None until they are chosen."""

    __slots__ = ("_calls", "values")

    def __init__(self, calls: Calls, values: tuple[str, ...] | None = None) -> None:
        self._calls = calls
        self.values = values if calls.active.descriptor.labelnames else ()

    def labels(self, *values: object, **named: object) -> _Series:
        self._calls.active.labels(*values, **named)  # raises at once if the labels are wrong
        names = self._calls.active.descriptor.labelnames
        return _Series(self._calls, tuple(map(to_label_text, values or [named[name] for name in names])))

    def require_labels(self) -> None:
        if self.values is None:
            self._calls.active.require_labels()

    def count_dropped(self) -> None:
        self._calls.durations.count_dropped()

    def measure(self) -> Measure:
        calls = self._calls
        return (calls.measure if calls.is_fixed else calls.measure_in_context)(self.values or ())

    def __repr__(self) -> str:
        return f"CallMetrics({self._calls.active.descriptor.name.removesuffix('_active')!r})"
