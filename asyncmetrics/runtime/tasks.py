"""The tasks of an event loop at a scrape: how many run each coroutine, and for how long the oldest of them has run.

*Theory of operation.*

1. The functions of both gauges run on the first of the loops that are measured, and ask each loop for a survey.
2. A survey copies the loop's set of tasks at once, and reads the tasks in steps (`asyncmetrics.pacing`). The second
   function of the same scrape waits for the survey that runs. A scrape that blocks the loop, such as `generate_latest`
   in a coroutine, reads all tasks in one step.
3. Neither asyncio nor trio notes when a task began. So its age is counted from the first survey that has seen it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple, final
from weakref import ref

import anyio

from asyncmetrics.asking import LocalFunction
from asyncmetrics.children.table import OVERFLOW
from asyncmetrics.errors import LoopError
from asyncmetrics.loops import LoopCall
from asyncmetrics.metrics import Gauge
from asyncmetrics.pacing import run_in_turns
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.runtime.frames import name_coroutine
from asyncmetrics.runtime.monitored_loop import MonitoredLoop

__all__ = ("begin_tasks",)

_MAX_COROUTINES = 100
_OWN_MODULE = "asyncmetrics.loops:"  # whose tasks ask the gauges at a scrape, and are the heartbeat on trio
_TASKS_IN_STEP = 20  # 0.1 ms
_OTHER_LOOP_SECONDS = 1.0

Numbers = Mapping[tuple[object, ...], float]


class _Result(NamedTuple):
    counts: Mapping[str, int]
    ages: Mapping[str, float]


_NOTHING = _Result({}, {})


@final
class _Survey:
    """Surveys the tasks of one loop."""

    def __init__(self, loop: MonitoredLoop) -> None:
        self.loop = loop
        self._list_tasks = _walk_trio if loop.kind == "trio" else _list_asyncio
        self._seen: dict[Any, float] = {}  # when each task was seen first, by a weak reference to it
        self._running: anyio.Event | None = None
        self._result = _NOTHING

    async def take(self) -> _Result:
        """Return the numbers of this moment; call it on the loop."""
        running = self._running
        if running is not None:
            await running.wait()
            return self._result
        self._running = ended = anyio.Event()
        try:
            await run_in_turns(self._read())
        finally:
            self._running = None
            ended.set()
        return self._result

    def take_here(self) -> _Result:
        """Return the same without waiting; call it in the thread of the loop."""
        for _ in self._read():
            pass
        return self._result

    def _read(self) -> Iterator[None]:
        """Set the result, and yield after each step."""
        now = monotonic()
        counts: Counter[str] = Counter()
        oldest: dict[str, float] = {}
        seen: dict[Any, float] = {}

        for number, task in enumerate(self._list_tasks()):
            name = name_coroutine(_get_coroutine(task))
            key = ref(task)
            del task
            if not name.startswith(_OWN_MODULE):
                seen[key] = born = self._seen.get(key, now)
                counts[name] += 1
                oldest[name] = min(born, oldest.get(name, born))
            if not number % _TASKS_IN_STEP:
                yield
        self._seen = seen
        self._result = _bound(counts, {name: now - born for name, born in oldest.items()})


def _bound(counts: Counter[str], ages: Mapping[str, float]) -> _Result:
    """Return the numbers of the most frequent coroutines, and together those of the others."""
    frequent = counts.most_common(_MAX_COROUTINES)
    if len(counts) == len(frequent):
        return _Result(counts, ages)
    frequent = frequent[:-1]
    names = {name for name, _ in frequent}
    rest = [name for name in counts if name not in names]
    return _Result(
        {**dict(frequent), OVERFLOW: sum(counts[name] for name in rest)},
        {**{name: ages[name] for name in names}, OVERFLOW: max(ages[name] for name in rest)},
    )


def _get_coroutine(task: Any) -> Any:
    get = getattr(task, "get_coro", None)  # of asyncio's tasks
    return task.coro if get is None else get()


def _list_asyncio() -> Iterator[Any]:
    """Yield the tasks of the running loop that have not ended."""
    import asyncio

    loop = asyncio.get_running_loop()
    # The public function takes 3 ms for 10,000 tasks before Python 3.14, as it resolves the weak references one by one
    # in Python. So their set is copied, which is one call of C code, and resolved in steps.
    tasks = asyncio.tasks
    known = getattr(tasks, "_scheduled_tasks", None) or getattr(tasks, "_all_tasks", None)  # its name up to Python 3.11
    references = getattr(known, "data", None)
    if sys.version_info >= (3, 14) or not isinstance(references, set):
        yield from asyncio.all_tasks(loop)
        return
    for reference in list(references):
        task = reference()
        if task is not None and task.get_loop() is loop and not task.done():
            yield task


def _walk_trio() -> Iterator[Any]:
    """Yield the tasks of the running loop, from the root on."""
    import trio

    left = [trio.lowlevel.current_root_task()]
    while left:
        task = left.pop()
        if task is not None:
            for nursery in list(task.child_nurseries):
                left += nursery.child_tasks
            yield task


@final
class _TaskGauges:
    """The two gauges of one registry and namespace, for all loops of it that are measured."""

    def __init__(self) -> None:
        self._surveys: list[_Survey] = []
        self._gauges: tuple[Gauge, Gauge] | None = None

    def add(self, loop: MonitoredLoop) -> None:
        options: dict[str, Any] = {"multiprocess_mode": "liveall", "max_children": None}
        counts = loop.declare(
            Gauge, "event_loop_tasks", "Tasks of the event loop, by coroutine.", "coroutine", **options
        )
        ages = loop.declare(
            Gauge,
            "event_loop_oldest_task_seconds",
            "Time since the oldest task of a coroutine was seen first.",
            "coroutine",
            **options,
        )
        self._gauges = (counts, ages)
        self._surveys.append(_Survey(loop))
        self._ask_first()

    def remove(self, loop: MonitoredLoop) -> bool:
        """Remove a loop, and return whether it was the last one."""
        self._surveys = [survey for survey in self._surveys if survey.loop is not loop]
        self._ask_first()
        return not self._surveys

    def _ask_first(self) -> None:
        """Let the first loop that is left answer for all; without one, the gauges have no series."""
        if self._gauges is None:
            return
        counts, ages = self._gauges
        if self._surveys:
            home = self._surveys[0].loop.home
            counts.collect_from(_Function(self._surveys, lambda result: result.counts), blocking=False, loop=home)
            ages.collect_from(_Function(self._surveys, lambda result: result.ages), blocking=False, loop=home)
        else:
            for gauge in self._gauges:
                gauge.collect_from(dict, blocking=False, loop=None)
                gauge.clear()


@final
class _Function(LocalFunction):
    """The function of one of the gauges; ``surveys`` begin with that of its home loop."""

    def __init__(self, surveys: list[_Survey], pick: Callable[[_Result], Mapping[str, float]]) -> None:
        self._first, *self._others = surveys
        self._pick = pick

    async def __call__(self) -> Numbers:
        """Ask all loops."""
        results = [(self._first.loop.label, await self._first.take())]
        return self._merge(results + await _ask_others(self._others))

    def call_here(self) -> Numbers:
        """Ask the home loop only, which this call blocks: it must not wait for another one as well."""
        return self._merge([(self._first.loop.label, self._first.take_here())])

    def _merge(self, results: list[tuple[str, _Result]]) -> Numbers:
        return {(label, name): number for label, result in results for name, number in self._pick(result).items()}


async def _ask_others(surveys: Iterable[_Survey]) -> list[tuple[str, _Result]]:
    """Return what other loops answer in time; one that is blocked or has ended has no numbers."""
    calls = []
    for survey in surveys:
        with suppress(LoopError):
            calls.append((survey.loop.label, LoopCall(survey.take).start(survey.loop.home)))
    answers = [(label, await call.wait_async(_OTHER_LOOP_SECONDS)) for label, call in calls]
    for _, call in calls:
        call.cancel()
    return [(label, answer) for label, answer in answers if isinstance(answer, _Result)]


_GAUGES: dict[tuple[CollectorRegistry, str], _TaskGauges] = {}


def begin_tasks(loop: MonitoredLoop) -> None:
    """Expose the tasks of the loop."""
    key = (loop.registry, loop.namespace)
    gauges = _GAUGES.setdefault(key, _TaskGauges())
    gauges.add(loop)

    def end() -> None:
        if gauges.remove(loop) and _GAUGES.get(key) is gauges:
            del _GAUGES[key]

    loop.undo.callback(end)
