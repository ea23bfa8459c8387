"""The interfaces of the children: what a program can do to one child of each kind of metric.

Each storage implements them in its own children, and each metric implements the interface of its children. Timers,
exception counters and in-progress trackers need only these interfaces, so they are written once, here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import FunctionType
from typing import Any, NoReturn, TypeVar, cast, overload

from asyncmetrics.errors import LabelError, MetricsError
from asyncmetrics.loops import RUNNING
from asyncmetrics.model.sharing import Unique
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
    "name_methods",
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
K = TypeVar("K", bound=type)
_PACKAGE = f"{__name__.partition('.')[0]}."
GaugeFunction = Callable[[], "float | Awaitable[float]"]
Sampler = Callable[[], "Mapping[tuple[object, ...], float] | Awaitable[Mapping[tuple[object, ...], float]]"]


def name_methods(cls: K) -> K:
    """Let Python's errors call the methods of a class by their own names: ``inc() takes …``.

    Python calls them by their qualified names, which say ``MemoryCounter.inc()`` of a counter.
    """
    for name, method in vars(cls).items():
        if isinstance(method, FunctionType) and not name.startswith("_"):
            method.__qualname__ = name
    return cls


@name_methods
class Labelled(Unique, ABC):  # every child inherits all methods
    """A metric or a child: `labels` chooses a child of a metric; a child has its labels already."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith(_PACKAGE):  # the methods of a program's own class keep their names
            name_methods(cls)

    def labels(self, *values: object, **named: object) -> Labelled:
        """Return the child with these label values; a child raises `LabelError`, since its labels are set."""
        call = f"labels({_format_call(values, named)})"
        raise LabelError(
            repr(self), f"the labels are already set, so {call} cannot be chained: give all values to one labels()"
        )

    def require_labels(self) -> None:  # as above
        """Raise `LabelError` if this is a metric whose labels are not chosen; a child raises nothing."""

    is_fixed: bool = True
    """Whether no context labels choose the child."""

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment; a child has them already."""
        return ()

    def in_context(self, context: tuple[str, ...]) -> Any:  # noqa: ARG002  # for metrics
        """Return the child for what `read_context` has returned; this object itself if it is fixed."""
        return self

    def count_dropped(self) -> None:  # as above
        """Count a measurement of a metric whose labels were never chosen; a child has its labels."""


class _TimedChild(Labelled):
    __slots__ = ()

    @abstractmethod
    def recorder(self) -> Callable[[float], None]:
        """Return the function to which a timer passes the seconds that it measured."""

    def closed_recorder(self) -> Callable[[float], None] | None:
        """Return what `recorder` returns, for a call that was closed before its end; None if it is the same.

        The garbage collector closes what was abandoned, in the context of any other call: no exemplar is asked for.
        """
        return None

    @overload
    def time(self, awaitable: None = None, *, labels: CallLabels | None = None) -> Timer: ...
    @overload
    def time(self, awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    def time(
        self, awaitable: Awaitable[T] | None = None, *, labels: CallLabels | None = None
    ) -> Timer | Coroutine[Any, Any, T]:
        """Measure the seconds that a block, a call, a generator or an awaitable takes, suspensions included.

        A histogram or summary observes the seconds; a gauge is set to them. Use it as a decorator, with ``with`` or
        ``async with``, or as ``await h.time(awaitable)``. The context manager returns a `Timing`, whose labels can be
        chosen inside the block: ``with h.time() as t: t.labels("GET")``. For a decorator, ``labels`` is a mapping, or a
        callable that is called with the arguments of each call and returns a mapping.
        """
        timer = Timer(self, labels)
        return timer if awaitable is None else timer(awaitable)


class CounterChild(Labelled):
    """A number that only goes up."""

    __slots__ = ()

    @abstractmethod
    def inc(self, amount: float = 1.0, exemplar: Mapping[str, str] | None = None) -> None:
        """Increase the counter by ``amount``, which is finite and not negative.

        ``exemplar`` holds labels that identify one event behind this increment, such as a trace; an empty mapping is
        no exemplar. Raises `AmountError`, `AmountTypeError` or `ExemplarError`; the counter is then unchanged.
        """

    @abstractmethod
    def reset(self) -> None:
        """Set the counter to zero, as when a logical process restarts inside this one."""

    @overload
    def count_exceptions(
        self, exception: Exceptions = Exception, *, labels: CallLabels | None = None
    ) -> ExceptionCounter: ...
    @overload
    def count_exceptions(self, exception: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    @overload
    def count_exceptions(self, exception: F) -> F: ...
    def count_exceptions(
        self, exception: Any = Exception, *, labels: CallLabels | None = None
    ) -> ExceptionCounter | Coroutine[Any, Any, T] | Callable[..., Any]:
        """Count the exceptions of a type (or a tuple of types) that leave a block, a call, a generator or an awaitable.

        Use it as a decorator, with ``with`` or ``async with``, or as ``await c.count_exceptions(awaitable)``.
        Cancellation and ``GeneratorExit`` are counted only if ``exception`` names their types. For a decorator,
        ``labels`` is a mapping, or a callable that is called with the arguments of each call and returns a mapping.
        """
        if isinstance(exception, (type, tuple)) or not (callable(exception) or isinstance(exception, Awaitable)):
            return ExceptionCounter(self, exception, labels)
        counter = ExceptionCounter(self, Exception, labels)
        return counter(cast(Awaitable[T], exception))  # or a function, of a decorator without parentheses


class GaugeChild(_TimedChild):
    """A number that goes up and down."""

    __slots__ = ()

    @abstractmethod
    def inc(self, amount: float = 1.0) -> None:
        """Increase the gauge by ``amount``. Raises `AmountTypeError` unless it is a real number."""

    @abstractmethod
    def dec(self, amount: float = 1.0) -> None:
        """Decrease the gauge by ``amount``. Raises `AmountTypeError` unless it is a real number."""

    @abstractmethod
    def set(self, value: float) -> None:
        """Set the gauge to ``value``, which may be NaN or infinite. Raises `AmountTypeError` unless it is a number."""

    @abstractmethod
    def set_function(self, f: GaugeFunction, *, loop: object = RUNNING) -> None:
        """Call ``f`` at every collection and set the gauge to its result.

        ``f`` may be a coroutine function. It then runs on its home loop, whichever thread collects: the asyncio loop or
        trio run that runs at this call, or ``loop``, see `CollectorRegistry.register`. The functions of a gauge do not
        wait for each other. A collection in which ``f`` raises or is late does not expose the series and counts it in
        ``asyncmetrics_collector_errors_total``. Raises `CallbackTypeError` (a TypeError) for what cannot be called.
        """

    def set_to_current_time(self) -> None:
        """Set the gauge to the current Unix time in seconds."""
        self.set(time.time())

    @overload
    def track_inprogress(self, awaitable: None = None, *, labels: CallLabels | None = None) -> InprogressTracker: ...
    @overload
    def track_inprogress(self, awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]: ...
    def track_inprogress(
        self, awaitable: Awaitable[T] | None = None, *, labels: CallLabels | None = None
    ) -> InprogressTracker | Coroutine[Any, Any, T]:
        """Count what is running: add 1 at the start and subtract 1 exactly once at the end, however it ends.

        Use it as a decorator, with ``with`` or ``async with``, or as ``await g.track_inprogress(awaitable)``.
        """
        tracker = InprogressTracker(self, labels)
        return tracker if awaitable is None else tracker(awaitable)

    def recorder(self) -> Callable[[float], None]:
        """Return `set`: a timer sets a gauge to the seconds that it measured."""
        return self.set


class _ObservingChild(_TimedChild):
    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float) -> None:
        """Add one observation."""

    def recorder(self) -> Callable[[float], None]:
        """Return the fastest function that observes the seconds of a timer, which are exact and finite floats."""
        return self.observe

    def add_number(self, index: int, amount: float) -> None:  # noqa: ARG002  # for the storages that override it
        """Add to one number alone, without a check: for programs that observe in their own way.

        By index, a summary has its count and its sum; a histogram has its buckets, not cumulative, and its sum. Raises
        `MetricsError` for a native histogram, and if the storage cannot do it.
        """
        raise MetricsError(f"{self!r}: the storage of this registry cannot change one number alone")

    def set_number(self, index: int, value: float) -> None:  # noqa: ARG002  # as above
        """Replace one number, as `add_number` adds to it."""
        raise MetricsError(f"{self!r}: the storage of this registry cannot change one number alone")


class SummaryChild(_ObservingChild):
    """A count and a sum of observations."""

    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float) -> None:
        """Add one observation.

        An observation of NaN is dropped and counted in ``asyncmetrics_dropped_observations_total``: OpenMetrics 1.0
        forbids a NaN sum. Raises `AmountTypeError` unless ``amount`` is a real number.
        """


class HistogramChild(_ObservingChild):
    """Counts of observations by size, with their sum."""

    __slots__ = ()

    @abstractmethod
    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation; ``exemplar`` holds labels that identify the event behind it, such as a trace.

        An observation of NaN is dropped and counted in ``asyncmetrics_dropped_observations_total``: OpenMetrics 1.0
        forbids a NaN sum. Raises `AmountTypeError` or `ExemplarError`; the histogram is then unchanged.
        """


class InfoChild(Labelled):
    """Facts, exposed as labels of a sample that is always 1."""

    __slots__ = ()

    @abstractmethod
    def info(self, val: Mapping[str, str] = ..., **named: NoReturn) -> None:
        """Replace the facts by ``val``.

        Raises `LabelError` for a name that is a label of the metric, or that is not allowed for a label.
        """


class EnumChild(Labelled):
    """A state, one of several that the metric declares."""

    __slots__ = ()

    @abstractmethod
    def state(self, state: str) -> None:
        """Change to ``state``. Raises `LabelError` for a state that the metric does not declare."""


def _format_call(values: tuple[object, ...], named: dict[str, object]) -> str:
    return ", ".join([*(repr(value) for value in values), *(f"{name}={value!r}" for name, value in named.items())])
