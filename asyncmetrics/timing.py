"""Timing, counting exceptions and tracking what runs, around anything that can be called, entered or awaited.

*Rules.* A coroutine is measured from its first step to its end, suspensions included; a generator from the first
``next`` to exhaustion or close. A decorated function keeps its kind, its signature and its type. Cancellation and
``GeneratorExit`` are no exceptions unless somebody asks for them by type.

*Theory of operation.* An `Instrument` knows a target (a metric or a child) and turns it into a `Measure`: what to do
before and after. One wrapper for each kind of callable drives a measure and keeps its state in the frame of the call,
so that concurrent calls share nothing. Labels that depend on the call's arguments make a measure for each call.
"""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from time import perf_counter
from types import CoroutineType, TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, final, overload

from asyncmetrics.errors import is_cancellation
from asyncmetrics.typing import LabelValues

__all__ = (
    "CallLabels",
    "ExceptionCounter",
    "Exceptions",
    "InprogressTracker",
    "Instrument",
    "Measure",
    "Timer",
    "Timing",
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Exceptions: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
CallLabels: TypeAlias = LabelValues | Callable[..., LabelValues]


class Target(Protocol):
    """A metric or a child of one."""

    def labels(self, *values: object, **named: object) -> Any:
        """Choose a child by its label values."""

    def require_labels(self) -> None:
        """Raise `LabelError` while labels are still to be chosen."""


class Measure(NamedTuple):
    """What to do around something that is measured; None is nothing.

    ``begin`` comes before, then ``end`` with the seconds taken, or ``fail`` with the seconds and the exception
    (where it is None, ``end`` comes on every path). ``discard`` takes ``begin`` back: another measure goes on in its
    place.
    """

    end: Callable[[float], object]
    fail: Callable[[float, BaseException], object] | None = None
    begin: Callable[[], object] | None = None
    discard: Callable[[], object] | None = None


Chooser: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Measure]


