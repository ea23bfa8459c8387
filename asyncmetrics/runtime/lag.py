"""The lag of an event loop: a heartbeat is due ten times a second on average, and runs late while the loop is busy.

*Rules.*

1. On asyncio, use no task: the application would find it among its own.
2. Do not always wait equally long. Every fifth one of many blocks of 20 ms ends 0.1 s after the one before: a heartbeat
   that always comes at such an end sees no lag (uvloop: 0.2 ms on average).
3. Refer to the heartbeat weakly from outside: it holds the loop, which has to be collected when nobody closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context
from time import perf_counter
from typing import Any, final
from weakref import WeakMethod

from asyncmetrics.loops import detach
from asyncmetrics.metrics import Histogram
from asyncmetrics.runtime.monitored_loop import MonitoredLoop

__all__ = ("begin_lag",)

# A heartbeat of one second would meet 1 ms of a block of 20 ms.
_BEAT_SECONDS = 0.1
_GOLDEN_RATIO = 0.618034  # whose multiples, without their integer parts, are spread evenly
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _iterate_waits() -> Iterator[float]:
    """Yield how long to wait for each heartbeat: on average `_BEAT_SECONDS`, and up to a quarter more or less."""
    part = 0.5
    while True:
        yield _BEAT_SECONDS * (0.75 + part / 2)
        part = (part + _GOLDEN_RATIO) % 1


def begin_lag(loop: MonitoredLoop) -> None:
    """Start the heartbeat, which also calls `MonitoredLoop.beat`."""
    lag = loop.declare(
        Histogram,
        "event_loop_lag_seconds",
        "How late a timer of the event loop runs, ten times a second.",
        buckets=_BUCKETS,
        per_worker=True,
    )
    observe = lag.labels(loop.label).recorder()
    if loop.kind == "trio":
        _begin_on_trio(loop, observe)
    else:
        _begin_on_asyncio(loop, observe)


@final
class _Heartbeat:
    """A timer of an asyncio loop that starts the next one."""

    def __init__(self, loop: MonitoredLoop, observe: Callable[[float], None]) -> None:
        import asyncio

        self._loop = loop
        self._observe = observe
        self._call_later = asyncio.get_running_loop().call_later
        self._waits = _iterate_waits()
        self._due = 0.0
        self._handle: Any = None
        self._start_timer()

    def _start_timer(self) -> None:
        # uvloop's `time()` is that of the beginning of a turn, so the due time is by another clock. The context is
        # empty: that of the code which starts the monitor may be one of a request, and would be kept.
        wait = next(self._waits)
        self._due = perf_counter() + wait
        self._handle = self._call_later(wait, self._beat, context=Context())

    def _beat(self) -> None:
        self._loop.seen_at = now = perf_counter()
        self._observe(max(0.0, now - self._due))
        self._loop.beat()
        if self._handle is not None:
            self._start_timer()

    def stop(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()


def _begin_on_asyncio(loop: MonitoredLoop, observe: Callable[[float], None]) -> None:
    find_stop = WeakMethod(_Heartbeat(loop, observe).stop)

    def stop() -> None:
        stop_heartbeat = find_stop()
        if stop_heartbeat is not None and loop.home.is_running_here():
            stop_heartbeat()

    loop.undo.callback(stop)


def _begin_on_trio(loop: MonitoredLoop, observe: Callable[[float], None]) -> None:
    import trio

    async def beat() -> None:
        for wait in _iterate_waits():
            due = perf_counter() + wait
            await trio.sleep(wait)
            observe(max(0.0, perf_counter() - due))
            loop.beat()

    has_ended = False

    def note_end() -> None:
        nonlocal has_ended
        has_ended = True

    cancel = Context().run(detach, beat, note_end)

    def stop() -> None:
        if loop.home.is_running_here():
            cancel()

    loop.undo.callback(stop)
    loop.remains.append(lambda: not has_ended)
