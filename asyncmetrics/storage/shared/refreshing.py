"""Calling the functions of a gauge for the scrapes of other workers, which read only the numbers.

*Rules.*

1. Never wait here for a function: the thread of the keeper has other chores.
2. Call a function once at a time. One that is late is not called again until it has ended.

*Theory of operation.* `Refresher.refresh` begins the call of each function whose last call has ended:

1. An async function is called here, which only makes a coroutine. Any other function is called in a thread.
2. What is to be awaited is awaited on its home loop, or in a private loop in a thread.
3. At its own end each call sets the gauge to its number.
4. A call that has taken too long by a later `refresh` is cancelled once, and its series is left out until the function
   returns a number in time. If the function ignores the cancellation, its call goes on, and is the only one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, final

from asyncmetrics.asking import HOME_SECONDS, Outcome, close_awaitable, explain_private, is_later, run_privately
from asyncmetrics.children.callbacks import Callback
from asyncmetrics.children.table import TableEvents
from asyncmetrics.errors import LoopError
from asyncmetrics.loops import LoopCall
from asyncmetrics.threads import run_in_threads

__all__ = ("Refresher",)

_THREAD_NAME = "asyncmetrics-keeper"


@final
class _Running:
    """A call that has not ended, begun at a monotonic time; ``task`` awaits what is to be awaited."""

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.is_late = False
        self.task: LoopCall[Any] | None = None


@final
class Refresher:
    """Asks the callbacks of one gauge, whose name is ``metric``; ``events`` counts those that fail or are late."""

    def __init__(self, metric: str, events: TableEvents) -> None:
        self._metric = metric
        self._events = events
        self._process = os.getpid()
        self._running: dict[Callback, _Running] = {}

    def refresh(self, callbacks: Sequence[Callback]) -> None:
        """Begin to ask ``callbacks``, except those whose last call has not ended."""
        if self._process != os.getpid():  # forked, without the threads
            self._process, self._running = os.getpid(), {}
        private: list[LoopCall[Any]] = []
        blocking: list[Callback] = []
        for callback in callbacks:
            if (running := self._running.get(callback)) is not None:
                self._check(callback, running)
                continue
            self._running[callback] = running = _Running(time.monotonic())
            if callback.is_async or callback.is_immediate:
                private += self._call(callback, running)
            else:
                blocking.append(callback)
        works = [partial(self._call_in_thread, callback, self._running[callback]) for callback in blocking]
        if private:
            works.insert(0, partial(run_privately, private))
        try:
            run_in_threads(works, _THREAD_NAME)
        except RuntimeError as error:  # the system has no thread left: the next refresh tries again
            for call in private:
                call.fail(error)
            for callback in blocking:
                del self._running[callback]

    def _check(self, callback: Callback, running: _Running) -> None:
        task = running.task
        if task is not None and task.is_lost():
            task.fail(LoopError(f"{callback.name}: its event loop ended during the call"))
        elif time.monotonic() - running.begun > HOME_SECONDS:
            running.is_late = True
            if task is not None:
                task.cancel()
            seconds = time.monotonic() - running.begun
            self._take(callback, TimeoutError(f"{callback.name}: no answer for {seconds:.0f} s"))

    def _call_in_thread(self, callback: Callback, running: _Running) -> None:
        private = self._call(callback, running)
        if private:
            run_privately(private)

    def _call(self, callback: Callback, running: _Running) -> list[LoopCall[Any]]:
        """Call the function; return the call that a private loop has to run, if there is one."""
        try:
            result = callback.call()
            if not is_later(result):
                self._end(callback, running, callback.read(result))
                return []
        except BaseException as error:  # noqa: BLE001  # of any kind: it costs this function and nothing else
            self._end(callback, running, error)
            return []
        running.task = task = LoopCall(partial(callback.wait, result))
        task.on_end(partial(self._end_task, callback, running, task, result))
        if callback.home is None:
            return [task]
        try:
            task.start(callback.home)
        except LoopError as error:
            task.fail(error)
        return []

    def _end_task(self, callback: Callback, running: _Running, task: LoopCall[Any], result: object) -> None:
        if not task.has_begun:
            close_awaitable(result)
        outcome = task.wait(0)
        self._end(callback, running, outcome if callback.home else explain_private(callback, outcome))

    def _end(self, callback: Callback, running: _Running, outcome: Outcome[Any]) -> None:
        """End the call at the first of several ends; one that is late has been counted already."""
        if self._running.get(callback) is running:
            del self._running[callback]
            if not running.is_late:
                self._take(callback, outcome)

    def _take(self, callback: Any, outcome: Outcome[Any]) -> None:
        problem = callback.take(outcome)
        if problem is not None:
            self._events.count_collector_error(self._metric, problem)
