"""A metric with children in a fresh registry: what operations act on, and what it observes of them.

A `World` knows which children a reading must show. A key is *certain* from the return of ``labels()`` until the
beginning of a removal. `Reading` compares: a key that was certain when the reading began, and still is, must be in it
once, with a number between what was counted before the reading began and what was begun to be counted at its end.

On shared storage there is one exception. A handler that interrupts structural work of its own thread cannot wait for
that work, so what waits for it is shared after the handler has ended. There, a reading in a handler must show what was
certain when the handler began.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as count_up
from pathlib import Path
from typing import Any

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram
from asyncmetrics.asking import ask_now
from asyncmetrics.storage import MemoryStorage, SharedStorage
from tests.concurrency.explorer.model import Setup
from tests.concurrency.explorer.operations import Step
from tests.patience import PATIENCE_SECONDS

__all__ = ("STORAGES", "Clock", "Problem", "Reading", "Stuck", "World", "make_folder", "make_registry", "remove_folder")

STORAGES = ("memory", "locked", "shared")
Problem = tuple[str, str]  # its kind, and what was seen
TTL = 10.0
_BUCKETS = (0.5, 1.0)
_METRICS: dict[str, Callable[..., Any]] = {
    "counter": Counter,
    "gauge": Gauge,
    "traced": Counter,  # each count has an exemplar with another trace
    "histogram": lambda *args, **options: Histogram(*args, buckets=_BUCKETS, **options),
}
# A step waits half a millisecond, and a reading one second for structural work that another thread does.
_MOST_EMPTY_STEPS = 2500
_MOST_EMPTY_STEPS_OF_A_TRY = 6
_folders = count_up()
_base = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


class Clock:
    """Stands still instead of `time.monotonic` until it is advanced."""

    def __init__(self) -> None:
        self.now = 1000.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        before, time.monotonic = time.monotonic, lambda: self.now
        try:
            yield
        finally:
            time.monotonic = before


class Stuck(Exception):
    """A reading in the thread that was interrupted waits for what was interrupted."""


def make_folder() -> str:
    """Return a path that does not exist."""
    return str(_base / f"asyncmetrics-explorer-{os.getpid()}-{next(_folders)}")


def remove_folder(registry: CollectorRegistry, folder: str) -> None:
    """Close the shared storage in ``folder`` and remove its files, if it is one."""
    if folder:
        registry.storage.close()
        shutil.rmtree(folder, ignore_errors=True)


def make_registry(storage: str, folder: str = "") -> CollectorRegistry:
    """Return a registry with a storage of one of `STORAGES`."""
    if storage == "shared":
        return CollectorRegistry(storage=SharedStorage(folder, serves=False))
    return CollectorRegistry(storage=MemoryStorage(locking=storage == "locked"))


def make_live_family(metric: Any) -> Any:
    """Return the family that a collection gets from a metric: its functions are asked first."""
    for callback in metric.list_callbacks():
        callback.take(ask_now(callback))
    return metric.make_family()


class Reading:
    """A reading of the world's metric, in steps."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._certain = dict(world.certain) if world.trusted is None else dict(world.trusted)
        self._counted = dict(world.counted)
        self.points: list[tuple[str, float]] = []
        self._empty_steps = 0
        family = make_live_family(world.metric)
        self._batches = iter(family.read_batches())
        self._is_complete = False

    def step(self) -> bool:
        """Take one step, and return whether there was one."""
        batch = next(self._batches, None)
        if batch is None:
            self._is_complete = True
            return False
        self._empty_steps = 0 if batch else self._empty_steps + 1
        if self._empty_steps > self._world.most_empty_steps:
            raise Stuck
        get_number = self._world.get_number
        self.points += [(point.labelvalues[0], get_number(point)) for point in batch]
        return True

    def is_waiting(self) -> bool:
        """Take steps until the reading ends, or has waited for a while; return whether it has."""
        while self.step():
            if self._empty_steps >= _MOST_EMPTY_STEPS_OF_A_TRY:
                return True
        return False

    def finish(self) -> dict[str, float]:
        """Take all steps that are left, judge the points, and return them."""
        while not self._is_complete:
            self.step()
        self._world.problems += self._judge()
        return dict(self.points)

    def _judge(self) -> list[Problem]:
        world = self._world
        numbers = dict(self.points)
        found: list[Problem] = []
        if len(numbers) < len(self.points):
            found.append(("twice in a reading", f"{self.points}"))
        for key, since in self._certain.items():
            if world.certain.get(key) is not since:
                continue
            if key not in numbers:
                found.append(("missing in a reading", f"{key} is not in {self.points}"))
            elif world.is_counted(key) and not self._counted.get(key, 0) <= numbers[key] <= world.begun.get(key, 0):
                limits = f"{self._counted.get(key, 0)} to {world.begun.get(key, 0)}"
                found.append(("wrong number in a reading", f"{key}: {numbers[key]}, expected {limits}"))
        return found


