"""Calling one collector on an event loop: it may block, hang, ignore its cancellation, or raise anything.

*Rules.*

1. Call a collector once at a time, however many scrapes wait for it.
2. Let no scrape wait for the end of a call. Neither a thread nor a task can be stopped for certain, so a collector
   that is late is not called again until the late call has ended.

*Theory of operation.*

1. `start` enters the call into the loop's calls. A collector whose ``collect`` is async returns its result at once,
   and a detached task awaits it (step 4). Any other ``collect`` runs in its own daemon thread.
2. ``collect`` runs in the thread. A plain result is read to its end there.
3. The thread hands the result to the loop. If that is an awaitable and scrapes still wait, a detached task awaits it;
   if none waits, it is closed and the call counts as cancelled.
4. The task awaits the result. If the last scrape stops waiting, the task is cancelled once.
5. The call has its ``outcome``, is removed from the loop's calls, and sets ``ended``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import copy_context
from functools import lru_cache, partial
from inspect import isasyncgenfunction, iscoroutinefunction
from threading import Thread, current_thread, main_thread
from typing import final

from anyio import Event, from_thread
from anyio.lowlevel import EventLoopToken, checkpoint, current_token

from asyncmetrics.exposition.detached import detach
from asyncmetrics.registry import (
    Collector,
    CollectorResult,
    Outcome,
    await_families,
    close_awaitable,
    is_fault,
    limit_families,
)

__all__ = ("CollectorCall", "is_immediate")


def is_immediate(collector: Collector) -> bool:
    """Return whether ``collector`` never waits for anything (``blocking = False``), so that the loop may call it."""
    try:
        return not getattr(collector, "blocking", True) and not _is_async(collector)
    except Exception:  # noqa: BLE001  # ``blocking`` may be a property, and raise
        return False


def _is_async(collector: Collector) -> bool:
    collect: Callable[..., object] = collector.collect
    return _is_async_function(getattr(collect, "__func__", collect))


# Inspecting a function takes 0.6 µs, looking it up 0.2 µs. Bounded, since each collector may have its own function:
# 4096 entries take 0.6 MB, and the functions that they keep alive.
@lru_cache(maxsize=4096)
def _is_async_function(collect: Callable[..., object]) -> bool:
    return iscoroutinefunction(collect) or isasyncgenfunction(collect)


@final
class CollectorCall:
    """A collector that has been called: the call stays in ``calls`` until it has ended with an ``outcome``.

    ``missed_seconds`` is the longest time that a scrape has waited for it without an outcome.
    """

    def __init__(self, collector: Collector, calls: dict[Collector, CollectorCall]) -> None:
        self.collector = collector
        self.ended = Event()
        self.outcome: Outcome | None = None
        self.missed_seconds = 0.0
        self.is_cancelled = False
        self._calls = calls
        self._waiters = 0
        self._result: CollectorResult | None = None
        self._cancel: Callable[[], object] | None = None

    def start(self) -> CollectorCall:
        """Call the collector, and return this call."""
        self._calls[self.collector] = self
        try:
            if _is_async(self.collector):
                self._await_detached(self.collector.collect())
            else:
                self._start_thread()
        except BaseException as error:
            self.outcome = error
            self._end()
            if not is_fault(error):
                raise
        return self

    def _start_thread(self) -> None:
        # A daemon, since a collector that hangs must not keep the program from ending.
        name = f"asyncmetrics-{type(self.collector).__name__}"
        run_in_context = copy_context().run
        Thread(target=run_in_context, args=(self._run_in_thread, current_token()), name=name, daemon=True).start()

    def add_waiter(self) -> None:
        """Count one more scrape that waits for the outcome, until `remove_waiter`."""
        self._waiters += 1

    def remove_waiter(self) -> None:
        """Count one scrape less; without a waiting scrape an async collector is cancelled."""
        self._waiters -= 1
        if not self._waiters and self._cancel is not None and not self.is_cancelled and not self.ended.is_set():
            self.is_cancelled = True
            self._cancel()  # once: a second cancellation would interrupt the collector's clean-up after the first

    def _await_detached(self, result: CollectorResult) -> None:
        self._result = result
        self._cancel = detach(partial(self._await_result, result), self._end)

    async def _await_result(self, result: CollectorResult) -> None:
        try:
            self.outcome = await await_families(result, checkpoint)
        except BaseException as error:
            self.outcome = error
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise

    def _run_in_thread(self, token: EventLoopToken) -> None:
        result: CollectorResult | BaseException
        try:
            result = self.collector.collect()
            result = result if isinstance(result, (Awaitable, AsyncIterable)) else limit_families(result)
        except BaseException as error:  # noqa: BLE001  # of any kind: it ends this thread and nothing else
            result = error
        try:
            from_thread.run_sync(self._receive_result, result, token=token)
        except RuntimeError:  # the loop has ended
            close_awaitable(result)

    def _receive_result(self, result: CollectorResult | BaseException) -> None:
        if isinstance(result, (list, BaseException)):
            self.outcome = result
        elif self._waiters:
            self._await_detached(result)
            return
        else:
            self.is_cancelled = True
            close_awaitable(result)
        self._end()

    def _end(self) -> None:
        close_awaitable(self._result)  # a task that is cancelled before its first step has not closed it
        self._calls.pop(self.collector, None)
        self.ended.set()
