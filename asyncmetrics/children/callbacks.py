"""The functions of gauges that are called at every collection, each a source of its own (`asyncmetrics.asking`).

A collection asks every `Callback` of a gauge, hands the outcome to `Callback.take`, and then exposes the family of the
gauge. A function that fails or is late so costs no more than its own series.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast, final

from asyncmetrics.asking import LocalFunction, Outcome, Source, close_awaitable, is_async_function
from asyncmetrics.errors import CallbackTypeError, show
from asyncmetrics.loops import HomeLoop, make_home
from asyncmetrics.model.descriptor import Descriptor

__all__ = ("Callback", "FunctionCallback", "SamplerCallback", "check_callback")


def check_callback(metric: str, method: str, function: object, hint: str) -> None:
    """Raise `CallbackTypeError` unless ``function`` can be called; ``hint`` says what it returns."""
    if callable(function):
        return
    advice = ": pass the function itself, without calling it" if isinstance(function, Awaitable) else ""
    close_awaitable(function)
    raise CallbackTypeError(metric, f"{method}() expected a function that returns {hint}, got {show(function)}{advice}")


class _Table(Protocol):
    """The child table of a gauge."""

    descriptor: Descriptor

    @property
    def by_values(self) -> Mapping[tuple[str, ...], Any]: ...

    def take_number(self, child: Any, outcome: Outcome[float]) -> BaseException | None: ...

    def take_sample(
        self, before: Iterable[tuple[str, ...]], numbers: Mapping[tuple[object, ...], float]
    ) -> BaseException | None: ...


class _Child(Protocol):
    """The child of a gauge."""

    @property
    def table(self) -> _Table: ...


class Callback(Source[Any]):
    """A function that belongs to the table of a gauge, with its home loop."""

    def __init__(self, function: Callable[[], Any], home: HomeLoop | None) -> None:
        self.function = function
        self._home = home
        self._is_async = is_async_function(function)

    @property
    def key(self) -> object:
        """This object, which belongs to the gauge."""
        return self

    @property
    def home(self) -> HomeLoop | None:
        """The loop that the function belongs to."""
        return self._home

    @property
    def is_async(self) -> bool:
        """Whether the function is declared async."""
        return self._is_async

    @property
    def is_immediate(self) -> bool:
        """Whether a loop may call the function, as it neither blocks nor waits."""
        return False

    def call(self) -> object:
        """Call the function."""
        return self.function()

    def read(self, result: object) -> Any:
        """Return the result. Raises TypeError for None, which is no outcome."""
        if result is None:
            raise TypeError(f"{self.name}: the function returned None")
        return result

    async def wait(self, result: object) -> Any:
        """Await the result."""
        return self.read(await cast("Awaitable[Any]", result))

    @abstractmethod
    def take(self, outcome: Outcome[Any]) -> BaseException | None:
        """Set the gauge to the outcome; return what has failed, the function or what it returned."""


@final
class FunctionCallback(Callback):
    """The function of one child."""

    def __init__(self, child: _Child, function: Callable[[], Any], loop: object) -> None:
        self._child = child
        check_callback(self.name, "set_function", function, "a number (set() takes a fixed number)")
        super().__init__(function, make_home(loop))

    @property
    def name(self) -> str:
        """The series."""
        descriptor = self._child.table.descriptor
        return repr(self._child) if descriptor.all_labelnames else descriptor.name

    def take(self, outcome: Outcome[Any]) -> BaseException | None:
        """Set the child to the number; if there is none, do not expose the child until there is one again."""
        return self._child.table.take_number(self._child, outcome)


class _Sample(NamedTuple):
    """What the function returned, and the children that there were before it was called."""

    before: list[tuple[str, ...]]
    numbers: Mapping[tuple[object, ...], float]


@final
class _PendingSample(Awaitable[_Sample]):
    """A sample whose numbers are to be awaited."""

    def __init__(self, before: list[tuple[str, ...]], numbers: Awaitable[Any]) -> None:
        self._before = before
        self._numbers = numbers

    def __await__(self) -> Generator[Any, None, _Sample]:
        return _Sample(self._before, (yield from self._numbers.__await__()))

    def close(self) -> None:
        close_awaitable(self._numbers)


async def _return_nothing() -> Mapping[tuple[object, ...], float]:
    """Stand for a function about a loop that has ended."""
    return {}


@final
class SamplerCallback(Callback):
    """The function that returns the numbers of all children."""

    def __init__(self, table: _Table, function: Callable[[], Any], home: HomeLoop | None, *, is_blocking: bool) -> None:
        super().__init__(function, home)
        self._table = table
        self.is_blocking = is_blocking
        self._is_local = isinstance(function, LocalFunction)

    @property
    def name(self) -> str:
        """The gauge."""
        return self._table.descriptor.name

    @property
    def is_immediate(self) -> bool:
        """Whether the program has promised that the function does not block."""
        return not self.is_blocking and not self._is_async

    @property
    def home(self) -> HomeLoop | None:
        """The loop that the function belongs to; none for a `LocalFunction` whose loop has ended."""
        return None if self._is_about_ended_loop() else self._home

    def _is_about_ended_loop(self) -> bool:
        return self._is_local and self._home is not None and self._home.has_ended()

    def call(self) -> object:
        """Call the function."""
        return self._sample(_return_nothing if self._is_about_ended_loop() else self.function)

    def call_here(self) -> object:
        """Call the function; a `LocalFunction` returns its numbers at once."""
        function = self.function
        return self._sample(function.call_here if isinstance(function, LocalFunction) else function)

    def _sample(self, function: Callable[[], Any]) -> _Sample | _PendingSample:
        before = list(self._table.by_values)  # a child that is new since then is of a later sample, in another thread
        result = function()
        return _PendingSample(before, result) if isinstance(result, Awaitable) else _Sample(before, result)

    def take(self, outcome: Outcome[Any]) -> BaseException | None:
        """Replace all children by the numbers; if there are none, remove all children."""
        if isinstance(outcome, _Sample):
            return self._table.take_sample(outcome.before, outcome.numbers)
        self._table.take_sample(list(self._table.by_values), {})
        return cast(BaseException, outcome)
