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
3. A wrapper (`asyncmetrics.wrapping`) or a `Timing` calls ``begin``, if there is one: what must go up and down on one
   child chooses that child here, since the context labels may be others at the end. Then the measured code runs.
4. The wrapper or `Timing` calls ``end`` or ``fail``. A wrapper keeps its state in the frame of the call; a block keeps
   it in its `Timing`, which `asyncmetrics.entries` finds again. Concurrent calls share nothing.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, final, overload

from asyncmetrics.entries import add_entry, find_owner, take_entry
from asyncmetrics.errors import LabelError, is_cancellation, show
from asyncmetrics.typing import Incrementer, LabelValues
from asyncmetrics.wrapping import Measure, Started, call_end, wrap_awaitable, wrap_callable

__all__ = (
    "CallLabels",
    "ExceptionCounter",
    "Exceptions",
    "InprogressTracker",
    "Instrument",
    "Measure",
    "Recorder",
    "Started",
    "Target",
    "Timer",
    "Timing",
    "Tracked",
    "is_closed",
    "track",
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

    def count_dropped(self) -> None:
        """Count a measurement that is dropped: an exception left the block before its labels were chosen."""


class _InContext(Target, Protocol):
    """A target whose child may depend on the context labels."""

    is_fixed: bool
    """Whether all calls have the same child: no context labels choose it."""

    def read_context(self) -> tuple[str, ...]:
        """Return the values that the context labels have at this moment."""
        ...

    def in_context(self, context: tuple[str, ...]) -> Any:
        """Return the child for what `read_context` has returned."""


class Recorder(_InContext, Protocol):
    """A target that a `Timer` can use: a histogram, a summary, a gauge, or a child of one."""

    def recorder(self) -> Callable[[float], None]:
        """Return the function to which a timer passes the seconds that it measured."""
        ...

    def closed_recorder(self) -> Callable[[float], None] | None:
        """Return the one for a call that was closed before its end, or None if it is the same."""
        ...


class _Counting(Target, Incrementer, Protocol):
    """A target that an `ExceptionCounter` can use: a counter or a child of one."""


class Tracked(_InContext, Protocol):
    """A target that an `InprogressTracker` can use: a gauge or a child of one."""

    def inc(self) -> None:
        """Increase the gauge by 1."""

    def dec(self) -> None:
        """Decrease the gauge by 1."""


X = TypeVar("X", bound=Target)


class Instrument(ABC, Generic[X]):
    """A decorator, a context manager (sync and async) and a wrapper of awaitables in one.

    It has nothing to do with the function `asyncmetrics.instrument`.

    ``with`` and ``async with`` may enter the same object again while it is in use, also in other tasks and threads. A
    function that calls ``__enter__``, such as ``ExitStack.enter_context``, needs an object of its own for each call:
    a second entry by the same task or thread raises RuntimeError, since the exits could not be told apart.
    """

    __slots__ = ("_entries", "_fixed", "_labels", "_target")

    _verb: ClassVar[str]  # how the program made it, for messages

    def __init__(self, target: X, labels: CallLabels | None = None) -> None:
        self._target = target
        if not (labels is None or callable(labels) or isinstance(labels, Mapping)):
            message = f"{self!r}: expected labels= to be a mapping or a callable, got {show(labels)}"
            raise TypeError(message)
        self._labels = labels
        self._entries: dict[object, Timing] = {}
        self._fixed: Measure | None = None  # that of the target, once it is needed

    @abstractmethod
    def measure(self, target: X) -> Measure:
        """Return the functions to call around a call that ``target`` measures."""

    @overload
    def __call__(self, subject: Awaitable[T], /) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, subject: F, /) -> F: ...
    def __call__(self, subject: Any, /) -> Any:
        """Return ``subject`` measured: a callable of the same kind and signature, or a coroutine for an awaitable.

        Raises TypeError for anything else, and `LabelError` if the metric has labels and none are given.
        """
        if isawaitable(subject):
            return wrap_awaitable(subject, self._measure_once())
        if isinstance(subject, (classmethod, staticmethod)):
            return type(subject)(self(subject.__func__))
        if not callable(subject):
            message = f"{self!r} measures a function or an awaitable, got {show(subject)}{_advise(subject)}"
            raise TypeError(message)
        labels = self._labels
        if not callable(labels):
            fixed = self._measure_once()
            return wrap_callable(subject, fixed, lambda _args, _kwargs: fixed)

        def choose(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Measure:
            return self._choose((), labels(*args, **kwargs))

        return wrap_callable(subject, None, choose)

    def _choose(self, values: tuple[object, ...], named: Mapping[str, object]) -> Measure:
        return self.measure(self._target.labels(*values, **named))

    def _measure_once(self) -> Measure:
        """Return the measure of all calls. Raises `LabelError` if the labels are not chosen."""
        labels = self._labels
        if callable(labels):
            message = f"{self!r}: labels= must be a mapping here: there is no call whose arguments it could take"
            raise TypeError(message)
        if labels is not None:
            return self._choose((), labels)  # again each time, since the program may have removed the child
        if self._fixed is None:
            self._target.require_labels()
            self._fixed = self.measure(self._target)
        return self._fixed

    def _measure_nothing(self) -> Measure:
        """Return the measure of a block until its labels are chosen: they must be, unless an exception leaves it."""
        target = self._target
        return (lambda _: target.require_labels()), (lambda _, __: target.count_dropped()), None

    def __enter__(self) -> Timing:
        return self._enter(sys._getframe(1))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(sys._getframe(1), exc)

    def __aenter__(self) -> Coroutine[Any, Any, Timing]:  # no coroutine functions, since their callers are not frames
        return _return(self._enter(sys._getframe(1)))

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        self._exit(sys._getframe(1), exc)
        return _return(None)

    def _enter(self, frame: FrameType) -> Timing:
        owner = find_owner(frame)
        if owner is not frame and owner in self._entries:
            message = (
                f"{self!r} was entered twice by a call of __enter__, as an ExitStack or a callback makes it: nothing "
                f"would show which entry an exit belongs to; make a new object for each entry, by {self._verb}"
            )
            raise RuntimeError(message)
        try:
            measure = self._measure_once()
        except LabelError:
            if self._labels is not None:
                raise
            measure = self._measure_nothing()
        timing = Timing(self, measure)
        add_entry(self._entries, owner, timing)
        return timing

    def _exit(self, frame: FrameType, error: BaseException | None) -> None:
        timing = take_entry(self._entries, frame)
        if timing is not None:
            timing._finish(error)
        elif error is None:  # else the exception of the block says more
            message = f"{self!r} was exited but never entered"
            raise RuntimeError(message)

    def __repr__(self) -> str:
        return f"{self._target!r}.{self._verb}"


async def _return(value: T) -> T:
    return value


def _advise(subject: object) -> str:
    if hasattr(type(subject), "__get__"):  # a property or the like
        return f"; put @{type(subject).__name__} above this decorator"
    return ""


class _ChoosesMeasure(Protocol):
    """An `Instrument` of any kind of target, for `Timing`."""

    def _choose(self, values: tuple[object, ...], named: Mapping[str, object]) -> Measure: ...


@final
class Timing:
    """One run of a ``with`` block: `labels` chooses the child inside it; ``duration`` holds the seconds after it."""

    __slots__ = ("_end", "_fail", "_started", "_undo", "duration", "instrument", "outer")
    outer: Timing | None

    def __init__(self, instrument: _ChoosesMeasure, measure: Measure) -> None:
        self.instrument = instrument
        self.duration = 0.0
        self._end, self._fail, begin = measure
        self._undo: Callable[[], object] | None = None
        if begin:
            self._end, self._fail, self._undo = begin()
        self._started = perf_counter()

    def labels(self, *values: object, **named: object) -> None:
        """Choose the child that this run counts for by its label values. Raises `LabelError` as the metric does."""
        measure = self.instrument._choose(values, named)
        if self._undo:
            self._undo()
        self._end, self._fail, begin = measure
        if begin:
            self._end, self._fail, self._undo = begin()

    def _finish(self, error: BaseException | None) -> None:
        self.duration = perf_counter() - self._started
        call_end(self._end, self._fail, self.duration, error)


@final
class Timer(Instrument[Recorder]):
    """Measure how long something takes: what ``time()`` of a histogram, summary or gauge returns."""

    __slots__ = ()

    _verb = "time()"

    def measure(self, target: Recorder) -> Measure:
        """Record the seconds on every path."""
        record = target.recorder()
        if target.is_fixed:
            closed = target.closed_recorder()
            return record, closed and (lambda seconds, error: (closed if is_closed(error) else record)(seconds)), None

        def begin() -> Started:
            context = target.read_context()

            def fail(seconds: float, error: BaseException) -> None:
                if is_closed(error):
                    found = target.in_context(context)
                    (found.closed_recorder() or found.recorder())(seconds)
                else:
                    record(seconds)

            return record, fail, None

        return _do_nothing, None, begin


@final
class ExceptionCounter(Instrument[_Counting]):
    """Count the exceptions that leave something: what `Counter.count_exceptions` returns."""

    __slots__ = ("_everything", "_named")

    _verb = "count_exceptions()"

    def __init__(self, target: _Counting, exception: Exceptions, labels: CallLabels | None = None) -> None:
        super().__init__(target, labels)
        types = exception if isinstance(exception, tuple) else (exception,)
        if not all(isinstance(item, type) and issubclass(item, BaseException) for item in types):
            message = f"{self!r} counts a type of exceptions, or a tuple of types, got {show(exception)}"
            raise TypeError(message)
        self._everything = BaseException in types  # which does not name cancellation or GeneratorExit
        self._named = tuple(item for item in types if item is not BaseException)

    def measure(self, target: _Counting) -> Measure:
        """Count an exception of the types."""

        def end(_seconds: float) -> None:
            """Count nothing: there was no exception."""

        def fail(_seconds: float, error: BaseException) -> None:
            if self._is_counted(error):
                target.inc()

        return end, fail, None

    def _is_counted(self, error: BaseException) -> bool:
        if isinstance(error, self._named):
            return True
        return self._everything and not isinstance(error, GeneratorExit) and not is_cancellation(error)


@final
class InprogressTracker(Instrument[Tracked]):
    """Count what is running: what `Gauge.track_inprogress` returns."""

    __slots__ = ()

    _verb = "track_inprogress()"

    def measure(self, target: Tracked) -> Measure:
        """Add 1 before and subtract 1 from the same child after, on every path."""
        return track(target, _end_tracking)


def _end_tracking(child: Tracked) -> Started:
    return (lambda _: child.dec()), None, child.dec


def track(target: Tracked, make_end: Callable[[Any], Started]) -> Measure:
    """Return the measure of calls that add 1 to a child of ``target`` at the beginning.

    ``make_end`` takes the child. It returns the functions that end a call, which subtract 1 from this same child.
    """
    if target.is_fixed:
        inc, started = target.inc, make_end(target)

        def begin() -> Started:
            inc()
            return started
    else:

        def begin() -> Started:
            child = target.in_context(target.read_context())
            child.inc()
            return make_end(child)

    return _do_nothing, None, begin


def is_closed(error: BaseException | None) -> bool:
    """Return whether a call was closed before its end, and is measured with the context labels of its beginning.

    The garbage collector closes what was abandoned, in the context of any other call.
    """
    return isinstance(error, GeneratorExit)


def _do_nothing(_seconds: float) -> None:
    """Stand for the ``end`` that ``begin`` returns."""
