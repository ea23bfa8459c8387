"""Asking one collector on an event loop: it may block, hang, ignore that it is cancelled, or raise anything.

*Rules.* A collector is asked once at a time, however many scrapes wait for it, and no scrape waits for its end. A sync
one that may block runs in a daemon thread of its own, an async one in a detached task. Neither can be stopped for
certain, so a collector that is late is not asked again until it has come back.
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

__all__ = ("Call", "may_wait")


def may_wait(collector: Collector) -> bool:
    """Return whether ``collector`` may wait for something; one that never does is called on the loop."""
    try:
        return bool(getattr(collector, "blocking", True)) or _is_async(collector)
    except Exception:  # noqa: BLE001  # a property of the collector's
        return True


def _is_async(collector: Collector) -> bool:
    collect: Callable[..., object] = collector.collect
    return _makes_awaitables(getattr(collect, "__func__", collect))


@lru_cache(maxsize=4096)
def _makes_awaitables(collect: Callable[..., object]) -> bool:
    return iscoroutinefunction(collect) or isasyncgenfunction(collect)


@final
class Call:
    """A collector that was asked: it stays in ``under_way`` until it has come back with its ``outcome``.

    ``missed`` is the longest time that a scrape has waited for it in vain.
    """

    def __init__(self, collector: Collector, under_way: dict[Collector, Call]) -> None:
        self.collector = collector
        self.ended = Event()
        self.outcome: Outcome | None = None
        self.missed = 0.0
        self.is_cancelled = False
        self._under_way = under_way
        self._scrapes = 0
        self._result: CollectorResult | None = None
        self._cancel: Callable[[], object] | None = None

    def start(self) -> Call:
        """Ask the collector."""
        self._under_way[self.collector] = self
        try:
            if _is_async(self.collector):
                self._await(self.collector.collect())
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
        work = copy_context().run
        Thread(target=work, args=(self._work, current_token()), name=name, daemon=True).start()

    def join(self) -> None:
        """Wait for it from now on, until `leave`."""
        self._scrapes += 1

    def leave(self) -> None:
        """Wait no longer; an async collector that no scrape waits for is cancelled."""
        self._scrapes -= 1
        if not self._scrapes and self._cancel is not None and not self.is_cancelled and not self.ended.is_set():
            self.is_cancelled = True
            self._cancel()  # once: a second time would end what it does to come back from the first

    def _await(self, result: CollectorResult) -> None:
        self._result = result
        self._cancel = detach(partial(self._finish, result), self._end)

    async def _finish(self, result: CollectorResult) -> None:
        try:
            self.outcome = await await_families(result, checkpoint)
        except BaseException as error:
            self.outcome = error
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise

    def _work(self, token: EventLoopToken) -> None:
        result: CollectorResult | BaseException
        try:
            result = self.collector.collect()
            result = result if isinstance(result, (Awaitable, AsyncIterable)) else limit_families(result)
        except BaseException as error:  # noqa: BLE001  # of whatever kind: it ends this thread and nothing else
            result = error
        try:
            from_thread.run_sync(self._come_back, result, token=token)
        except RuntimeError:  # the loop has ended meanwhile
            close_awaitable(result)

    def _come_back(self, result: CollectorResult | BaseException) -> None:
        if isinstance(result, (list, BaseException)):
            self.outcome = result
        elif self._scrapes:
            self._await(result)
            return
        else:
            self.is_cancelled = True
            close_awaitable(result)
        self._end()

    def _end(self) -> None:
        close_awaitable(self._result)  # of a task that was cancelled before its first step
        self._under_way.pop(self.collector, None)
        self.ended.set()