def _count(child: Any, kind: str, trace: int) -> None:
    if kind == "histogram":
        child.observe(1.0)
    elif kind == "traced":
        child.inc(1, {"trace_id": f"{trace:032x}"})
    else:
        child.inc()


class World:
    """A registry with one metric; see `operations.Subject` for the methods that operations call."""

    def __init__(self, storage: str, setup: Setup, clock: Clock, kind: str = "counter") -> None:
        self.storage = storage
        self.most_empty_steps = _MOST_EMPTY_STEPS
        self.clock = clock
        self.folder = make_folder() if storage == "shared" else ""
        self.registry = make_registry(storage, self.folder)
        self.setup = setup
        self.kind = kind
        self.options: dict[str, Any] = {"max_children": setup.max_children} if setup.max_children else {}
        if setup.stale:
            self.options["ttl"] = TTL
        self.metric = self.make_metric(self.registry)
        self.problems: list[Problem] = []
        self.named: dict[str, Any] = {}
        self.held: dict[str, Any] = {}
        self.certain: dict[str, object] = {}
        self.trusted: dict[str, object] | None = None  # what was certain when a handler began, on shared storage
        self.counted: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.removed: set[str] = set()
        self.references: list[weakref.ref[Any]] = []
        self._begun_removals = self._ended_removals = 0
        self.traces = count_up(1)
        self.keys_by_trace: dict[int, str] = {}
        self.has_lost_exemplar = False  # whether an exception has ended a count, perhaps before it was shared
        self._adding = threading.Lock()
        self._set_up()

    def _set_up(self) -> None:
        setup = self.setup
        for key, number in setup.numbers.items():
            child = self.metric.labels(key)
            for _ in range(int(number)):
                self.count_one(key)
            if key in setup.held:
                self.held[key] = child
            if key not in setup.stale:
                self.certain[key] = object()
            self.counted[key] = self.begun[key] = number
            self.references.append(weakref.ref(child))

    def make_metric(self, registry: CollectorRegistry) -> Any:
        """Return a metric that is declared as the world's metric is."""
        return _METRICS[self.kind]("m", "M.", ["key"], registry=registry, **self.options)

    def count_one(self, key: str) -> None:
        """Count 1 on the child of ``key``, which this creates if it is new."""
        self._count(self.metric.labels(key))

    def _count(self, child: Any) -> None:
        trace = next(self.traces)
        self.keys_by_trace[trace] = child.labelvalues[0]
        try:
            _count(child, self.kind, trace)
        except BaseException:
            self.has_lost_exemplar = True
            raise

    def is_counted(self, key: str) -> bool:
        """Return whether ``counted`` and ``begun`` limit the number of ``key``: it is a counter, and the first one."""
        return self.kind in {"counter", "traced"} and key not in self.removed

    def make_stale(self, readings: int) -> None:
        """Let the stale children expire: one reading sees their numbers, and ``readings`` see that they are stale."""
        self.read_quietly()
        self.clock.now += TTL + 1
        for key in self.setup.numbers.keys() - self.setup.stale:
            self.metric.labels(key).inc()
            self.counted[key] += 1
            self.begun[key] += 1
        for _ in range(readings):
            self.read_quietly()

    def read_quietly(self) -> dict[str, float]:
        """Read everything, and judge nothing."""
        family = make_live_family(self.metric)
        return {p.labelvalues[0]: self.get_number(p) for batch in family.read_batches() for p in batch}

    def read_traces(self, metric: Any) -> dict[str, int]:
        """Return the trace of each series that has an exemplar, of the world's metric or that of another worker."""
        points = [point for batch in make_live_family(metric).read_batches() for point in batch]
        found = [(point.labelvalues[0], exemplar) for point in points for exemplar in point.read_exemplars().values()]
        return {key: int(exemplar.labels["trace_id"], 16) for key, exemplar in found}

    def get_number(self, point: Any) -> float:
        """Return the number of a point, which is its count if it is a histogram."""
        return point.read_numbers()[-2 if self.kind == "histogram" else 0]

    def labels(self, name: str, key: str) -> Step:
        before = self._begun_removals, self._ended_removals
        child = self.metric.labels(key)
        self.references.append(weakref.ref(child))
        key = child.labelvalues[0]
        if before == (self._begun_removals,) * 2 and key not in self.setup.stale:
            self.certain.setdefault(key, object())
        self.named[name] = child
        return child
        yield

    def count(self, child: Any) -> Step:
        key = child.labelvalues[0]
        self._add(self.begun, key)
        self._count(child)
        self._add(self.counted, key)
        return
        yield

    def _add(self, numbers: dict[str, float], key: str) -> None:
        with self._adding:  # A is never stopped here
            numbers[key] = numbers.get(key, 0) + 1

    def get_held(self, key: str) -> Any:
        return self.held[key]

    @contextmanager
    def _removal(self, keys: list[str]) -> Iterator[None]:
        """No removed key is certain, nor is one whose ``labels()`` began before or during the removal."""
        self._begun_removals += 1
        for key in keys:
            self.certain.pop(key, None)
            self.removed.add(key)
        try:
            yield
        finally:
            self._ended_removals += 1

    def remove(self, key: str) -> Step:
        with self._removal([key]):
            self.metric.remove(key)
        return
        yield

    def clear(self) -> Step:
        with self._removal(list(self.certain)):
            self.metric.clear()
        return
        yield

    def read(self) -> Step:
        Reading(self).finish()
        return
        yield

    def track(self, child: Any) -> Step:
        with child.track_inprogress():
            pass
        return
        yield

    def time(self, child: Any) -> Step:
        with child.time():
            pass
        return
        yield

    def set_function(self, child: Any) -> Step:
        key = child.labelvalues[0]
        was_certain, begun = key in self.certain, self._begun_removals + 1
        with self._removal([key]):  # shared storage hides the series until the function has returned a number
            child.set_function(lambda: 7.0)
        if was_certain and begun == self._begun_removals == self._ended_removals:
            self.certain.setdefault(key, object())
        return
        yield

    def fork(self) -> Step:
        pid = os.fork()
        if not pid:
            status = 9
            try:
                signal.alarm(PATIENCE_SECONDS)
                status = self._check_fork()
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if status:
            self.problems.append(("a forked process fails", f"wait status {status}"))
        return
        yield

    def _check_fork(self) -> int:
        """Return 0 if the forked process can make, count and read, and has the parent's numbers in memory storage."""
        child = self.metric.labels("f")
        child.inc()
        numbers = self.read_quietly()
        if numbers.get(child.labelvalues[0], 0) < 1:
            return 1
        if self.storage == "shared":
            self.metric.remove("f")  # the parent would take it over
            return 0
        lost = [key for key in self.certain if numbers.get(key, -1) < self.counted.get(key, 0) and self.is_counted(key)]
        return 2 if lost else 0

    def get_names(self, numbers: dict[str, float]) -> frozenset[tuple[str, str]]:
        """Return which names refer to the children that are found by their labels."""
        children = {key: self.metric.labels(key) for key in numbers}
        references = {**self.held, **self.named}
        found = ((key, name) for name, one in references.items() for key, child in children.items() if child is one)
        return frozenset(found)

    @contextmanager
    def in_handler(self) -> Iterator[None]:
        """Do what a signal handler does, which interrupts this thread."""
        self.trusted = dict(self.certain) if self.storage == "shared" else None
        yield
        self.trusted = None

    def has_counted_failure(self) -> bool:
        """Return whether an exception was taken for one of a collector: the operations here ask none."""
        return False

    def tidy(self) -> None:
        """Remove what operations have made."""
        self.named.clear()
        self.problems.clear()
        self.references.clear()
        for key in ("k", "j"):
            self.metric.remove(key)

    def close(self) -> None:
        """Give back files."""
        remove_folder(self.registry, self.folder)
