"""The turns of an event loop: how long each one runs callbacks between two waits, and for how long the loop is busy.

asyncio waits in the method ``select`` of its selector, which is replaced on the instance. trio has instruments. uvloop
has no hook of this kind. An asyncio loop may pause between two calls of ``run_forever``, which is replaced as well: the
turn after a pause begins with the call.

*Theory of operation.* At the beginning of a wait, the loop's thread adds the turn to a list of counts and to a sum, in
0.27 µs: the clock takes a third of it, and a call of the histogram would add a tenth of it. `MonitoredLoop.beat` adds
what is new there to the metrics, ten times a second.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from functools import partial, wraps
from time import perf_counter
from typing import Any, final
from weakref import ref

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Counter, Histogram
from asyncmetrics.patching import replace_method
from asyncmetrics.runtime.monitored_loop import MonitoredLoop, Turns

__all__ = ("begin_turns",)

_log = logging.getLogger("asyncmetrics")

_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def begin_turns(loop: MonitoredLoop) -> None:
    """Measure the turns, unless the loop is uvloop's."""
    if loop.kind == "uvloop":
        return
    turns = Turns(loop.block_threshold)
    counts = [0] * (len(_BUCKETS) + 1)
    turns.since = perf_counter()
    begin = _begin_on_trio if loop.kind == "trio" else _begin_on_asyncio
    if begin(loop, turns, counts):
        loop.turns = turns
        record = _Recorder(loop, turns, counts).record
        loop.beats.append(record)
        loop.undo.callback(loop.beat)  # for the turns since the last heartbeat


@final
class _Recorder:
    """Adds to the metrics of a loop what is new in ``counts`` and in the sum of the turns."""

    def __init__(self, loop: MonitoredLoop, turns: Turns, counts: list[int]) -> None:
        self._turns = turns
        self._counts = counts
        self._recorded = counts[:]
        self._busy_recorded = self._sum_recorded = 0.0
        self._busy = loop.declare(
            Counter,
            "event_loop_busy_seconds_total",
            "Time that the event loop ran callbacks and did not wait.",
            per_worker=True,
        ).labels(loop.label)
        self._durations = loop.declare(
            Histogram,
            "event_loop_turn_duration_seconds",
            "Duration of the turns of the event loop: what it runs between two waits.",
            buckets=_BUCKETS,
            per_worker=True,
        ).labels(loop.label)

    def record(self) -> None:
        """Record what is new, and of the present turn the time that has passed."""
        since, total = self._turns.since, self._turns.total
        busy = total + (perf_counter() - since if since else 0.0)
        # Another thread may read the two numbers while the turn ends: the next reading has the rest.
        if busy > self._busy_recorded:
            self._busy.inc(busy - self._busy_recorded)
            self._busy_recorded = busy
        for index, count in enumerate(self._counts[:]):
            if count > self._recorded[index]:
                self._durations.add_number(index, count - self._recorded[index])
                self._recorded[index] = count
        if total > self._sum_recorded:
            self._durations.add_number(len(self._counts), total - self._sum_recorded)
            self._sum_recorded = total


def _begin_on_asyncio(loop: MonitoredLoop, turns: Turns, counts: list[int]) -> bool:
    """Replace ``select`` of the loop's selector; return whether the selector allows it."""
    import asyncio

    native = asyncio.get_running_loop()
    selector: Any = getattr(native, "_selector", None)
    try:
        before = vars(selector).get("select")
        select = _wrap_select(selector.select, turns, counts)
        selector.select = select
    except (AttributeError, TypeError) as error:  # a selector of another library
        pass_interruption(error)
        _log.info("the turns of this event loop are not measured: its selector cannot be changed", exc_info=error)
        return False
    find_selector = ref(selector)  # weakly: the selector has the loop in its table

    def restore() -> None:
        turns.since, turns.is_over = 0.0, True
        found: Any = find_selector()
        if found is None or vars(found).get("select") is not select:
            return  # another tool has put its wrapper around ours, which goes on as a wrapper that measures nothing
        if before is None:
            del found.select
        else:
            found.select = before

    loop.undo.callback(restore)
    loop.undo.callback(replace_method(native, "run_forever", partial(_wrap_run, turns)))
    return True


def _wrap_run(turns: Turns, run: Callable[[], Any]) -> Callable[[], Any]:
    @wraps(run)
    def run_forever() -> Any:
        if not turns.is_over:
            turns.since = perf_counter()
        return run()

    return run_forever


def _wrap_select(wait: Callable[[float | None], Any], turns: Turns, counts: list[int]) -> Callable[..., Any]:
    # All names are local to the closure: a global look-up and an attribute more take 10 ns a turn each.
    bounds, find, clock, threshold = _BUCKETS, bisect_left, perf_counter, turns.threshold

    def select(timeout: float | None = None) -> Any:
        if turns.is_over:
            return wait(timeout)
        since = turns.since
        turn = clock() - since
        turns.total += turn
        counts[find(bounds, turn)] += 1
        if turn >= threshold:
            turns.ended.append((since, turn))
        turns.since = 0.0
        try:
            return wait(timeout)
        finally:
            turns.since = clock()

    return select


def _begin_on_trio(loop: MonitoredLoop, turns: Turns, counts: list[int]) -> bool:
    import trio

    class Instrument(trio.abc.Instrument):
        """Sees the waits of this run."""

        def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # the signature is trio's
            since = turns.since
            turn = perf_counter() - since
            turns.total += turn
            counts[bisect_left(_BUCKETS, turn)] += 1
            if turn >= turns.threshold:
                turns.ended.append((since, turn))
            turns.since = 0.0

        def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # as above
            turns.since = perf_counter()

    instrument = Instrument()
    trio.lowlevel.add_instrument(instrument)

    def remove() -> None:
        turns.since = 0.0
        if loop.home.is_running_here():
            trio.lowlevel.remove_instrument(instrument)

    loop.undo.callback(remove)
    return True
