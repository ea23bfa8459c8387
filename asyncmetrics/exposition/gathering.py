"""Gathering the families of a registry on an event loop, for several scrapes at a time.

*Rules.*

1. Give each scrape its own deadline, and serve it the families that its collectors have returned by then.
2. Leave out a collector that fails or is late; let it cost no other collector its families.

*Theory of operation.*

1. No gathering of these names is open, or the open one is older than this scrape would wait: its numbers would be
   older than the scraper allows. The scrape opens a gathering.
2. A gathering is open. Scrapes of the same names join it and share the outcomes of its collectors.
3. A scrape goes through all collectors. It starts those that are not being called yet, so it does not matter which
   scrape of the gathering ends first.
4. The scrape waits for each `SourceCall` until its own deadline. It does not wait for a call that a scrape with as
   much time has waited for without an outcome.
5. The first scrape that has its outcomes, or is cancelled, closes the gathering: later scrapes open another one. Calls
   that have not ended stay among the loop's calls, and the next gathering takes them over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

from anyio import CancelScope, current_time
from anyio.lowlevel import RunVar

from asyncmetrics.asking import Outcome, Source, ask_now
from asyncmetrics.errors import LoopError
from asyncmetrics.exposition.collector_calls import Calls, SourceCall, run_calls
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import get_for_loop, run_in_turns
from asyncmetrics.registry import Collectable, Collection, Collector
from asyncmetrics.registry.collectables import begin_collection
from asyncmetrics.registry.sources import has_callbacks

__all__ = ("gather_families",)


class _Key(NamedTuple):
    registry: int  # its id, as it may be an object that cannot be hashed; the scrapes keep it alive
    names: frozenset[str]


@final
class _LoopState:
    """The open gatherings and the calls that have not ended, on one event loop."""

    def __init__(self) -> None:
        self.gatherings: dict[_Key, _Gathering] = {}
        self.calls: Calls = {}


_STATE: RunVar[_LoopState] = RunVar("asyncmetrics_gatherings")


async def gather_families(
    registry: Collectable, names: frozenset[str], source: Collectable, on_error: str, seconds: float
) -> list[Metric]:
    """Return the families of ``source``, the part of ``registry`` that has ``names``, within about ``seconds``.

    Raises `CollectorError` for a collector that failed or was late, where ``on_error`` is ``"fail"``.
    """
    collection = begin_collection(source, on_error)
    key = _Key(id(registry), names)
    state = get_for_loop(_STATE, _LoopState)
    gathering = state.gatherings.get(key)
    if gathering is None or current_time() - gathering.begun > seconds:  # step 1
        gathering = state.gatherings[key] = _Gathering(state.calls)
    wait = _ScrapeWait(gathering, seconds)
    try:
        await wait.wait_for_outcomes(collection)
        await run_in_turns(wait.hand_over(collection))
    finally:
        if state.gatherings.get(key) is gathering:  # step 5; an older gathering may have been replaced already
            del state.gatherings[key]
    return collection.finish()


@final
class _Gathering:
    """The calls of sources that may wait, and the outcomes of the immediate ones, shared by several scrapes."""

    def __init__(self, loop_calls: Calls) -> None:
        self.begun = current_time()
        self.immediate_outcomes: dict[object, Outcome[Any]] = {}
        self._calls: Calls = {}
        self._loop_calls = loop_calls

    def find_call(self, source: Source[Any]) -> tuple[SourceCall, bool]:
        """Return the call of ``source`` that the gathering or the loop has, or a new one, and whether it is new."""
        key = source.key
        call = self._calls.get(key)
        is_new = call is None
        if call is None:
            call = self._loop_calls.get(key)
            if call is not None and call.is_lost():
                call.fail(LoopError("its event loop has ended during the call"))
                call = None
            is_new = call is None
            call = self._calls[key] = call or SourceCall(source, self._loop_calls)
        return call, is_new

    def forget(self, call: SourceCall) -> None:
        """Let `find_call` return another call instead of one that was cancelled because no scrape waited for it."""
        if self._calls.get(call.source.key) is call:
            del self._calls[call.source.key]


@final
class _ScrapeWait:
    """The calls of a gathering that one scrape waits for, until its own deadline."""

    def __init__(self, gathering: _Gathering, seconds: float) -> None:
        self._gathering = gathering
        self._seconds = seconds
        self._sources: dict[Collector, Sequence[Source[Any]]] = {}
        self._calls: Calls = {}
        self._outcomes: dict[object, Outcome[Any]] = {}
        self._functions: list[tuple[SourceCall, Callable[[], object]]] = []

    async def wait_for_outcomes(self, collection: Collection) -> None:
        """Wait for the sources that may wait; a `TimeoutError` is the outcome of each that is late."""
        deadline = current_time() + self._seconds
        try:
            try:
                await run_in_turns(self._start_calls(collection))
            finally:  # also for a scrape that is cancelled, since others may wait for these calls by now
                run_calls(self._functions, "asyncmetrics-functions")
            with CancelScope(deadline=deadline):
                for key in self._calls:
                    await self._wait_for_call(key)
            self._outcomes = {key: self._read_outcome(call) for key, call in self._calls.items()}
        finally:
            for call in self._calls.values():
                call.remove_waiter()

    def _start_calls(self, collection: Collection) -> Iterator[None]:
        """Start the calls that are new. Gauge functions share threads, as there may be many that are quick."""
        for collector in collection.collectors:
            sources = collection.list_sources(collector)
            if sources:
                self._sources[collector] = sources
            shares_threads = has_callbacks(collector)
            for source in sources:
                if not source.is_immediate:
                    self._add_call(source, shares_threads=shares_threads)
                yield
            yield

    def _add_call(self, source: Source[Any], *, shares_threads: bool) -> None:
        call, is_new = self._gathering.find_call(source)
        call.add_waiter()
        self._calls[source.key] = call
        work = call.begin() if is_new else None
        if work is not None and shares_threads:
            self._functions.append((call, work))
        elif work is not None:
            run_calls([(call, work)], f"asyncmetrics-{source.name}")

    async def _wait_for_call(self, key: object) -> None:
        while (call := self._calls[key]).missed_seconds < self._seconds:
            await call.ended.wait()
            if not call.is_cancelled:
                return
            # Its last waiter gave it up before this scrape began to wait, so it has no outcome.
            call.remove_waiter()
            self._gathering.forget(call)
            self._add_call(call.source, shares_threads=False)

    def _read_outcome(self, call: SourceCall) -> Outcome[Any]:
        if call.ended.is_set() and not call.is_cancelled and call.outcome is not None:
            return call.outcome
        if call.missed_seconds >= self._seconds:
            return TimeoutError(f"{call.source.name}: its call for an earlier scrape was late and has not ended yet")
        call.missed_seconds = self._seconds
        return TimeoutError(f"{call.source.name}: expected an answer within {self._seconds:g} s, got none")

    def hand_over(self, collection: Collection) -> Iterator[None]:
        """Hand the outcomes over in the order of the collectors, calling the immediate ones, a short step at a time."""
        for collector in collection.collectors:
            outcomes = [(source, self._find_outcome(source)) for source in self._sources.get(collector, ())]
            yield from collection.take(collector, outcomes)
            yield
        yield from collection.prepare()

    def _find_outcome(self, source: Source[Any]) -> Outcome[Any]:
        key = source.key
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._gathering.immediate_outcomes.get(key)
        if outcome is None:
            outcome = self._gathering.immediate_outcomes[key] = ask_now(source)
        return outcome
