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
4. The scrape waits for each `CollectorCall` until its own deadline. It does not wait for a call that a scrape with as
   much time has waited for without an outcome.
5. The first scrape that has its outcomes, or is cancelled, closes the gathering: later scrapes open another one. Calls
   that have not ended stay among the loop's calls, and the next gathering takes them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, final

from anyio import CancelScope, current_time
from anyio.lowlevel import RunVar

from asyncmetrics.exposition.collector_calls import CollectorCall, is_immediate
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import get_for_loop, run_in_turns
from asyncmetrics.registry import Collectable, Collection, Collector, Outcome, ask_collector
from asyncmetrics.registry.collection import begin_collection

__all__ = ("gather_families",)


class _Key(NamedTuple):
    registry: Collectable
    names: frozenset[str]


@final
class _LoopState:
    """The open gatherings and the calls that have not ended, on one event loop."""

    def __init__(self) -> None:
        self.gatherings: dict[_Key, _Gathering] = {}
        self.calls: dict[Collector, CollectorCall] = {}


_STATE: RunVar[_LoopState] = RunVar("asyncmetrics_gatherings")


async def gather_families(
    registry: Collectable, names: frozenset[str], source: Collectable, on_error: str, seconds: float
) -> list[Metric]:
    """Return the families of ``source``, the part of ``registry`` that has ``names``, within about ``seconds``.

    Raises `CollectorError` for a collector that failed or was late, where ``on_error`` is ``"fail"``.
    """
    collection = begin_collection(source, on_error)
    key = _Key(registry, names)
    state = get_for_loop(_STATE, _LoopState)
    gathering = state.gatherings.get(key)
    if gathering is None or current_time() - gathering.begun > seconds:  # step 1
        gathering = state.gatherings[key] = _Gathering(state.calls)
    try:
        outcomes = await _ScrapeWait(gathering, seconds).wait_for_outcomes(collection.collectors)
        await run_in_turns(_take_outcomes(collection, outcomes, gathering.immediate_outcomes))
    finally:
        if state.gatherings.get(key) is gathering:  # step 5; an older gathering may have been replaced already
            del state.gatherings[key]
    return collection.finish()


def _take_outcomes(
    collection: Collection, outcomes: dict[Collector, Outcome], immediate_outcomes: dict[Collector, Outcome]
) -> Iterator[None]:
    """Hand the outcomes over in the order of the collectors, and call the immediate ones, a short step at a time."""
    for collector in collection.collectors:
        outcome = outcomes.get(collector)
        if outcome is None:
            outcome = immediate_outcomes.get(collector)
        if outcome is None:
            outcome = immediate_outcomes[collector] = ask_collector(collector)
        yield from collection.take(collector, outcome)
        yield
    yield from collection.prepare()


@final
class _Gathering:
    """The calls of collectors that may wait, and the outcomes of the immediate ones, shared by several scrapes."""

    def __init__(self, loop_calls: dict[Collector, CollectorCall]) -> None:
        self.begun = current_time()
        self.immediate_outcomes: dict[Collector, Outcome] = {}
        self._calls: dict[Collector, CollectorCall] = {}
        self._loop_calls = loop_calls

    def find_call(self, collector: Collector) -> CollectorCall:
        """Return the call of ``collector``, started unless the gathering or the loop has one."""
        call = self._calls.get(collector)
        if call is None:
            call = self._loop_calls.get(collector) or CollectorCall(collector, self._loop_calls).start()
            self._calls[collector] = call
        return call

    def replace_call(self, call: CollectorCall) -> CollectorCall:
        """Return another call instead of one that was cancelled because no scrape waited for it."""
        if self._calls.get(call.collector) is call:
            del self._calls[call.collector]
        return self.find_call(call.collector)


@final
class _ScrapeWait:
    """The calls of a gathering that one scrape waits for, until its own deadline."""

    def __init__(self, gathering: _Gathering, seconds: float) -> None:
        self._gathering = gathering
        self._seconds = seconds
        self._calls: dict[Collector, CollectorCall] = {}

    async def wait_for_outcomes(self, collectors: Iterable[Collector]) -> dict[Collector, Outcome]:
        """Return the outcomes of the collectors that may wait, a `TimeoutError` for each that is late."""
        deadline = current_time() + self._seconds
        try:
            await run_in_turns(self._start_calls(collectors))
            with CancelScope(deadline=deadline):
                for collector in self._calls:
                    await self._wait_for_call(collector)
            return {collector: self._read_outcome(call) for collector, call in self._calls.items()}
        finally:
            for call in self._calls.values():
                call.remove_waiter()

    def _start_calls(self, collectors: Iterable[Collector]) -> Iterator[None]:
        for collector in collectors:
            if not is_immediate(collector):
                self._add_call(self._gathering.find_call(collector))
            yield

    def _add_call(self, call: CollectorCall) -> None:
        call.add_waiter()
        self._calls[call.collector] = call

    async def _wait_for_call(self, collector: Collector) -> None:
        while (call := self._calls[collector]).missed_seconds < self._seconds:
            await call.ended.wait()
            if not call.is_cancelled:
                return
            # Its last waiter gave it up before this scrape began to wait, so it has no outcome.
            call.remove_waiter()
            self._add_call(self._gathering.replace_call(call))

    def _read_outcome(self, call: CollectorCall) -> Outcome:
        if call.ended.is_set() and not call.is_cancelled and call.outcome is not None:
            return call.outcome
        if call.missed_seconds >= self._seconds:
            return TimeoutError("its call for an earlier scrape was late and has not ended yet")
        call.missed_seconds = self._seconds
        return TimeoutError(f"expected an answer within {self._seconds:g} s, got none")
