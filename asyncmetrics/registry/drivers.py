"""Collecting everything at once, for callers that are not expositions on a loop: they have no threads and no turns.

The expositions on a loop ask the collectors themselves (`asyncmetrics.exposition.gathering`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar, final

from asyncmetrics.asking import HOME_SECONDS, Asking, Outcome, Source, close_awaitable, is_later
from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import is_interruption, pass_interruption
from asyncmetrics.loops import LoopCall, pause
from asyncmetrics.model.family import Metric
from asyncmetrics.registry.collection import Collection, is_fault
from asyncmetrics.registry.plain import make_plain_in_steps
from asyncmetrics.registry.sources import has_callbacks

__all__ = ("PendingFamilies", "PendingSource", "collect_all", "collect_all_async")

_STEP_SECONDS = 0.001  # how long `collect_all_async` holds the loop

T = TypeVar("T")

_Sources: TypeAlias = "list[tuple[Any, list[Source[Any]]]]"


def _list_sources(collection: Collection) -> _Sources:
    return [(collector, list(collection.list_sources(collector))) for collector in collection.collectors]


def collect_all(collection: Collection, seconds: float = HOME_SECONDS) -> list[Metric]:
    """Ask the sources of all collectors from this thread, and return the families.

    The sync ones are called here, one after the other. The async ones run meanwhile, on their home loops.
    """
    sources = _list_sources(collection)
    asking: Asking[Any] = Asking(seconds)
    try:
        # The async ones first: calling them takes no time, and the sync ones may block until the deadline.
        for source in sorted([source for _, own in sources for source in own], key=_is_sync):
            asking.ask(source)
        outcomes = asking.wait()
    finally:
        asking.close()
    for collector, own in sources:
        collection.take_all(collector, [(source, outcomes[source]) for source in own])
    return collection.finish()


def _is_sync(source: Source[Any]) -> bool:
    try:
        return not source.is_async
    except Exception as error:  # noqa: BLE001  # ``collect`` may be a property, and raise again when it is asked
        pass_interruption(error)
        return True


async def _run(steps: Generator[None, None, T]) -> T:
    """Run ``steps``, and let other tasks run between them."""
    end = time.perf_counter() + _STEP_SECONDS
    while True:
        try:
            next(steps)
        except StopIteration as last:
            result: T = last.value
            return result
        if time.perf_counter() >= end:
            await pause()
            end = time.perf_counter() + _STEP_SECONDS


async def collect_all_async(collection: Collection) -> list[Metric]:
    """Ask the sources of all collectors from the running loop, and return the families, which are plain.

    The sync ones are called here, one after the other. Those of other loops, and all functions of gauges, run at the
    same time; the other async collectors are awaited one after the other.
    """
    sources = _list_sources(collection)
    pending: dict[Source[Any], PendingSource] = {}
    try:
        for collector, own in sources:
            for source in own:
                pending[source] = PendingSource(source)
                pending[source].start(is_detached=has_callbacks(collector))
        for collector, own in sources:
            await _run(collection.take(collector, [(source, await pending[source].wait()) for source in own]))
    finally:
        for one in pending.values():
            one.close()
    return [await _run(make_plain_in_steps(family)) for family in collection.finish()]


@final
class PendingSource:
    """A source that has been called, for a caller that can await: it has an outcome, or something to await."""

    def __init__(self, source: Source[Any]) -> None:
        self.source = source
        self._outcome: Outcome[Any] | None = None
        self._call: LoopCall[Any] | None = None
        self._result: object = None
        self._deadline: float | None = None
        try:
            result = source.call()
            if is_later(result):
                self._result = result
            else:
                self._outcome = source.read(result)
        except BaseException as error:  # noqa: BLE001  # raised again unless it is a fault of the source
            self._keep_fault(error)

    def get_outcome(self) -> Outcome[Any] | None:
        """Return the outcome, or None if there is something to await for it."""
        return self._outcome

    def start(self, *, is_detached: bool) -> None:
        """Begin to await on the home loop, if that is another loop or ``is_detached``."""
        home = self.source.home
        is_elsewhere = home is not None and not home.is_running_here()
        if self._outcome is not None or not (is_elsewhere or is_detached):
            return
        self._deadline = time.monotonic() + HOME_SECONDS if is_elsewhere else None
        try:
            self._call = LoopCall(partial(self.source.wait, self._result)).start(home)
        except LoopError as error:
            self._outcome = error

    async def wait(self) -> Outcome[Any]:
        """Return the outcome. The loop of another thread has 10 s from the start on."""
        if self._outcome is None:
            if self._call is not None:
                left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
                return await self._call.wait_async(left)
            try:
                self._outcome = await self.source.wait(self._result)
            except BaseException as error:  # noqa: BLE001  # as above
                self._keep_fault(error)
        return self._outcome

    def close(self) -> None:
        """Cancel what has not ended, and close what was never awaited."""
        if self._call is not None:
            self._call.cancel()
        if self._call is None or not self._call.has_begun:
            close_awaitable(self._result)

    def _keep_fault(self, error: BaseException) -> None:
        """Take ``error``, which is being handled, for the outcome, or raise it if it is no fault of the source."""
        if not is_fault(error) or is_interruption(error):
            raise error
        self._outcome = error


@final
class PendingFamilies(Awaitable[Iterable[Metric]]):
    """The family of a gauge that has async functions: awaits all of them at the same time, each on its home loop."""

    def __init__(self, pending: list[PendingSource], take: Callable[[list[tuple[Any, Any]]], Iterable[Metric]]) -> None:
        self._pending = pending
        self._take = take

    def __await__(self) -> Generator[Any, None, Iterable[Metric]]:
        return self._await_all().__await__()

    async def _await_all(self) -> Iterable[Metric]:
        try:
            for one in self._pending:
                one.start(is_detached=True)
            return self._take([(one.source, await one.wait()) for one in self._pending])
        finally:
            self.close()

    def close(self) -> None:
        """Close the awaitables that were not awaited."""
        for one in self._pending:
            one.close()
