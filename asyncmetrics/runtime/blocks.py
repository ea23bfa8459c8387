"""Blocks of an event loop: turns that take longer than the threshold, by the function that the watchdog sees there."""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import final

from asyncmetrics.children.table import OVERFLOW
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Counter
from asyncmetrics.runtime.monitored_loop import MonitoredLoop
from asyncmetrics.runtime.watchdog import Watchdog

__all__ = ("begin_blocks",)

_log = logging.getLogger("asyncmetrics")

_MAX_FUNCTIONS = 100
_LOG_SECONDS = 60.0


@final
class _Blocks:
    """The metrics and the log lines of the blocks of one loop."""

    def __init__(self, loop: MonitoredLoop) -> None:
        self._label = loop.label
        self._count = loop.declare(
            Counter,
            "event_loop_blocks_total",
            "Times that a function kept the event loop from running others for the block threshold or longer.",
            "function",
            max_children=None,  # `_bound` limits those of each loop, whose label `loop` has to stay
        )
        self._seconds = loop.declare(
            Counter,
            "event_loop_blocked_seconds_total",
            "Time that the event loop was blocked, by function.",
            "function",
            max_children=None,
        )
        self._functions = {function for label, function in self._count.label_values() if label == loop.label}
        self._logged: set[str] = set()
        self._logged_at = -math.inf

    def begin(self, function: str) -> None:
        self._count.labels(self._label, self._bound(function)).inc()

    def add(self, function: str, seconds: float) -> None:
        self._seconds.labels(self._label, self._bound(function)).inc(seconds)

    def _bound(self, function: str) -> str:
        if len(self._functions) < _MAX_FUNCTIONS:
            self._functions.add(function)
        return function if function in self._functions else OVERFLOW

    def is_to_log(self, function: str) -> bool:
        if function in self._logged or len(self._logged) >= _MAX_FUNCTIONS:
            return False
        return monotonic() - self._logged_at >= _LOG_SECONDS

    def log(self, function: str, seconds: float, stack: str) -> None:
        self._logged.add(function)
        self._logged_at = monotonic()
        _log.warning(
            "%s has blocked the event loop for %.3f s; later blocks by it are counted and not logged\n%s",
            function,
            seconds,
            stack,
        )


def begin_blocks(loop: MonitoredLoop) -> None:
    """Start the watchdog, if there is a threshold."""
    if loop.block_threshold is None:
        return
    watchdog = Watchdog(loop, loop.block_threshold, _Blocks(loop))
    try:
        watchdog.start()
    except RuntimeError as error:
        pass_interruption(error)
        _log.warning("the blocks of the event loop are not measured: the system has no thread left", exc_info=error)
        return
    loop.undo.callback(watchdog.stop)
    loop.remains.append(watchdog.is_running)
