"""What several workers cost: a shared increment, a new series, and a scrape that answers for all, warm and cold.

prometheus_client is measured in its multiprocess mode, which the environment turns on before it is imported: each side
runs in processes of its own, in turns. Four workers hold the same series, each with its own numbers; a fifth process
scrapes. A scrape is *cold* when it is a process's first one. Recycling replaces one worker after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._measure import FULL, QUICK, Effort, Figures, measure, problem, statement
from benchmarks._rows import OURS, THEIRS, Row, Target, peer_to_us, rows

__all__ = ("RATIO", "run")

RATIO = "prometheus_client's time in its multiprocess mode ÷ ours"

WORKERS = 4
INC, CHILD = "shared inc()", "new series"
ALONE = "inc() in memory"
TARGETS = {INC: Target(THEIRS, "≥", 6)}
SCRAPE_TARGET = Target(THEIRS, "≥", 20)
ROUNDS = 5
RECYCLED = 100
LIBRARIES = (OURS, THEIRS)


def _library(who: str, folder: str) -> Any:
    """Return what makes a counter and what scrapes, in a process that is a worker."""
    if who == OURS:
        import asyncmetrics
        from asyncmetrics.storage import SharedStorage

        registry = asyncmetrics.CollectorRegistry(storage=SharedStorage(folder))
        counter = asyncmetrics.Counter("requests", "Requests.", ["handler", "kind"], registry=registry)
        return counter, lambda: asyncmetrics.generate_latest(registry)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    import prometheus_client
    from prometheus_client.multiprocess import MultiProcessCollector

    counter = prometheus_client.Counter("requests", "Requests.", ["handler", "kind"], registry=None)
    registry = prometheus_client.CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return counter, lambda: prometheus_client.generate_latest(registry)


def fill(who: str, folder: str, count: int) -> None:
    """Be a worker that counts, and wait for the end."""
    counter, _ = _library(who, folder)
    for index in range(count):
        counter.labels(f"/items/{index}", "GET").inc(index / 8)
    print("ready", flush=True)
    sys.stdin.read()


def scrape(who: str, folder: str, rounds: int) -> None:
    """Be the process that is scraped: print the seconds of each scrape, and how many series there were."""
    from time import perf_counter

    _, collect = _library(who, folder)
    seconds, lines = [], 0
    for _ in range(rounds):
        started = perf_counter()
        body = collect()
        seconds.append(perf_counter() - started)
        lines = body.count(b"requests_total{")
    print(json.dumps([seconds, lines]))


def hot(who: str, folder: str, quick: bool) -> None:
    """Print what an increment and a new series cost, in seconds."""
    counter, _ = _library(who, folder)
    child, numbers = counter.labels("/", "GET"), iter(range(1 << 60))
    runs: dict[str, Any] = {INC: statement("c.inc()", c=child)}
    found = measure(runs, QUICK if quick else FULL)
    new = {CHILD: statement("c.labels(str(next(n)), 'GET').inc()", c=counter, n=numbers)}
    effort = QUICK if quick else replace(FULL, rounds=15, seconds=0.001)
    found |= measure(new, effort)
    if who == OURS:
        import asyncmetrics

        alone = asyncmetrics.Counter("alone", "In memory.", registry=asyncmetrics.CollectorRegistry())
        found |= measure({ALONE: statement("c.inc()", c=alone)}, QUICK if quick else FULL)
    print(json.dumps({what: [f.minimum, f.median] for what, f in found.items() if isinstance(f, Figures)}))


def _process(work: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    code = f"from benchmarks import workers; workers.{work}(*{list(arguments)!r})"
    root = Path(__file__).parents[1]
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, text=True, stdout=subprocess.PIPE, **options)


def _told(work: str, *arguments: object) -> Any:
    process = _process(work, *arguments)
    told, _ = process.communicate()
    return json.loads(told)


class _Scene:
    """Four workers of one library that hold their series, in a directory of their own."""

    def __init__(self, who: str, count: int) -> None:
        self.who = who
        self.base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(dir=self.base)
        self.count = count
        self.processes = [self._begin() for _ in range(WORKERS)]

    def _begin(self) -> subprocess.Popen[str]:
        process = _process("fill", self.who, self.folder, self.count, stdin=subprocess.PIPE)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("a worker did not begin")
        return process

    def recycle(self) -> None:
        """End one worker and begin another."""
        self._end(self.processes.pop(0))
        self.processes.append(self._begin())

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.communicate("")

    def close(self) -> None:
        """End all."""
        for process in self.processes:
            self._end(process)
        shutil.rmtree(self.folder)


def _figures(seconds: list[float]) -> Figures:
    return Figures(min(seconds), median(seconds))


def _scrapes(count: int, rounds: int) -> dict[str, dict[str, Figures | str]]:
    """Return by library the figures of warm and of cold scrapes."""
    found: dict[str, dict[str, Figures | str]] = {"warm": {}, "cold": {}}
    for who in LIBRARIES:
        try:
            scene = _Scene(who, count)
            try:
                seconds, lines = _told("scrape", who, scene.folder, rounds + 1)
                cold = [_told("scrape", who, scene.folder, 1)[0][0] for _ in range(min(rounds, 3))]
            finally:
                scene.close()
            if lines != count:
                raise ValueError(f"{lines} series, not {count}")
            found["warm"][who], found["cold"][who] = _figures(seconds[1:]), _figures([seconds[0], *cold])
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            found["warm"][who] = found["cold"][who] = problem(error)
    return found


def _recycled(count: int, times: int, rounds: int) -> tuple[dict[str, Figures | str], dict[str, int]]:
    found: dict[str, Figures | str] = {}
    files = {}
    for who in LIBRARIES:
        try:
            scene = _Scene(who, count)
            try:
                for _ in range(times):
                    scene.recycle()
                found[who] = _figures(_told("scrape", who, scene.folder, rounds + 1)[0][1:])
                files[who] = len(list(Path(scene.folder).iterdir()))
            finally:
                scene.close()
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            found[who] = problem(error)
    return found, files


def _hot(effort: Effort) -> Iterator[Row]:
    outcomes: dict[str, dict[str, Figures | str]] = {INC: {}, CHILD: {}}
    for who in LIBRARIES:
        folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        try:
            told = _told("hot", who, folder, effort.quick)
            for what, (low, mid) in told.items():
                outcomes.setdefault(what, {})[who] = Figures(low, mid).scaled(1e9)
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            for what in (INC, CHILD):
                outcomes[what][who] = problem(error)
        finally:
            shutil.rmtree(folder)
    for what, found in outcomes.items():
        yield from rows(what, "ns", found, peer_to_us, TARGETS.get(what))


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds for what counts, and milliseconds for scrapes."""
    yield from _hot(effort)
    rounds = 1 if effort.quick else ROUNDS
    for full in (10_000, 100_000):
        count = effort.size(full)
        for how, found in _scrapes(count, rounds).items():
            scaled = {who: f if isinstance(f, str) else f.scaled(1e3) for who, f in found.items()}
            target = SCRAPE_TARGET if how == "warm" else None
            yield from rows(f"{how} scrape of {WORKERS} × {count:,}", "ms", scaled, peer_to_us, target)
    times = 2 if effort.quick else RECYCLED
    found, files = _recycled(effort.size(200) if effort.quick else 200, times, rounds)
    scaled = {who: f if isinstance(f, str) else f.scaled(1e3) for who, f in found.items()}
    for row in rows(f"scrape of 4 × 200 after {times} recycles", "ms", scaled, peer_to_us):
        yield replace(row, note=f"{files[row.who]} files" if row.who in files else row.note)
