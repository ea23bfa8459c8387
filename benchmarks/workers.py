"""The cost of several workers: a shared increment, a new series, and a scrape that answers for all, warm and cold.

prometheus_client is measured in its multiprocess mode, which an environment variable turns on before the import.
Therefore each library runs in its own processes, in turns. Four workers have the same series, each with its own
numbers, and a fifth process scrapes. The first scrape of a process is *cold*, later ones are *warm*. A recycle replaces
one worker by a new one.
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

from benchmarks._measure import (
    FULL,
    QUICK,
    Effort,
    Figures,
    Outcomes,
    describe_problem,
    measure,
    repeat_statement,
    scale,
)
from benchmarks._rows import OURS, THEIRS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "prometheus_client's time in its multiprocess mode ÷ ours"

WORKERS = 4
INC, CHILD = "shared inc()", "new series"
ALONE = "inc() in memory"
OBSERVE, OBSERVE_NATIVE = "shared observe()", "shared observe(), native"
TARGETS = {INC: Target(THEIRS, "≥", 6)}
SCRAPE_TARGET = Target(THEIRS, "≥", 20)
ROUNDS = 5
RECYCLES = 100
LIBRARIES = (OURS, THEIRS)


def _declare(contender: str, folder: str) -> Any:
    """Return a counter and a function that scrapes, in a process that is a worker."""
    if contender == OURS:
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


def _declare_histogram(contender: str, folder: str, **options: Any) -> Any:
    """Return a histogram of a process that is a worker, where `_declare` was called before."""
    if contender == OURS:
        import asyncmetrics
        from asyncmetrics.storage import SharedStorage

        registry = asyncmetrics.CollectorRegistry(storage=SharedStorage(folder))
        return asyncmetrics.Histogram("seconds", "Seconds.", registry=registry, **options)
    import prometheus_client

    return prometheus_client.Histogram("seconds", "Seconds.", registry=None)


def fill(contender: str, folder: str, series: int) -> None:
    """Run as a worker that counts, until standard input ends."""
    counter, _ = _declare(contender, folder)
    for index in range(series):
        counter.labels(f"/items/{index}", "GET").inc(index / 8)
    print("ready", flush=True)
    sys.stdin.read()


def scrape(contender: str, folder: str, rounds: int) -> None:
    """Run as the scraped process: print the seconds of each scrape, and the number of series."""
    from time import perf_counter

    _, collect = _declare(contender, folder)
    seconds, lines = [], 0
    for _ in range(rounds):
        started = perf_counter()
        body = collect()
        seconds.append(perf_counter() - started)
        lines = body.count(b"requests_total{")
    print(json.dumps([seconds, lines]))


def count(contender: str, folder: str, quick: bool) -> None:
    """Print the seconds of an increment and of a new series."""
    counter, _ = _declare(contender, folder)
    child, numbers = counter.labels("/", "GET"), iter(range(1 << 60))
    runs: dict[str, Any] = {INC: repeat_statement("c.inc()", c=child)}
    outcomes = measure(runs, QUICK if quick else FULL)
    new = {CHILD: repeat_statement("c.labels(str(next(n)), 'GET').inc()", c=counter, n=numbers)}
    effort = QUICK if quick else replace(FULL, rounds=15, seconds=0.001)
    outcomes |= measure(new, effort)
    histograms = {OBSERVE: _declare_histogram(contender, folder)}
    if contender == OURS:
        histograms[OBSERVE_NATIVE] = _declare_histogram(contender, folder, native=True, buckets=())
    for discipline, histogram in histograms.items():
        observe = {discipline: repeat_statement("observe(0.034)", observe=histogram.observe)}
        outcomes |= measure(observe, QUICK if quick else FULL)
    if contender == OURS:
        import asyncmetrics

        alone = asyncmetrics.Counter("alone", "In memory.", registry=asyncmetrics.CollectorRegistry())
        outcomes |= measure({ALONE: repeat_statement("c.inc()", c=alone)}, QUICK if quick else FULL)
    print(
        json.dumps({discipline: [f.minimum, f.median] for discipline, f in outcomes.items() if isinstance(f, Figures)})
    )


def _start_process(work: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    code = f"from benchmarks import workers; workers.{work}(*{list(arguments)!r})"
    root = Path(__file__).parents[1]
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, text=True, stdout=subprocess.PIPE, **options)


def _run_process(work: str, *arguments: object) -> Any:
    """Run a function of this module in its own process and return the JSON that it prints."""
    output, _ = _start_process(work, *arguments).communicate()
    return json.loads(output)


class _Workers:
    """Four workers of one library with their series, in their own directory."""

    def __init__(self, contender: str, series: int) -> None:
        self.contender = contender
        self.base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(dir=self.base)
        self.series = series
        self.processes = [self._start() for _ in range(WORKERS)]

    def _start(self) -> subprocess.Popen[str]:
        process = _start_process("fill", self.contender, self.folder, self.series, stdin=subprocess.PIPE)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("a worker did not start")
        return process

    def recycle(self) -> None:
        """End one worker and start another."""
        self._end(self.processes.pop(0))
        self.processes.append(self._start())

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.communicate("")

    def close(self) -> None:
        """End all workers and remove the directory."""
        for process in self.processes:
            self._end(process)
        shutil.rmtree(self.folder)


def _compute_figures(seconds: list[float]) -> Figures:
    return Figures(min(seconds), median(seconds))


def _measure_scrapes(series: int, rounds: int) -> dict[str, Outcomes]:
    """Return the figures of warm and of cold scrapes."""
    outcomes: dict[str, Outcomes] = {"warm": {}, "cold": {}}
    for contender in LIBRARIES:
        try:
            workers = _Workers(contender, series)
            try:
                seconds, lines = _run_process("scrape", contender, workers.folder, rounds + 1)
                cold = [_run_process("scrape", contender, workers.folder, 1)[0][0] for _ in range(min(rounds, 3))]
            finally:
                workers.close()
            if lines != series:
                raise ValueError(f"{lines} series, not {series}")
            outcomes["warm"][contender] = _compute_figures(seconds[1:])
            outcomes["cold"][contender] = _compute_figures([seconds[0], *cold])
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            outcomes["warm"][contender] = outcomes["cold"][contender] = describe_problem(error)
    return outcomes


def _measure_recycles(series: int, times: int, rounds: int) -> tuple[Outcomes, dict[str, int]]:
    """Return the figures of a scrape after ``times`` recycles, and the number of files then."""
    outcomes: Outcomes = {}
    files = {}
    for contender in LIBRARIES:
        try:
            workers = _Workers(contender, series)
            try:
                for _ in range(times):
                    workers.recycle()
                outcomes[contender] = _compute_figures(
                    _run_process("scrape", contender, workers.folder, rounds + 1)[0][1:]
                )
                files[contender] = len(list(Path(workers.folder).iterdir()))
            finally:
                workers.close()
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            outcomes[contender] = describe_problem(error)
    return outcomes, files


def _measure_counting(effort: Effort) -> Iterator[Row]:
    outcomes: dict[str, Outcomes] = {INC: {}, CHILD: {}}
    for contender in LIBRARIES:
        folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        try:
            figures = _run_process("count", contender, folder, effort.quick)
            for discipline, (low, mid) in figures.items():
                outcomes.setdefault(discipline, {})[contender] = Figures(low, mid).scale(1e9)
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            for discipline in (INC, CHILD):
                outcomes[discipline][contender] = describe_problem(error)
        finally:
            shutil.rmtree(folder)
    for discipline, by_library in outcomes.items():
        yield from make_rows(discipline, "ns", by_library, divide_by_ours, TARGETS.get(discipline))


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds for counting, and milliseconds for scrapes."""
    yield from _measure_counting(effort)
    rounds = 1 if effort.quick else ROUNDS
    for full in (10_000, 100_000):
        series = effort.size(full)
        for how, outcomes in _measure_scrapes(series, rounds).items():
            target = SCRAPE_TARGET if how == "warm" else None
            discipline = f"{how} scrape of {WORKERS} × {series:,}"
            yield from make_rows(discipline, "ms", scale(outcomes, 1e3), divide_by_ours, target)
    times = 2 if effort.quick else RECYCLES
    outcomes, files = _measure_recycles(effort.size(200) if effort.quick else 200, times, rounds)
    for row in make_rows(f"scrape of 4 × 200 after {times} recycles", "ms", scale(outcomes, 1e3), divide_by_ours):
        yield replace(row, note=f"{files[row.contender]} files" if row.contender in files else row.note)
