"""The processor time of the thread that runs an event loop: with the busy time, it says whether the loop is starved."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Counter
from asyncmetrics.runtime.monitored_loop import MonitoredLoop

__all__ = ("begin_cpu", "make_cpu_clock")


def make_cpu_clock(thread: int) -> Callable[[], float] | None:
    """Return a function that returns the processor time of ``thread``, which runs; None where the system has none.

    The function may be called in any thread. It returns NaN once the thread has ended.
    """
    get_clock: Any = getattr(time, "pthread_getcpuclockid", None)  # on neither macOS nor Windows
    if get_clock is None:
        return None
    # The C library reads the thread's memory here, so this is safe only while the thread runs; the clock always is.
    clock = get_clock(thread)
    read: Any = time.clock_gettime

    def read_seconds() -> float:
        try:
            seconds: float = read(clock)
        except OSError as error:
            pass_interruption(error)
            return float("nan")
        return seconds

    return read_seconds


def begin_cpu(loop: MonitoredLoop) -> None:
    """Count the processor time of the loop's thread at each heartbeat, and while a block of the loop lasts."""
    clock = make_cpu_clock(loop.thread)
    if clock is None:
        return
    counter = loop.declare(
        Counter,
        "event_loop_cpu_seconds_total",
        "Processor time of the thread that runs the event loop.",
        per_worker=True,
    ).labels(loop.label)
    recorded = clock()

    def record() -> None:
        nonlocal recorded
        now = clock()
        if now > recorded:  # not NaN, and not the clock of another thread that has the number now
            counter.inc(now - recorded)
            recorded = now

    loop.beats.append(record)
    loop.undo.callback(loop.beat)