class Instrument:
    """A decorator, a context manager (sync and async) and a wrapper of awaitables in one.

    The same object may be entered again while it is in use, also by other tasks and threads.
    """

    __slots__ = ("_entered", "_labels", "_target")

    def __init__(self, target: Target, labels: CallLabels | None = None) -> None:
        self._target = target
        self._labels = labels
        self._entered: Timing | None = None

    @abstractmethod
    def measure(self, target: Any) -> Measure:
        """Return what to do around a call that ``target`` measures."""

    @overload
    def __call__(self, subject: Awaitable[T], /) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(self, subject: F, /) -> F: ...
    def __call__(self, subject: Any, /) -> Any:
        """Return ``subject`` measured: a callable of the same kind and signature, or a coroutine for an awaitable."""
        if self._labels is None:
            self._target.require_labels()  # now, rather than at the end of every call
        if inspect.isawaitable(subject):
            return _wrap_coroutine(_wait, tuple(self._fixed()), None)(subject)
        if isinstance(subject, (classmethod, staticmethod)):
            return type(subject)(self(subject.__func__))
        labels = self._labels
        if not callable(labels):
            return _wrap(subject, self._fixed(), None)

        def choose(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Measure:
            return self.measure(self._target.labels(**labels(*args, **kwargs)))

        return _wrap(subject, None, choose)

    def _fixed(self) -> Measure:
        if self._labels is None:
            return self.measure(self._target)
        if callable(self._labels):
            message = "labels= must be a mapping here: there is no call whose arguments a callable could take"
            raise TypeError(message)
        return self.measure(self._target.labels(**self._labels))

    def __enter__(self) -> Timing:
        timing = Timing(self, self._target, self._fixed())
        if self._entered is None:
            self._entered = timing
        else:
            _NESTED.set((*_NESTED.get(), timing))
        return timing

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave().finish(exc)

    async def __aenter__(self) -> Timing:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def _leave(self) -> Timing:
        nested = _NESTED.get()
        for index in range(len(nested) - 1, -1, -1):
            if nested[index].instrument is self:
                _NESTED.set(nested[:index] + nested[index + 1 :])
                return nested[index]
        timing, self._entered = self._entered, None
        if timing is None:
            message = f"{self!r} was left but never entered"
            raise RuntimeError(message)
        return timing


@final
class Timing:
    """One run of a ``with`` block: `labels` chooses the child meanwhile, ``duration`` are the seconds afterwards."""

    __slots__ = ("_measure", "_started", "_target", "duration", "instrument")

    def __init__(self, instrument: Instrument, target: Target, measure: Measure) -> None:
        self.instrument = instrument
        self.duration = 0.0
        self._target = target
        self._measure = measure
        if measure.begin:
            measure.begin()
        self._started = perf_counter()

    def labels(self, *values: object, **named: object) -> None:
        """Choose by its label values the child that this run counts for; raises `LabelError` as the metric does."""
        chosen = self.instrument.measure(self._target.labels(*values, **named))
        if self._measure.discard:
            self._measure.discard()
        self._measure = chosen
        if chosen.begin:
            chosen.begin()

    def finish(self, error: BaseException | None) -> None:
        """End the run, with the exception that left the block if one did."""
        self.duration = perf_counter() - self._started
        _finish(self._measure.end, self._measure.fail, self.duration, error)


# Runs of an instrument that was entered again while in use, kept by context: each task finds its own.
_NESTED: ContextVar[tuple[Timing, ...]] = ContextVar("asyncmetrics_nested_timings", default=())


@final
class Timer(Instrument):
    """Take the seconds that something takes: what ``time()`` of a histogram, summary or gauge returns."""

    __slots__ = ()

    def measure(self, target: Any) -> Measure:
        """Record the seconds, whatever happened."""
        return Measure(target.recorder())


@final
class ExceptionCounter(Instrument):
    """Count the exceptions that leave something: what `Counter.count_exceptions` returns."""

    __slots__ = ("_everything", "_named")

    def __init__(self, target: Target, exception: Exceptions, labels: CallLabels | None = None) -> None:
        super().__init__(target, labels)
        types = exception if isinstance(exception, tuple) else (exception,)
        self._everything = BaseException in types
        self._named = tuple(item for item in types if item is not BaseException)

    def measure(self, target: Any) -> Measure:
        """Count if an exception of the types came."""

        def end(_seconds: float) -> None:
            """Leave what went well uncounted."""

        def fail(_seconds: float, error: BaseException) -> None:
            if self._counts(error):
                target.inc()

        return Measure(end, fail)

    def _counts(self, error: BaseException) -> bool:
        if isinstance(error, self._named):
            return True
        return self._everything and not isinstance(error, GeneratorExit) and not is_cancellation(error)


@final
class InprogressTracker(Instrument):
    """Count what is running: what `Gauge.track_inprogress` returns."""

    __slots__ = ()

    def measure(self, target: Any) -> Measure:
        """Go up before and down after, whatever happened."""

        def end(_seconds: float) -> None:
            target.dec()

        return Measure(end, None, target.inc, target.dec)


def _finish(end: Any, fail: Any, seconds: float, error: BaseException | None) -> None:
    if error is None or fail is None:
        end(seconds)
    else:
        fail(seconds, error)


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _wrap(function: Callable[..., Any], fixed: Measure | None, choose: Chooser | None) -> Callable[..., Any]:
    code = function
    while isinstance(code, functools.partial):
        code = code.func
    if not (inspect.isroutine(code) or inspect.isclass(code)):
        code = type(code).__call__
    wrapper = next((wrap for is_kind, wrap in _KINDS if is_kind(code)), _wrap_function)
    # An exact tuple unpacks faster than a named one: benchmarks/decorators.py
    return functools.wraps(function)(wrapper(function, fixed and tuple(fixed), choose))


def _wrap_function(function: Callable[..., Any], fixed: Any, choose: Any) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        end, fail, begin, discard = measure = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _finish(end, fail, perf_counter() - started, error)
            raise
        if type(result) is CoroutineType:  # a plain function in front of a coroutine function: the work is yet to come
            if discard:
                discard()
            return _wrap_coroutine(_wait, measure, None)(result)
        end(perf_counter() - started)
        return result

    return measured


def _time_coroutine(function: Callable[..., Any], end: Callable[[float], object]) -> Callable[..., Any]:
    """Wrap for the one case that is everywhere, a timer alone: benchmarks/decorators.py."""

    async def measured(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            return await function(*args, **kwargs)
        finally:
            end(perf_counter() - started)

    return measured


def _wrap_coroutine(function: Callable[..., Any], fixed: Any, choose: Any) -> Callable[..., Any]:
    if fixed and fixed[1:] == (None, None, None):
        return _time_coroutine(function, fixed[0])

    async def measured(*args: Any, **kwargs: Any) -> Any:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            _finish(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def _wrap_generator(function: Callable[..., Any], fixed: Any, choose: Any) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            _finish(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def _wrap_async_generator(function: Callable[..., Any], fixed: Any, choose: Any) -> Callable[..., Any]:
    async def measured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            generator = function(*args, **kwargs)
            step = generator.__anext__()
            while True:
                value = await step
                try:
                    sent = yield value
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # athrow() hands it on to the generator
                    step = generator.athrow(error)
                else:
                    step = generator.asend(sent)
        except StopAsyncIteration:
            end(perf_counter() - started)
        except BaseException as error:
            _finish(end, fail, perf_counter() - started, error)
            raise

    return measured


_KINDS: tuple[tuple[Callable[[object], bool], Callable[..., Callable[..., Any]]], ...] = (
    (inspect.isasyncgenfunction, _wrap_async_generator),
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isgeneratorfunction, _wrap_generator),
)
