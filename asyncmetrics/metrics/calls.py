"""`Calls`: how many calls there are, how long they take, how they end, and how many run now.

`CallMetrics`, the middleware and every integration measure through it.

*Theory of operation.*

1. `declare_calls` declares three metrics, or none of them: a histogram of durations with one label for the outcome, a
   gauge of running calls, and a counter of exceptions.
2. `Calls.at` returns the `CallSeries` of some label values. It keeps one for each set of values, so a call pays for a
   look-up, not for the making of children. The child of an outcome is made when that outcome first occurs.
3. `Calls.around` wraps a function. What sees its calls as events uses `CallSeries.begin`, and then `CallSeries.end` or
   `CallSeries.fail`.
4. `CallSeries.begin` adds 1 to a child of the gauge. `CallSeries.end` or `CallSeries.fail` subtracts 1 from the same
   child. A program may remove this child meanwhile: `Calls.at` then makes another `CallSeries`, and calls that have
   begun end with the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast, final

from asyncmetrics.children.exemplars import NO_EXEMPLAR
from asyncmetrics.children.interfaces import GaugeChild
from asyncmetrics.context.exemplars import ExemplarSource
from asyncmetrics.errors import DuplicateMetricError, is_cancellation
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.metrics.totals import TOTALS, add_kind
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.timing import Measure, Started, is_closed
from asyncmetrics.wrapping import wrap_callable

__all__ = ("NO_EXEMPLAR", "CallNames", "CallSeries", "Calls", "declare_calls")

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", Histogram, Gauge, Counter)

_MAX_SERIES = 10_000

_get_totals = TOTALS.get  # found once, not for each call: benchmarks/clients.py


class CallNames(NamedTuple):
    """The names of the three metrics of some calls, and of the label for the outcome."""

    durations: str
    active: str
    exceptions: str
    outcome: str = "outcome"
    type: str = "type"


@final
class Calls:
    """The metrics of calls of one kind, and their series.

    ``kind`` is the label ``client`` of the request totals (`asyncmetrics.metrics.totals`); calls of no kind count in
    none. ``closed`` is the outcome of a call that is closed: ``ok`` for generators, whose consumer may stop early, and
    ``cancelled`` for coroutines.
    """

    def __init__(
        self,
        durations: Histogram,
        exceptions: Counter,
        active: Gauge,
        kind: str = "",
        closed: str = "ok",
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._registry = registry
        self.durations = durations
        self.exceptions = exceptions
        self.active = active
        self.kind = kind
        self.closed = closed
        self.is_fixed = active.is_fixed
        """Whether a call needs no more than its label values, so that `measure` measures it."""
        self._find_active = active.find
        self._series: dict[tuple[str, ...], CallSeries] = {}

    def at(self, values: tuple[str, ...]) -> CallSeries:
        """Return the series of the calls with these label values, which are texts."""
        series = self._series.get(values)
        if series is None or self._find_active(values) is not series.active:
            return self._make_series(values)
        return series

    def around(self, function: F, *values: str) -> F:
        """Return ``function``, sync or async, with each call measured by these label values."""
        measure = self.measure(values)
        measured: Any = wrap_callable(function, measure, lambda _args, _kwargs: measure)
        return cast(F, measured)

    def measure(self, values: tuple[str, ...] = ()) -> Measure:
        """Return the functions to call around each call with these label values."""
        return _do_nothing, None, partial(self._begin, values)

    def measure_in_context(self, values: tuple[object, ...] = ()) -> Measure:
        """Return what `measure` returns, for metrics with context labels."""
        return _do_nothing, None, partial(self._begin_in_context, values)

    def find_outcome(self, error: BaseException | None) -> str:
        """Return how a call ended: ``ok``, ``error``, ``cancelled``, or what a closed call is."""
        if error is None:
            return "ok"
        if is_closed(error):
            return self.closed
        return "cancelled" if is_cancellation(error) else "error"

    def count_failure(self, error: Exception) -> None:
        """Count an exception of a metric, which must not break the call that is measured."""
        pass_interruption(error)
        if self._registry is not None:
            get_self_metrics(self._registry).count_internal_error("calls")

    def _begin(self, values: tuple[str, ...]) -> Started:
        # The statements of `at` and `CallSeries.begin`, without their calls: benchmarks/clients.py.
        series = self._series.get(values)
        if series is None or self._find_active(values) is not series.active:
            series = self._make_series(values)
        series.active.inc()
        return series.started

    def _make_series(self, values: tuple[str, ...]) -> CallSeries:
        series = CallSeries(self, values)
        if len(self._series) >= _MAX_SERIES:
            self._series.clear()
        self._series[values] = series
        return series

    def _begin_in_context(self, values: tuple[object, ...]) -> Started:
        """Begin a call: the gauge reads the context labels now, the other two metrics read them at the end."""
        durations, context = self.durations, self.durations.read_context()
        active = self.active.labels(*values).in_context(context) if values else self.active.in_context(context)
        active.inc()

        def end(seconds: float, error: BaseException | None = None) -> None:
            active.dec()
            if is_closed(error):  # the garbage collector closes it in any context
                durations.labels(*values, self.closed).in_context(context).observe(seconds, NO_EXEMPLAR)
                return
            outcome = self.find_outcome(error)
            if outcome == "error":
                self.exceptions.labels(*values, type(error).__name__).inc()
            durations.labels(*values, outcome).observe(seconds)

        return end, end, active.dec


@final
class CallSeries:
    """The calls with one set of label values."""

    __slots__ = ("_calls", "_find_duration", "_kind", "_ok", "active", "measure", "started", "values")

    def __init__(self, calls: Calls, values: tuple[str, ...]) -> None:
        self._calls = calls
        self._find_duration = calls.durations.find
        self._kind = calls.kind
        self.values = values
        self._ok = (*values, "ok")
        self.active: GaugeChild = calls.active.find(values)
        self.started: Started = (self.end, self.fail, self.active.dec)
        self.measure: Measure = (_do_nothing, None, self.begin)
        """The functions to call around a call, for `asyncmetrics.wrapping`."""

    def begin(self) -> Started:
        """Begin a call; return the functions that end it."""
        self.active.inc()
        return self.started

    def end(self, seconds: float, outcome: str = "", exemplar: Mapping[str, str] | None = None) -> None:
        """End a call that took ``seconds``; `NO_EXEMPLAR` is for one that ends outside of its own context."""
        # Each statement is that of a function that would cost as much again: benchmarks/clients.py.
        try:
            self.active.dec()
            self._find_duration((*self.values, outcome) if outcome else self._ok).observe(seconds, exemplar)
            if self._kind and (totals := _get_totals()) is not None:
                totals.add(self._kind, seconds)
        except Exception as error:  # noqa: BLE001  # a call that succeeded must not look failed
            self._calls.count_failure(error)

    def fail(self, seconds: float, error: BaseException, outcome: str = "") -> None:
        """End a call that ``error`` ended; count ``error`` unless it only cancelled or closed the call."""
        try:
            self.active.dec()
            found = self._calls.find_outcome(error)
            if found == "error":
                self.count_exception(error)
            # The garbage collector may close a call, inside another trace.
            exemplar = NO_EXEMPLAR if is_closed(error) else None
            self._find_duration((*self.values, outcome or found)).observe(seconds, exemplar)
            if self._kind and (totals := _get_totals()) is not None:
                totals.add(self._kind, seconds)
        except Exception as own:  # noqa: BLE001  # the exception of the call wins
            self._calls.count_failure(own)

    def count_exception(self, error: BaseException) -> None:
        """Count an exception by its type."""
        self._calls.exceptions.labels(*self.values, type(error).__name__).inc()


def declare_calls(
    names: CallNames,
    documentation: str,
    labelnames: Iterable[str] = (),
    *,
    kind: str = "",
    closed: str = "ok",
    buckets: Iterable[float | str] = Histogram.DEFAULT_BUCKETS,
    native: bool | int = False,
    context_labels: Iterable[str] = (),
    multiprocess_mode: GaugeMode | None = None,
    per_worker: bool = False,
    exemplars: ExemplarSource | None = None,
    namespace: str = "",
    max_children: int | None = 100_000,
    registry: CollectorRegistry | None = REGISTRY,
    exist_ok: bool = False,
) -> Calls:
    """Declare the three metrics of some calls. Raises what declaring them raises; then none of them is registered."""
    labels = tuple(labelnames)
    shared: dict[str, Any] = {
        "registry": registry,
        "context_labels": context_labels,
        "namespace": namespace,
        "max_children": max_children,
    }
    mode = multiprocess_mode or ("liveall" if per_worker else "livesum")
    with ExitStack() as undo:
        declare = _Declaration(registry, exist_ok, undo, f"{documentation} ", shared).declare
        ends = {"per_worker": per_worker, "exemplars": exemplars}
        outcomes = (*labels, names.outcome)
        taken = f"Seconds taken, by {names.outcome}."
        durations = declare(Histogram, names.durations, taken, outcomes, buckets=buckets, native=native, **ends)
        active = declare(Gauge, names.active, "Running now.", labels, multiprocess_mode=mode)
        types = (*labels, names.type)
        exceptions = declare(Counter, names.exceptions, f"Exceptions, by {names.type}.", types, **ends)
        undo.pop_all()
    if kind and registry is not None:
        add_kind(registry, kind)
    return Calls(durations, exceptions, active, kind, closed, registry)


@final
class _Declaration:
    """Declares metrics, each of which ``undo`` unregisters if it is new."""

    def __init__(
        self,
        registry: CollectorRegistry | None,
        exist_ok: bool,
        undo: ExitStack,
        beginning: str,
        options: dict[str, Any],
    ) -> None:
        self._registry = registry
        self._exist_ok = exist_ok
        self._undo = undo
        self._beginning = beginning
        self._options = options

    def declare(self, kind: type[M], name: str, documentation: str, labelnames: tuple[str, ...], **own: Any) -> M:
        arguments = (name, self._beginning + documentation, labelnames)
        options = {**self._options, **own}
        try:
            metric = kind(*arguments, **options)
        except DuplicateMetricError:
            if not self._exist_ok:
                raise
            return kind(*arguments, exist_ok=True, **options)
        if self._registry is not None:
            self._undo.callback(self._registry.unregister, metric)
        return metric


def _do_nothing(_seconds: float) -> None:
    """Stand for the ``end`` that ``begin`` returns."""
