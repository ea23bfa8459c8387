"""Every kind of callable keeps its types under every instrument. Checked by mypy --strict and pyright, never run."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asyncmetrics import CallMetrics, Counter, Gauge, Histogram, Summary

if TYPE_CHECKING:
    from typing_extensions import Self, assert_type

T = TypeVar("T")

seconds = Histogram("seconds", "Seconds.")
failures = Counter("failures", "Failures.", ["kind"])
running = Gauge("running", "Running.")
waited = Summary("waited", "Waited.")
calls = CallMetrics("calls", "Calls.")
sizes = Histogram("sizes", "Sizes.", buckets=(), native=4, max_buckets=None, zero_threshold=0.5, min_reset_seconds=60)


@seconds.time()
@failures.labels("a").count_exceptions()
@running.track_inprogress()
@calls
async def stacked(x: int, *, y: str = "") -> list[str]:
    return [y] * x


@seconds.labels().time()
def generator(x: int) -> Generator[int, str, float]:
    sent = yield x
    return float(sent)


@running.track_inprogress()
async def async_generator(x: int) -> AsyncGenerator[int, str]:
    sent = yield x
    assert sent


@waited.time()
def generic(x: T) -> T:
    return x


@calls
def many(first: int, /, *rest: int, flag: bool, **named: str) -> bytes:
    return bytes([first, *rest])


class Holder(Generic[T]):
    def __init__(self, held: T) -> None:
        self.held = held

    @seconds.time()
    def method(self, x: int) -> T:
        return self.held

    @failures.count_exceptions(labels=lambda _, x: {"kind": x})
    async def coroutine(self, x: str) -> T:
        return self.held

    @running.track_inprogress()
    async def stream(self, x: int) -> AsyncIterator[T]:
        yield self.held

    @classmethod
    @seconds.time()
    def made(cls, x: str) -> Self:
        raise NotImplementedError

    @classmethod
    @calls
    async def made_later(cls, x: str) -> Self:
        raise NotImplementedError

    @staticmethod
    @calls
    async def alone(x: int) -> str:
        return str(x)

    @property
    @waited.time()
    def size(self) -> int:
        return 1


class Held(Holder[bytes]):
    """A class whose class methods return it."""


class Called:
    def __call__(self, x: int) -> str:
        return str(x)


async def use() -> None:
    assert_type(await stacked(1, y="a"), list[str])
    later: Coroutine[Any, Any, list[str]] = stacked(1)
    assert_type(await later, list[str])
    assert_type(generator(1), Generator[int, str, float])
    assert_type(async_generator(1), AsyncGenerator[int, str])
    assert_type(generic("a"), str)
    assert_type(generic(1), int)
    assert_type(many(1, 2, flag=True, a="b"), bytes)
    holder = Holder("a")
    assert_type(Holder[str].made("a"), Holder[str])
    assert_type(await Held.made_later("a"), Held)
    assert_type(holder.method(1), str)
    assert_type(await holder.coroutine("a"), str)
    assert_type(holder.stream(1), AsyncIterator[str])
    assert_type(await Holder.alone(1), str)
    assert_type(holder.size, int)
    assert_type(seconds.time()(Called())(1), str)
    assert_type(seconds.time()(partial(generic, 1))(), int)
    async with seconds.time() as timing, calls as call:
        timing.labels(kind="a")
        call.labels("b")
    assert_type(timing.duration, float)


async def awaited(later: Awaitable[bytes], callback: Callable[[], Awaitable[float]]) -> None:
    assert_type(await seconds.time(later), bytes)
    assert_type(await running.track_inprogress(later), bytes)
    assert_type(await calls(later), bytes)
    running.set_function(callback)
    running.set_function(lambda: 1.5)


async def wrong() -> None:
    Histogram("sizes", "Sizes.", native="yes")  # type: ignore[arg-type]
    Histogram("sizes", "Sizes.", max_buckets="20")  # type: ignore[arg-type]
    Histogram("sizes", "Sizes.", native=True, min_reset_seconds="1h")  # type: ignore[arg-type]
    await stacked("1")  # type: ignore[arg-type]
    await stacked(1, z="")  # type: ignore[call-arg]
    many(1)  # type: ignore[call-arg]
    Holder.made()  # type: ignore[call-arg]
    Holder("a").method("1")  # type: ignore[arg-type]
    Holder("a").stream()  # type: ignore[call-arg]
    await Holder.alone("1")  # type: ignore[arg-type]
    generator(1).send(1)  # type: ignore[arg-type]
    seconds.time(5)  # type: ignore[call-overload]
    seconds.count_exceptions()  # type: ignore[attr-defined]
    failures.count_exceptions("ValueError")  # type: ignore[call-overload]
    failures.labels("a").inc(exemplar={"a": 1})  # type: ignore[dict-item]
    running.set_function(5)  # type: ignore[arg-type]
    CallMetrics("calls")  # type: ignore[call-arg]
    with seconds.time() as timing:
        timing.observe(1)  # type: ignore[attr-defined]
