"""Calling one source, a collector or a gauge function, for a scrape: it may block, hang, ignore cancellation, or fail.

*Rules.*

1. Call a source once at a time on each loop that is scraped, however many scrapes wait for it.
2. Let no scrape wait for the end of a call. Neither a thread nor a task can be stopped for certain, so a source that is
   late is not called again until the late call has ended, or its loop has.
3. Await on the home loop of the source, or on the loop of the scrape if it has none.

*Theory of operation.*

1. The call is entered into the loop's calls, and `SourceCall.begin` begins it. An async function returns at once, and
   what it returns is awaited in a task (step 4). Any other function runs in a daemon thread (`asyncmetrics.threads`).
2. The function runs in the thread. A plain result is read to its end there.
3. The thread hands the result to the loop of the scrape. If that is an awaitable and scrapes still wait, it is awaited
   in a task; if none waits, it is closed and the call counts as cancelled.
4. The task, a `LoopCall`, awaits the result on the home loop. If the last scrape stops waiting, it is cancelled once.
5. The call has its ``outcome``, is removed from the loop's calls, and sets ``ended``, all on the loop of the scrape.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, final

from anyio import Event, from_thread
from anyio.lowlevel import EventLoopToken, current_token

from asyncmetrics.asking import Outcome, Source, close_awaitable, is_later
from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import HomeLoop, LoopCall, find_home
from asyncmetrics.registry import is_fault
from asyncmetrics.threads import run_in_threads

__all__ = ("Calls", "SourceCall", "run_calls")


@final
class SourceCall:
    """A source that has been called: the call stays in ``calls`` until it has ended with an ``outcome``.

    ``missed_seconds`` is the longest time that a scrape has waited for it without an outcome.
    """

    def __init__(self, source: Source[Any], calls: Calls) -> None:
        self.source = source
        self.ended = Event()
        self.outcome: Outcome[Any] | None = None
        self.missed_seconds = 0.0
        self.is_cancelled = False
        self._calls = calls
        calls[source.key] = self
        self._here: HomeLoop | None = find_home()
        self._waiters = 0
        self._result: object = None
        self._task: LoopCall[Any] | None = None

    def begin(self) -> Callable[[], object] | None:
        """Call the source, or return the function that a thread has to run for that."""
        try:
            if not self.source.is_async:
                # The copy of the context gives the source the context labels of the scrape.
                context, token = copy_context(), current_token()
                return lambda: context.run(self._run_in_thread, token)
            self._await_result(self.source.call())
        except BaseException as error:
            self.fail(error)
            if not is_fault(error):
                raise
        return None

    def fail(self, error: BaseException) -> None:
        """End the call with ``error``."""
        self.outcome = error
        self._end()

    def add_waiter(self) -> None:
        """Count one more scrape that waits for the outcome, until `remove_waiter`."""
        self._waiters += 1

    def remove_waiter(self) -> None:
        """Count one scrape less; without a waiting scrape an async source is cancelled."""
        self._waiters -= 1
        if not self._waiters and self._task is not None and not self.is_cancelled and not self.ended.is_set():
            self.is_cancelled = True
            self._task.cancel()

    def is_lost(self) -> bool:
        """Return whether the call will never end, as the home loop has ended before it."""
        return self._task is not None and self._task.is_lost()

    def _await_result(self, result: object) -> None:
        self._result = result
        self._task = LoopCall(partial(self.source.wait, result))
        self._task.on_end(self._end_from_home)
        self._task.start(self.source.home)

    def _end_from_home(self) -> None:
        """End the call from the thread of the home loop."""
        if self._here is None or self._here.is_running_here():
            self._end_task()
        else:
            try:
                self._here.call_soon(self._end_task)
            except LoopError:  # the loop of the scrape has ended
                close_awaitable(self._result)

    def _end_task(self) -> None:
        if self._task is not None:
            self.outcome = self._task.outcome
        self._end()

    def _run_in_thread(self, token: EventLoopToken) -> None:
        result: object
        is_awaitable = False
        try:
            result = self.source.call()
            is_awaitable = is_later(result)
            if not is_awaitable:
                result = self.source.read(result)
        except BaseException as error:  # noqa: BLE001  # of any kind: it costs this source and nothing else
            result = error
        receive = partial(self._receive_result, result, is_awaitable)
        try:
            if self._here is not None and not is_awaitable:
                self._here.call_soon(receive)
            else:  # waits, and so notices if the loop ends before it has taken the result
                from_thread.run_sync(receive, token=token)
        except RuntimeError:  # the loop has ended
            close_awaitable(result)

    def _receive_result(self, result: object, is_awaitable: bool) -> None:
        if not is_awaitable:
            self.outcome = result
            self._end()
        elif self._waiters:
            try:
                self._await_result(result)
            except LoopError as error:
                self.fail(error)
        else:
            self.is_cancelled = True
            close_awaitable(result)
            self._end()

    def _end(self) -> None:
        if self._task is None or not self._task.has_begun:
            close_awaitable(self._result)  # a task that is cancelled before its first step has not closed it
        if self._calls.get(self.source.key) is self:
            del self._calls[self.source.key]
        self.ended.set()


Calls = dict[object, SourceCall]
"""The calls that have not ended, on one loop, by the keys of their sources."""


def run_calls(works: list[tuple[SourceCall, Callable[[], object]]], name: str) -> None:
    """Run what `SourceCall.begin` has returned in threads called ``name``."""
    try:
        run_in_threads([work for _, work in works], name)
    except RuntimeError as error:  # the system has no thread left
        pass_interruption(error)
        for call, _ in works:
            call.fail(error)
