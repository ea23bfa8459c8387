"""How long a scrape blocks the event loop: the first scrape of a process, *cold*, and a later one, *warm*.

In shared storage another process has the series, and the scraped process is new: it reads all label values at its first
scrape. In memory storage the scraped process has the series itself. A ticker on the same loop sleeps for a millisecond
at a time; its largest delay is the longest time for which the loop was blocked. The note has the longest pause of the
garbage collector. Each figure is from several processes; the machine delays the ticker as well, so the smallest figure
has the least noise.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks._measure import Effort, Figures, Outcomes, describe_problem
from benchmarks._registries import make_our_registry
from benchmarks._rows import OURS, Row, Target, make_rows

__all__ = ("RATIO", "run")

RATIO = "longest blocking of the loop ÷ the 5 ms that are allowed"

ALLOWED_MS = 5.0
TICK = 0.001
PROCESSES = 3
LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


class Case(NamedTuple):
    """A kind of metric, how many children it has, the storage (``where``), and the scraped process's event loop."""

    kind: str
    children: int
    where: str
    loop: str

    def __str__(self) -> str:
        return f"{self.children:,} {self.kind.lower()}s, {self.where}, {self.loop}"


CASES = tuple(
    Case(kind, children, where, loop)
    for kind, children in (("Counter", 300_000), ("Counter", 1_000_000), ("Histogram", 100_000))
    for where in ("memory", "shared")
    for loop in LOOPS
)


def _declare(kind: str, folder: str) -> tuple[Any, Any]:
    """Return a registry with shared storage, and a metric in it."""
    import asyncmetrics
    from asyncmetrics.storage import SharedStorage

    registry = asyncmetrics.CollectorRegistry(storage=SharedStorage(folder))
    metric = getattr(asyncmetrics, kind)(
        "requests", "Requests.", ["handler", "kind"], registry=registry, max_children=None
    )
    return registry, metric


def fill(kind: str, children: int, folder: str) -> None:
    """Run as the worker that has the series, until standard input ends."""
    _, metric = _declare(kind, folder)
    use = "inc" if kind == "Counter" else "observe"
    for index in range(children):
        getattr(metric.labels(f"/items/{index}", "GET"), use)(index / 8)
    print("ready", flush=True)
    sys.stdin.read()


class _Pauses:
    """Measure the longest pause of the garbage collector, in seconds."""

    def __init__(self) -> None:
        self.longest = self._started = 0.0
        gc.callbacks.append(self._note_phase)

    def _note_phase(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._started = perf_counter()
        else:
            self.longest = max(self.longest, perf_counter() - self._started)


async def _measure_blocking(app: Any) -> dict[str, float]:
    """Scrape beside a ticker; return its largest delay and the longest garbage collection, in milliseconds."""
    import anyio

    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    delays, lines = [0.0], 0
    pauses = _Pauses()

    async def tick() -> None:
        while True:
            due = perf_counter() + TICK
            await anyio.sleep(TICK)
            delays.append(perf_counter() - due)

    async def send(message: dict[str, Any]) -> None:
        nonlocal lines
        lines += message.get("body", b"").count(b"\n")

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.sleep(0.05)
        delays.clear()
        pauses.longest = 0.0
        await app(scope, receive, send)
        await anyio.sleep(3 * TICK)  # until the ticker has seen the last delay
        tasks.cancel_scope.cancel()
    gc.callbacks.remove(pauses._note_phase)
    return {"blocking": max(delays) * 1e3, "gc": pauses.longest * 1e3, "lines": lines}


def scrape(kind: str, children: int, folder: str, loop: str) -> None:
    """Run as the scraped process: scrape twice and print the figures of both scrapes."""
    import anyio

    import asyncmetrics

    registry = _declare(kind, folder)[0] if folder else make_our_registry(kind, children)
    app = asyncmetrics.make_asgi_app(registry)

    gc.collect()  # 15 ms for the imported modules: a process that serves has had its first full collection

    async def scrape_twice() -> list[dict[str, float]]:
        return [await _measure_blocking(app), await _measure_blocking(app)]

    print(json.dumps(anyio.run(scrape_twice, **LOOPS[loop])))


def _start_process(work: str, *arguments: object) -> subprocess.Popen[str]:
    code = f"from benchmarks import cold; cold.{work}(*{list(arguments)!r})"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1], text=True, **pipes)


@contextmanager
def _make_folder(case: Case) -> Iterator[str]:
    """Yield a directory in which another process has the series, or ``""`` for memory storage."""
    if case.where == "memory":
        yield ""
        return
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    worker = _start_process("fill", case.kind, case.children, folder)
    try:
        assert worker.stdout is not None
        if worker.stdout.readline() != "ready\n":
            raise RuntimeError("the worker did not start")
        yield folder
    finally:
        worker.communicate("")
        shutil.rmtree(folder)


def _run_scrapes(case: Case, processes: int) -> list[list[dict[str, float]]]:
    """Return the figures of the cold and of the warm scrape of each process."""
    with _make_folder(case) as folder:
        results = []
        for _ in range(processes):
            output, _errors = _start_process("scrape", case.kind, case.children, folder, case.loop).communicate()
            results.append(json.loads(output))
    if any(scrape["lines"] < case.children for scrapes in results for scrape in scrapes):
        raise ValueError("series are missing")
    return results


def _make_row(case: Case, how: str, scrapes: list[dict[str, float]]) -> Iterator[Row]:
    delays = [scrape["blocking"] for scrape in scrapes]
    ratio: Callable[..., float] = lambda figures, contender: figures[contender] / ALLOWED_MS  # noqa: E731
    note = f"garbage collector {min(scrape['gc'] for scrape in scrapes):.1f} ms"
    outcome: Outcomes = {OURS: Figures(min(delays), median(delays))}
    for row in make_rows(f"{case}, {how}: longest blocking of the loop", "ms", outcome, ratio, Target(OURS, "≤", 1)):
        yield replace(row, note=note)


def run(effort: Effort) -> Iterator[Row]:
    """Yield the milliseconds of each case."""
    for case in CASES[::3] if effort.quick else CASES:
        small = case._replace(children=effort.size(case.children))
        if case.loop != "asyncio" and find_spec(case.loop) is None:
            continue
        try:
            results = _run_scrapes(small, 1 if effort.quick else PROCESSES)
        except Exception as error:  # noqa: BLE001  # one case's failure must not hide the others
            yield from make_rows(str(small), "ms", {OURS: describe_problem(error)}, lambda *_: None)
            continue
        for index, how in enumerate(("cold", "warm")):
            yield from _make_row(small, how, [scrapes[index] for scrapes in results])
