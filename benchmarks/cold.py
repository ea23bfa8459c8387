"""How long a scrape holds the event loop at its longest: a process's first scrape, *cold*, and a later one, *warm*.

In shared storage another process has the series and the one that is scraped is fresh: it reads all label values at its
first scrape. In memory the process has them itself. A ticker on the same loop asks to be woken every millisecond; how
late it is woken at most is the longest hold. The garbage collector's part of that stands in the note. Each figure is of
several processes; the machine delays the ticker too, so the smallest figure has least noise.
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

from benchmarks._measure import Effort, Figures, Outcomes, problem
from benchmarks._registries import ours
from benchmarks._rows import OURS, Row, Target, rows

__all__ = ("RATIO", "run")

RATIO = "longest hold ÷ the 5 ms that are allowed"

ALLOWED_MS = 5.0
TICK = 0.001
PROCESSES = 3
LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


class Case(NamedTuple):
    """So many children of a kind of metric, where they are, and the event loop of the scraped process."""

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


def _shared(kind: str, folder: str) -> tuple[Any, Any]:
    import asyncmetrics
    from asyncmetrics.storage import SharedStorage

    registry = asyncmetrics.CollectorRegistry(storage=SharedStorage(folder))
    metric = getattr(asyncmetrics, kind)(
        "requests", "Requests.", ["handler", "kind"], registry=registry, max_children=None
    )
    return registry, metric


def fill(kind: str, children: int, folder: str) -> None:
    """Be the worker that has the series, until standard input ends."""
    _, metric = _shared(kind, folder)
    use = "inc" if kind == "Counter" else "observe"
    for index in range(children):
        getattr(metric.labels(f"/items/{index}", "GET"), use)(index / 8)
    print("ready", flush=True)
    sys.stdin.read()


class _Pauses:
    """The longest pause of the garbage collector, in seconds."""

    def __init__(self) -> None:
        self.longest = self._started = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._started = perf_counter()
        else:
            self.longest = max(self.longest, perf_counter() - self._started)


async def _hold(app: Any) -> dict[str, float]:
    """Scrape with a ticker beside it; return the longest hold and the collector's longest pause, in milliseconds."""
    import anyio

    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    late, lines = [0.0], 0
    pauses = _Pauses()

    async def tick() -> None:
        while True:
            due = perf_counter() + TICK
            await anyio.sleep(TICK)
            late.append(perf_counter() - due)

    async def send(message: dict[str, Any]) -> None:
        nonlocal lines
        lines += message.get("body", b"").count(b"\n")

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.sleep(0.05)
        late.clear()
        pauses.longest = 0.0
        await app(scope, receive, send)
        await anyio.sleep(3 * TICK)  # the last hold is seen then
        tasks.cancel_scope.cancel()
    gc.callbacks.remove(pauses._note)
    return {"hold": max(late) * 1e3, "gc": pauses.longest * 1e3, "lines": lines}


def scrape(kind: str, children: int, folder: str, loop: str) -> None:
    """Be the process that is scraped, twice: print what became of the loop."""
    import anyio

    import asyncmetrics

    registry = _shared(kind, folder)[0] if folder else ours(kind, children)
    app = asyncmetrics.make_asgi_app(registry)

    gc.collect()  # of what was imported, 15 ms: a process that serves has had its first full collection

    async def both() -> list[dict[str, float]]:
        return [await _hold(app), await _hold(app)]

    print(json.dumps(anyio.run(both, **LOOPS[loop])))


def _process(work: str, *arguments: object) -> subprocess.Popen[str]:
    code = f"from benchmarks import cold; cold.{work}(*{list(arguments)!r})"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1], text=True, **pipes)


@contextmanager
def _folder(case: Case) -> Iterator[str]:
    """Give a directory in which another process has the series; none for those in memory."""
    if case.where == "memory":
        yield ""
        return
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    worker = _process("fill", case.kind, case.children, folder)
    try:
        assert worker.stdout is not None
        if worker.stdout.readline() != "ready\n":
            raise RuntimeError("the worker did not begin")
        yield folder
    finally:
        worker.communicate("")
        shutil.rmtree(folder)


def _probes(case: Case, processes: int) -> list[list[dict[str, float]]]:
    with _folder(case) as folder:
        found = []
        for _ in range(processes):
            told, _errors = _process("scrape", case.kind, case.children, folder, case.loop).communicate()
            found.append(json.loads(told))
    if any(scraped["lines"] < case.children for probe in found for scraped in probe):
        raise ValueError("series are missing")
    return found


def _row(case: Case, how: str, scrapes: list[dict[str, float]]) -> Iterator[Row]:
    holds = [scraped["hold"] for scraped in scrapes]
    ratio: Callable[..., float] = lambda figures, who: figures[who] / ALLOWED_MS  # noqa: E731
    note = f"garbage collector {min(scraped['gc'] for scraped in scrapes):.1f} ms"
    outcome: Outcomes = {OURS: Figures(min(holds), median(holds))}
    for row in rows(f"{case}, {how}: longest hold", "ms", outcome, ratio, Target(OURS, "≤", 1)):
        yield replace(row, note=note)


def run(effort: Effort) -> Iterator[Row]:
    """Yield the milliseconds of each case."""
    for case in CASES[::3] if effort.quick else CASES:
        small = case._replace(children=effort.size(case.children))
        if case.loop != "asyncio" and find_spec(case.loop) is None:
            continue
        try:
            found = _probes(small, 1 if effort.quick else PROCESSES)
        except Exception as error:  # noqa: BLE001  # one case's failure must not hide the others
            yield from rows(str(small), "ms", {OURS: problem(error)}, lambda *_: None)
            continue
        for index, how in enumerate(("cold", "warm")):
            yield from _row(small, how, [probe[index] for probe in found])
