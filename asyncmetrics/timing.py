"""Timing, counting exceptions and tracking what runs, around anything that can be called, entered or awaited.

*Rules.*

- Measure a coroutine from its first step to its end, suspensions included; measure a generator from the first ``next``
  until it is exhausted or closed.
- Keep the kind, the signature and the type of a decorated function.
- Do not count cancellation and ``GeneratorExit`` as exceptions, unless the user names their types.

*Theory of operation.*

1. The user applies an `Instrument` to a callable, a block or an awaitable. The instrument knows its target: a metric or
   a child.
2. The instrument turns the target into a `Measure`: the functions to call before and after. It does so once, at
   decoration, or at each call where the labels depend on the arguments.
3. A wrapper (`asyncmetrics.wrapping`) or a `Timing` calls ``begin``, then the measured code runs, then it calls ``end``
   or ``fail``. A wrapper keeps its state in the frame of the call and a ``with`` block in its `Timing`, so concurrent
   calls share nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from inspect import isawaitable
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, final, overload

from asyncmetrics.errors import is_cancellation
from asyncmetrics.typing import Incrementer, LabelValues
from asyncmetrics.wrapping import Steps, call_end, wrap_awaitable, wrap_callable

__all__ = (
    "CallLabels",
    "ExceptionCounter",
    "Exceptions",
    "InprogressTracker",
    "Instrument",
    "Measure",
    "Recorder",
    "Target",
    "Timer",
    "Timing",
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])  # a callable of the user's, of any signature
Exceptions: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
CallLabels: TypeAlias = LabelValues | Callable[..., LabelValues]


class Target(Protocol):
    """A metric or a child of one."""

    def labels(self, *values: object, **named: object) -> Any:
        """Return the child with these label values.

        A child of a target suits the same instruments as the target. Python's types cannot say that, hence Any.
        """

    def require_labels(self) -> None:
        """Raise `LabelError` if this is a metric whose labels are not chosen."""


class Recorder(Target, Protocol):
    """A target that a `Timer` can use: a histogram, a summary, a gauge, or a child of one."""

    def recorder(self) -> Callable[[float], None]:
        """Return the function to which a timer passes the seconds that it measured."""
        ...


class _Counting(Target, Incrementer, Protocol):
    """A target that an `ExceptionCounter` can use: a counter or a child of one."""


class _Tracking(_Counting, Protocol):
    """A target that an `InprogressTracker` can use: a gauge or a child of one."""

    def dec(self, amount: float = ...) -> None:
        """Decrease the gauge by ``amount``."""


X = TypeVar("X", bound=Target)


class Measure(NamedTuple):
    """The functions to call around something that is measured.

    ``begin`` is called first. At the end, ``end`` is called with the seconds taken; after an exception, ``fail`` is
    called with the seconds and the exception instead, if there is a ``fail``. ``discard`` undoes ``begin`` of a measure
    that another one replaces.
    """

    end: Callable[[float], object]
    fail: Callable[[float, BaseException], object] | None = None
    begin: Callable[[], object] | None = None
    discard: Callable[[], object] | None = None


class Instrument(ABC, Generic[X]):
    """A decorator, a context manager (sync and async) and a wrapper of awaitables in one.

    It has nothing to do with the function `asyncmetrics.instrument`.

    The same object may be entered again while it is in use, also by other tasks and threads.
    """

    __slots__ = ("_entered", "_labels", "_target")

    def __init__(self, target: X, labels: CallLabels | None = None) -> None:
        self._target = target
        self._labels = labels
        self._entered: Timing | None = None

    @abstractmethod
    def measure(self, target: X) -> Measure:
        """Return the functions to call around a call that ``target`` measures."""

    @overload
    def __call__(self, subject: Awaitable[T], /) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, subject: F, /) -> F: ...
    def __call__(self, subject: Any, /) -> Any:
        """Return ``subject`` measured: a callable of the same kind and signature, or a coroutine for an awaitable."""
        if self._labels is None:
            self._target.require_labels()  # raise at decoration, not at the end of every call
        if isawaitable(subject):
            return wrap_awaitable(subject, self._make_steps())
        if isinstance(subject, (classmethod, staticmethod)):
            return type(subject)(self(subject.__func__))
        labels = self._labels
        if not callable(labels):
            steps = self._make_steps()
            return wrap_callable(subject, steps, lambda _args, _kwargs: steps)

        def choose(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Measure:
            return self._choose((), labels(*args, **kwargs))

        return wrap_callable(subject, None, choose)

    def _choose(self, values: tuple[object, ...], named: Mapping[str, object]) -> Measure:
        return self.measure(self._target.labels(*values, **named))

    def _measure_once(self) -> Measure:
        if self._labels is None:
            return self.measure(self._target)
        if callable(self._labels):
            message = "labels= must be a mapping here: there is no call whose arguments a callable could take"
            raise TypeError(message)
        return self._choose((), self._labels)

    def _make_steps(self) -> Steps:
        end, fail, begin, discard = self._measure_once()
        return end, fail, begin, discard

    def __enter__(self) -> Timing:
        timing = Timing(self, self._measure_once())
        if self._entered is None:
            self._entered = timing
        else:
            _NESTED.set((*_NESTED.get(), timing))
        return timing

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._take_timing()._finish(exc)

    async def __aenter__(self) -> Timing:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def _take_timing(self) -> Timing:
        """Return the innermost run of this instrument in this context, and forget it."""
        nested = _NESTED.get()
        for index in range(len(nested) - 1, -1, -1):
            if nested[index].instrument is self:
                _NESTED.set(nested[:index] + nested[index + 1 :])
                return nested[index]
        timing, self._entered = self._entered, None
        if timing is None:
            message = f"{self!r} was exited but never entered"
            raise RuntimeError(message)
        return timing


class _ChoosesMeasure(Protocol):
    """An `Instrument` of any kind of target, for `Timing`."""

    def _choose(self, values: tuple[object, ...], named: Mapping[str, object]) -> Measure: ...


@final
class Timing:
    """One run of a ``with`` block: `labels` chooses the child inside it; ``duration`` holds the seconds after it."""

    __slots__ = ("_measure", "_started", "duration", "instrument")

    def __init__(self, instrument: _ChoosesMeasure, measure: Measure) -> None:
        self.instrument = instrument
        self.duration = 0.0
        self._measure = measure
        if measure.begin:
            measure.begin()
        self._started = perf_counter()

    def labels(self, *values: object, **named: object) -> None:
        """Choose the child that this run counts for by its label values. Raises `LabelError` as the metric does."""
        measure = self.instrument._choose(values, named)
        if self._measure.discard:
            self._measure.discard()
        self._measure = measure
        if measure.begin:
            measure.begin()

    def _finish(self, error: BaseException | None) -> None:
        self.duration = perf_counter() - self._started
        call_end(self._measure.end, self._measure.fail, self.duration, error)


# The runs of instruments that were entered again while in use. A context variable, so that each task finds its own.
_NESTED: ContextVar[tuple[Timing, ...]] = ContextVar("asyncmetrics_nested_timings", default=())


@final
class Timer(Instrument[Recorder]):
    """Measure how long something takes: what ``time()`` of a histogram, summary or gauge returns."""

    __slots__ = ()

    def measure(self, target: Recorder) -> Measure:
        """Record the seconds on every path."""
        return Measure(target.recorder())


@final
class ExceptionCounter(Instrument[_Counting]):
    """Count the exceptions that leave something: what `Counter.count_exceptions` returns."""

    __slots__ = ("_everything", "_named")

    def __init__(self, target: _Counting, exception: Exceptions, labels: CallLabels | None = None) -> None:
        super().__init__(target, labels)
        types = exception if isinstance(exception, tuple) else (exception,)
        self._everything = BaseException in types  # which does not name cancellation or GeneratorExit
        self._named = tuple(item for item in types if item is not BaseException)

    def measure(self, target: _Counting) -> Measure:
        """Count an exception of the types."""

        def end(_seconds: float) -> None:
            """Count nothing: there was no exception."""

        def fail(_seconds: float, error: BaseException) -> None:
            if self._is_counted(error):
                target.inc()

        return Measure(end, fail)

    def _is_counted(self, error: BaseException) -> bool:
        if isinstance(error, self._named):
            return True
        return self._everything and not isinstance(error, GeneratorExit) and not is_cancellation(error)


@final
class InprogressTracker(Instrument[_Tracking]):
    """Count what is running: what `Gauge.track_inprogress` returns."""

    __slots__ = ()

    def measure(self, target: _Tracking) -> Measure:
        """Add 1 before and subtract 1 after, on every path."""

        def end(_seconds: float) -> None:
            target.dec()

        return Measure(end, None, target.inc, target.dec)
