"""What can be done to one child of each metric type, wherever its numbers live.

A storage's children and the metrics themselves implement these; the timers and counters that build on them are
written once, here.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar, overload

from asyncmetrics.errors import LabelError
from asyncmetrics.timing import CallLabels, ExceptionCounter, Exceptions, InprogressTracker, Timer

__all__ = (
    "CounterChild",
    "EnumChild",
    "GaugeChild",
    "GaugeFunction",
    "HistogramChild",
    "InfoChild",
    "Labelled",
    "Sampler",
    "SummaryChild",
)

T = TypeVar("T")
GaugeFunction = Callable[[], "float | Awaitable[float]"]
Sampler = Callable[[], Mapping[tuple[object, ...], float]]


class Labelled:
    """Something that may have labels to choose; a child has them already."""

    __slots__ = ()

    def labels(self, *values: object, **named: object) -> Labelled:
        """Choose a child by its label values; on a child this raises `LabelError`, since it is chosen."""
        raise LabelError(repr(self), f"the labels are already set, so labels({_call(values, named)}) cannot be chained")

    def require_labels(self) -> None:
        """Raise `LabelError` while labels are still to be chosen; here they are chosen."""


class _Timed(Labelled):
    __slots__ = ()

    @abstractmethod
    def recorder(self) -> Callable[[float], None]:
        """Return what takes the seconds that a timer took."""

    @overload
    def time(self, awaitable: None = None, *, labels: CallLabels | None = None) -> Timer: ...
    @overload
    def time(self, awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    def time(
        self, awaitable: Awaitable[T] | None = None, *, labels: CallLabels | None = None
    ) -> Timer | Coroutine[Any, Any, T]:
        """Take the seconds that a block, a call, a generator or an awaitable took, suspensions included.

        A histogram or summary observes them, a gauge is set to them. Use it as a decorator, with ``with`` or
        ``async with``, or ``await h.time(awaitable)``. The context manager yields a timing whose labels can be chosen
        while it runs: ``with h.time() as t: t.labels("GET")``. A decorator takes ``labels``: a mapping, or a callable
        on the call's arguments.
        """
        timer = Timer(self, labels)
        return timer if awaitable is None else timer(awaitable)


class CounterChild(Labelled):
    """A number that only goes up."""

    __slots__ = ()

    @abstractmethod
    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Go up by ``amount``, which is finite and not negative.

        ``exemplar`` are labels that lead to one event behind this increment, such as a trace (an empty mapping: none).
        Raises `AmountError`, `AmountTypeError` or `ExemplarError`, and then nothing is counted.
        """

    @abstractmethod
    def reset(self) -> None:
        """Go back to zero, as when a logical process starts again inside this one."""

    @overload
    def count_exceptions(
        self, exception: Exceptions = Exception, *, labels: CallLabels | None = None
    ) -> ExceptionCounter: ...
    @overload
    def count_exceptions(self, exception: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    def count_exceptions(
        self, exception: Exceptions | Awaitable[T] = Exception, *, labels: CallLabels | None = None
    ) -> ExceptionCounter | Coroutine[Any, Any, T]:
        """Count the exceptions of a type (or types) that leave a block, a call, a generator or an awaitable.

        Use it as a decorator, with ``with`` or ``async with``, or ``await c.count_exceptions(awaitable)``.
        Cancellation and ``GeneratorExit`` are no exceptions unless named by type. A decorator takes ``labels``: a
        mapping, or a callable on the call's arguments.
        """
        if isinstance(exception, Awaitable):
            return ExceptionCounter(self, Exception)(exception)
        return ExceptionCounter(self, exception, labels)


class GaugeChild(_Timed):
    """A number that goes up and down."""

    __slots__ = ()

    @abstractmethod
    def inc(self, amount: float = 1.0) -> None:
        """Go up by ``amount``. Raises `AmountTypeError` for what is no real number."""

    @abstractmethod
    def dec(self, amount: float = 1.0) -> None:
        """Go down by ``amount``. Raises `AmountTypeError` for what is no real number."""

    @abstractmethod
    def set(self, value: float) -> None:
        """Become ``value``; NaN and the infinities are legal. Raises `AmountTypeError` for what is no real number."""

    @abstractmethod
    def set_function(self, f: GaugeFunction) -> None:
        """Call ``f`` at every collection and take its result, whatever was set in between.

        ``f`` may be a coroutine function. While it raises, the series is left out of the exposition and
        ``asyncmetrics_collector_errors_total`` counts.
        """

    def set_to_current_time(self) -> None:
        """Become the current Unix time in seconds."""
        self.set(time.time())

    @overload
    def track_inprogress(self, awaitable: None = None, *, labels: CallLabels | None = None) -> InprogressTracker: ...
    @overload
    def track_inprogress(self, awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    def track_inprogress(
        self, awaitable: Awaitable[T] | None = None, *, labels: CallLabels | None = None
    ) -> InprogressTracker | Coroutine[Any, Any, T]:
        """Count what is running: up at the start, down exactly once at the end, however it ends.

        Use it as a decorator, with ``with`` or ``async with``, or ``await g.track_inprogress(awaitable)``.
        """
        tracker = InprogressTracker(self, labels)
        return tracker if awaitable is None else tracker(awaitable)

    def recorder(self) -> Callable[[float], None]:
        """Return what becomes of the seconds that a timer took: the gauge is set to them."""
        return self.set


class _Observing(_Timed):
    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float) -> None:
        """Take one observation."""

    def recorder(self) -> Callable[[float], None]:
        """Return the shortest way to observe seconds that a timer took: exact, finite floats."""
        return self.observe


class SummaryChild(_Observing):
    """A count and a sum of observations."""

    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float) -> None:
        """Take one observation.

        NaN is left out and counted in ``asyncmetrics_dropped_observations_total``: OpenMetrics 1.0 forbids a NaN sum.
        Raises `AmountTypeError` for what is no real number.
        """


class HistogramChild(_Observing):
    """Counts of observations by size, with their sum."""

    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Take one observation; ``exemplar`` are labels that lead to the event behind it, such as a trace.

        NaN is left out and counted in ``asyncmetrics_dropped_observations_total``: OpenMetrics 1.0 forbids a NaN sum.
        Raises `AmountTypeError` or `ExemplarError`, and then nothing is counted.
        """


class InfoChild(Labelled):
    """Facts, as labels of a sample that is always 1."""

    __slots__ = ()

    @abstractmethod
    def info(self, val: Mapping[str, str]) -> None:
        """Replace the facts by ``val``.

        Raises `LabelError` for a name that is a label of the metric already, or that no label may have.
        """


class EnumChild(Labelled):
    """Which one of several states something is in."""

    __slots__ = ()

    @abstractmethod
    def state(self, state: str) -> None:
        """Change to ``state``. Raises `LabelError` for one that was not declared."""


def _call(values: tuple[object, ...], named: dict[str, object]) -> str:
    return ", ".join([*(repr(value) for value in values), *(f"{name}={value!r}" for name, value in named.items())])
