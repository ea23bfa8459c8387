"""Gathering the families of a registry on an event loop, with collectors that may block, hang, or be anything.

*Rules.* No collector costs the loop more than a moment or another collector its place: a sync one that may block runs
in a thread of its own, an async one in a task, all at once and until one deadline. Who raises or is late is left out.
A thread cannot be stopped, so a collector that is late is not asked again until it has come back.

*Theory of operation.* Scrapes that come while a gathering of the same names is under way wait for it and share its
families. If the scrape that leads it is given up by its client, one of those that wait leads a new one; it finds the
threads of the old one at work and waits for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from functools import lru_cache
from inspect import isasyncgenfunction, iscoroutinefunction
from threading import Thread
from typing import NamedTuple, TypeAlias, final

from anyio import Event, create_task_group, current_effective_deadline, from_thread, move_on_after
from anyio.lowlevel import EventLoopToken, RunVar, checkpoint, current_token

from asyncmetrics.exposition._pacing import in_turns, of_loop, turn
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import Collectable, Collection, Collector, CollectorResult, awaited, finite, let_go

__all__ = ("gathered",)

# What a collector came back with: its families, or why there are none.
_Outcome: TypeAlias = list[Metric] | BaseException


class _Key(NamedTuple):
    registry: Collectable
    names: frozenset[str]
    on_error: str


@final
class _Gathering:
    """A gathering that scrapes wait for: without an outcome at its end, its leader was given up."""

    def __init__(self) -> None:
        self.ended = Event()
        self.outcome: list[Metric] | Exception | None = None


@final
class _OfLoop:
    """What is under way on one event loop."""

    def __init__(self) -> None:
        self.gatherings: dict[_Key, _Gathering] = {}
        self.calls: dict[Collector, _Call] = {}


_OF_LOOP: RunVar[_OfLoop] = RunVar("asyncmetrics_gatherings")


async def gathered(
    registry: Collectable, names: frozenset[str], source: Collectable, on_error: str, seconds: float
) -> list[Metric]:
    """Return the families of ``source``, which is what ``registry`` has of ``names``, within about ``seconds``.

    Raises `CollectorError` for a collector that failed or was late, where ``on_error`` is ``"fail"``.
    """
    key = _Key(registry, names, on_error)
    gatherings = of_loop(_OF_LOOP, _OfLoop).gatherings
    while key in gatherings:
        under_way = gatherings[key]
        await under_way.ended.wait()
        if isinstance(under_way.outcome, Exception):
            raise under_way.outcome
        if under_way.outcome is not None:
            return under_way.outcome
    gatherings[key] = leading = _Gathering()
    try:
        leading.outcome = families = await _gather(source.begin(on_error), seconds)
    except Exception as error:
        leading.outcome = error
        raise
    finally:
        gatherings.pop(key)
        leading.ended.set()
    return families


async def _gather(collection: Collection, seconds: float) -> list[Metric]:
    calls = of_loop(_OF_LOOP, _OfLoop).calls
    slow: list[Collector] = []
    await in_turns(_chosen(collection.collectors, slow))
    outcomes: dict[Collector, _Outcome] = {}
    if slow:
        with move_on_after(seconds):
            async with create_task_group() as tasks:
                for collector in slow:
                    tasks.start_soon(_ask, collector, calls, outcomes)
    for collector in slow:
        if collector not in outcomes:
            outcomes[collector] = TimeoutError(f"expected an answer within {seconds:g} s, got none")
            if collector in calls:
                calls[collector].late = True
    await in_turns(_put_together(collection, outcomes))
    return collection.families()


def _chosen(collectors: Iterable[Collector], slow: list[Collector]) -> Iterator[None]:
    """Put into ``slow`` which of them may wait for something; the others are asked on the loop."""
    for collector in collectors:
        if getattr(collector, "blocking", True) or _is_async(collector):
            slow.append(collector)
        yield


def _is_async(collector: Collector) -> bool:
    collect: Callable[..., object] = collector.collect
    return _makes_awaitables(getattr(collect, "__func__", collect))


@lru_cache(maxsize=4096)
def _makes_awaitables(collect: Callable[..., object]) -> bool:
    return iscoroutinefunction(collect) or isasyncgenfunction(collect)


def _put_together(collection: Collection, outcomes: dict[Collector, _Outcome]) -> Iterator[None]:
    for collector in collection.collectors:
        outcome = outcomes.get(collector)
        if outcome is None:
            collection.ask(collector)
        elif isinstance(outcome, BaseException):
            collection.fail(collector, outcome)
        else:
            for family in outcome:
                collection.add(collector, family)
                yield
        yield
    yield from collection.prepare()


async def _ask(collector: Collector, calls: dict[Collector, _Call], outcomes: dict[Collector, _Outcome]) -> None:
    result: CollectorResult | BaseException | None = None
    try:
        result = collector.collect() if _is_async(collector) else await _asked_in_thread(collector, calls)
        outcomes[collector] = result if isinstance(result, BaseException) else await awaited(result, checkpoint)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _is_cancelled():
            raise
        outcomes[collector] = error
    finally:
        let_go(result)


def _is_cancelled() -> bool:
    """Tell whether this task is being cancelled, rather than somebody having raised what says so."""
    return current_effective_deadline() == -float("inf")


async def _asked_in_thread(collector: Collector, calls: dict[Collector, _Call]) -> CollectorResult | BaseException:
    while True:
        call = None
        try:
            async with turn():  # to start a thread is work as well, and there may be hundreds
                call = calls.get(collector) or _Call(collector, calls).start()
                call.askers += 1
            if call.late:
                return TimeoutError("it has not come back from an earlier scrape that it was late for")
            await call.ended.wait()
            result = call.result if isinstance(call.result, (list, BaseException)) else call.take()
            if result is not None:
                return result
        finally:
            if call is not None:
                call.askers -= 1
                call.let_go_unless_asked()


@final
class _Call:
    """A collector at work in a thread of its own, in ``calls`` until it has come back."""

    def __init__(self, collector: Collector, calls: dict[Collector, _Call]) -> None:
        self.ended = Event()
        self.late = False
        self.askers = 0
        self.result: CollectorResult | BaseException | None = None
        self._collector = collector
        self._calls = calls

    def start(self) -> _Call:
        """Start the thread: a daemon, since a collector that hangs must not keep the program from ending."""
        name = f"asyncmetrics-{type(self._collector).__name__}"
        work = copy_context().run
        Thread(target=work, args=(self._work, current_token()), name=name, daemon=True).start()
        self._calls[self._collector] = self
        return self

    def take(self) -> CollectorResult | BaseException | None:
        """Return the result and keep it no longer: only one can await it, and another that waits asks anew."""
        result, self.result = self.result, None
        return result

    def _work(self, token: EventLoopToken) -> None:
        try:
            result = self._collector.collect()
            self.result = result if isinstance(result, (Awaitable, AsyncIterable)) else finite(result)
        except BaseException as error:  # noqa: BLE001  # of whatever kind: it ends this thread and nothing else
            self.result = error
        try:
            from_thread.run_sync(self._end, token=token)
        except RuntimeError:  # the loop has ended meanwhile
            let_go(self.result)

    def _end(self) -> None:
        self._calls.pop(self._collector, None)
        self.ended.set()
        self.let_go_unless_asked()

    def let_go_unless_asked(self) -> None:
        """Close a result that has come and that nobody waits for."""
        if not self.askers and self.ended.is_set():
            let_go(self.take())
