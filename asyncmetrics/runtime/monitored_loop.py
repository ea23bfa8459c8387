"""`MonitoredLoop`: what the parts of the monitor know of the event loop that they measure."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import count
from typing import Any, Literal, TypeAlias, TypeVar, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import find_home, is_trio_running
from asyncmetrics.metrics import Counter, Gauge, Histogram
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("LoopKind", "MonitoredLoop", "Part", "Turns", "find_monitored_loop")

M = TypeVar("M", Counter, Gauge, Histogram)

LoopKind: TypeAlias = Literal["asyncio", "uvloop", "trio"]
"""``asyncio`` is any loop of asyncio that waits in a selector; ``uvloop`` is any other one."""

_END_SECONDS = 1.0

_LOOPS: dict[str, MonitoredLoop] = {}
"""The loops of this process that are monitored, by the value of their label ``loop``."""

_lock = threading.Lock()


@final
class Turns:
    """The turns of a loop, as its own thread sees them: the times between two waits.

    ``since`` is when the present turn began, by `time.perf_counter`, and 0.0 while the loop waits. ``total`` is the sum
    of the turns that have ended. ``ended`` has the beginning and the duration of each of them that took ``threshold``
    seconds or more. A turn is added there before ``since`` changes, so a thread that reads ``since`` first and
    ``ended`` second misses no turn.
    """

    __slots__ = ("ended", "is_over", "since", "threshold", "total")

    def __init__(self, threshold: float | None) -> None:
        self.since = 0.0
        self.total = 0.0
        self.is_over = False
        self.threshold = math.inf if threshold is None else threshold
        self.ended: deque[tuple[float, float]] = deque(maxlen=1000)  # if no thread takes them


@final
class MonitoredLoop:
    """An event loop that is monitored, from `begin` to `end`.

    ``undo`` has the steps that take back what the parts have changed, the last one first. `end` is called on the loop,
    or in any thread once the loop has ended: a step must not need a loop that runs, nor raise without one.
    """

    def __init__(self, *, registry: CollectorRegistry, namespace: str, block_threshold: float | None) -> None:
        home = find_home()
        if home is None:
            raise RuntimeError("a RuntimeMonitor is started on a running event loop of asyncio, uvloop or trio")
        self.home = home
        self.registry = registry
        self.namespace = namespace
        self.block_threshold = block_threshold
        self.options = {"registry": registry, "namespace": namespace, "block_threshold": block_threshold}
        self.kind = _find_kind()
        self.thread = threading.get_ident()
        self.label = ""
        """The value of the label ``loop``: empty, which exposes no label, for the only loop of a process."""
        self.monitors = 0
        """How many monitors measure this loop."""
        self.undo = ExitStack()
        self.turns: Turns | None = None
        """The turns, if a part sees them."""
        self.seen_at = 0.0
        """When the loop last ran a callback of the monitor, by `time.perf_counter`."""
        self.beats: list[Callable[[], object]] = []
        """Functions that bring metrics up to date; `beat` calls them."""
        self.remains: list[Callable[[], bool]] = []
        """Functions that return whether a thread or a task of a part still runs; `wait_for_end` calls them."""
        self._beating = threading.Lock()

    def begin(self, parts: Iterable[Part]) -> None:
        """Let the parts begin, on the loop. If one of them raises, nothing is left behind."""
        for other in list(_LOOPS.values()):
            if other.home.has_ended():  # it has ended without `end`
                other.end()
        with _lock:
            names = (str(number) if number > 1 else "" for number in count(1))
            self.label = next(name for name in names if name not in _LOOPS)
            _LOOPS[self.label] = self
        try:
            for part in parts:
                part(self)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Take back what the parts have changed."""
        with _lock:  # the thread that watches the loop may end it too
            undo = self.undo.pop_all()
        undo.close()
        with _lock:
            if _LOOPS.get(self.label) is self:
                del _LOOPS[self.label]

    async def wait_for_end(self) -> None:
        """Return when the threads and tasks of the parts have ended, which `end` has told to end: on the loop.

        A thread may be in a handler of logs that waits for the loop, so this takes a second at most.
        """
        import anyio  # 60 ms, if the program has not imported it

        with anyio.move_on_after(_END_SECONDS, shield=True):
            while any(is_running() for is_running in self.remains):  # noqa: ASYNC110  # a thread cannot set an event
                await anyio.sleep(0.001)

    def beat(self) -> None:
        """Bring the metrics up to date: at each heartbeat, and from the thread that watches a loop that is blocked."""
        if not self._beating.acquire(blocking=False):  # the other thread does it
            return
        try:
            for act in self.beats:
                self.guard("beat", act)
        finally:
            self._beating.release()

    def guard(self, part: str, act: Callable[[], object]) -> None:
        """Call ``act``; if it fails, count an error of ``part``, and raise nothing."""
        try:
            act()
        except Exception as error:  # noqa: BLE001  # the loop, or the thread, has more to do
            pass_interruption(error)
            get_self_metrics(self.registry).count_internal_error(f"runtime.{part}")

    def declare(self, kind: type[M], name: str, documentation: str, *labels: str, **options: Any) -> M:
        """Return a metric with the label ``loop`` and these labels, which all loops of the registry share."""
        return kind(
            name,
            documentation,
            ["loop", *labels],
            namespace=self.namespace,
            registry=self.registry,
            omit_empty=True,
            exist_ok=True,
            **options,
        )


def find_monitored_loop() -> MonitoredLoop | None:
    """Return the running loop if it is monitored."""
    return next((one for one in list(_LOOPS.values()) if one.home.is_running_here()), None)


def _forget_loops() -> None:
    """Forget all loops, in a process that was forked: no thread runs them, and none watches them."""
    global _lock  # another thread may have held it
    _lock = threading.Lock()
    _LOOPS.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_loops)


Part: TypeAlias = Callable[[MonitoredLoop], object]
"""Begins to measure one thing of a loop, and adds the step that ends it to ``undo``."""


def _find_kind() -> LoopKind:
    if is_trio_running():
        return "trio"
    import asyncio

    return "asyncio" if hasattr(asyncio.get_running_loop(), "_selector") else "uvloop"
