"""Gathering the families of a registry on an event loop, for several scrapes at a time.

*Rules.* Each scrape has a deadline of its own, and gets what has come back by then; a collector that fails or is late
is left out and costs no other its place.

*Theory of operation.*

1. The first scrape opens a gathering. Scrapes of the same names that come before it has ended join it, and share what
   its collectors come back with.
2. Every scrape of a gathering goes through all collectors and asks those that nobody has asked yet: so it does not
   matter which of them leaves first.
3. A scrape waits for each `Call` until its own deadline. A call that an equally patient scrape has waited for in vain
   is not waited for again.
4. The first scrape that leaves closes the gathering to newcomers. Calls that have not ended then stay under way, and
   the next gathering joins them.

A scrape joins no gathering that is older than its own patience: its numbers would be older than the scraper allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, final

from anyio import CancelScope, current_time
from anyio.lowlevel import RunVar

from asyncmetrics.exposition.calls import Call, may_wait
from asyncmetrics.model.family import Metric
from asyncmetrics.pacing import get_for_loop, run_in_turns
from asyncmetrics.registry import Collectable, Collection, Collector, Outcome, ask_collector
from asyncmetrics.registry.collection import begin_collection

__all__ = ("gathered",)


class _Key(NamedTuple):
    registry: Collectable
    names: frozenset[str]


@final
class _OfLoop:
    """What is under way on one event loop."""

    def __init__(self) -> None:
        self.gatherings: dict[_Key, _Gathering] = {}
        self.calls: dict[Collector, Call] = {}


_OF_LOOP: RunVar[_OfLoop] = RunVar("asyncmetrics_gatherings")


async def gathered(
    registry: Collectable, names: frozenset[str], source: Collectable, on_error: str, seconds: float
) -> list[Metric]:
    """Return the families of ``source``, which is what ``registry`` has of ``names``, within about ``seconds``.

    Raises `CollectorError` for a collector that failed or was late, where ``on_error`` is ``"fail"``.
    """
    collection = begin_collection(source, on_error)
    key = _Key(registry, names)
    under_way = get_for_loop(_OF_LOOP, _OfLoop)
    gathering = under_way.gatherings.get(key)
    if gathering is None or current_time() - gathering.begun > seconds:
        gathering = under_way.gatherings[key] = _Gathering(under_way.calls)
    try:
        outcomes = await _Part(gathering, seconds).outcomes(collection.collectors)
        await run_in_turns(_put_together(collection, outcomes, gathering.quick))
    finally:
        if under_way.gatherings.get(key) is gathering:
            del under_way.gatherings[key]
    return collection.finish()


def _put_together(
    collection: Collection, outcomes: dict[Collector, Outcome], quick: dict[Collector, Outcome]
) -> Iterator[None]:
    for collector in collection.collectors:
        outcome = outcomes.get(collector)
        if outcome is None:
            outcome = quick.get(collector)
        if outcome is None:
            outcome = quick[collector] = ask_collector(collector)
        yield from collection.take(collector, outcome)
        yield
    yield from collection.prepare()


@final
class _Gathering:
    """What several scrapes share: the calls of collectors that may wait, and what the ``quick`` ones had to say."""

    def __init__(self, under_way: dict[Collector, Call]) -> None:
        self.begun = current_time()
        self.quick: dict[Collector, Outcome] = {}
        self._calls: dict[Collector, Call] = {}
        self._under_way = under_way

    def call(self, collector: Collector) -> Call:
        """Return the call of ``collector``, which is asked if it is not under way."""
        call = self._calls.get(collector)
        if call is None:
            call = self._calls[collector] = self._under_way.get(collector) or Call(collector, self._under_way).start()
        return call

    def call_again(self, call: Call) -> Call:
        """Return the call that stands for one that has ended because no scrape waited for it."""
        if self._calls.get(call.collector) is call:
            del self._calls[call.collector]
        return self.call(call.collector)


@final
class _Part:
    """One scrape's part in a gathering: the calls that it waits for, until its own deadline."""

    def __init__(self, gathering: _Gathering, seconds: float) -> None:
        self._gathering = gathering
        self._seconds = seconds
        self._calls: dict[Collector, Call] = {}

    async def outcomes(self, collectors: Iterable[Collector]) -> dict[Collector, Outcome]:
        """Return what the collectors that may wait came back with, `TimeoutError` for those that did not."""
        deadline = current_time() + self._seconds
        try:
            await run_in_turns(self._join_all(collectors))
            with CancelScope(deadline=deadline):
                for collector in self._calls:
                    await self._wait(collector)
            return {collector: self._outcome(call) for collector, call in self._calls.items()}
        finally:
            for call in self._calls.values():
                call.leave()

    def _join_all(self, collectors: Iterable[Collector]) -> Iterator[None]:
        for collector in collectors:
            if may_wait(collector):
                self._join(self._gathering.call(collector))
            yield

    def _join(self, call: Call) -> None:
        call.join()
        self._calls[call.collector] = call

    async def _wait(self, collector: Collector) -> None:
        while (call := self._calls[collector]).missed < self._seconds:
            await call.ended.wait()
            if not call.is_cancelled:
                return
            call.leave()
            self._join(self._gathering.call_again(call))

    def _outcome(self, call: Call) -> Outcome:
        if call.ended.is_set() and not call.is_cancelled and call.outcome is not None:
            return call.outcome
        if call.missed >= self._seconds:
            return TimeoutError("it has not come back from an earlier scrape that it was late for")
        call.missed = self._seconds
        return TimeoutError(f"expected an answer within {self._seconds:g} s, got none")
