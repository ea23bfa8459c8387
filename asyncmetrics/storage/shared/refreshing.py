"""Calling the functions of a gauge for the scrapes of other workers, which read only the numbers.

*Rules.*

1. Never wait here for a function: the thread of the keeper has other chores.
2. Call a function once at a time. One that is late is not called again until it has ended.

*Theory of operation.* `Refresher.refresh` starts threads, each of which asks a function and sets the gauge to its
number. All functions that are declared async share one thread, which asks them at the same time. A function that has
taken too long by a later `refresh` counts as late then: its series is left out until it returns a number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, final

from asyncmetrics.asking import HOME_SECONDS, Asking, Outcome
from asyncmetrics.children.callbacks import Callback
from asyncmetrics.children.table import TableEvents
from asyncmetrics.threads import run_in_threads

__all__ = ("Refresher",)

_THREAD_NAME = "asyncmetrics-keeper"


@final
class Refresher:
    """Asks the callbacks of one gauge, whose name is ``metric``; ``events`` counts those that fail or are late."""

    def __init__(self, metric: str, events: TableEvents) -> None:
        self._metric = metric
        self._events = events
        self._process = os.getpid()
        self._begun: dict[Callback, float] = {}  # when each call that has not ended began, on the monotonic clock

    def refresh(self, callbacks: Sequence[Callback]) -> None:
        """Begin to ask ``callbacks``, except those whose last call has not ended."""
        if self._process != os.getpid():  # forked, without the threads
            self._process, self._begun = os.getpid(), {}
        now = time.monotonic()
        together: list[Callback] = []
        works = []
        for callback in callbacks:
            begun = self._begun.setdefault(callback, now)
            if begun != now:
                if now - begun > HOME_SECONDS:
                    self._take(callback, TimeoutError(f"{callback.name}: no answer for {now - begun:.0f} s"))
            elif callback.is_immediate:
                self._ask([callback])
            elif callback.is_async:
                together.append(callback)
            else:
                works.append(partial(self._ask, [callback]))
        if together:
            works.insert(0, partial(self._ask, together))
        try:
            run_in_threads(works, _THREAD_NAME)
        except RuntimeError:  # the system has no thread left: the next refresh tries again
            for callback in callbacks:
                self._begun.pop(callback, None)

    def _ask(self, callbacks: Sequence[Callback]) -> None:
        asking: Asking[Any] = Asking(limits_private=True)
        try:
            for callback in callbacks:
                asking.ask(callback)
            for source, outcome in asking.wait().items():
                self._take(source, outcome)
        finally:
            for callback in callbacks:
                self._begun.pop(callback, None)

    def _take(self, callback: Any, outcome: Outcome[Any]) -> None:
        problem = callback.take(outcome)
        if problem is not None:
            self._events.count_collector_error(self._metric, problem)
