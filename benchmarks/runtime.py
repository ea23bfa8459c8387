"""What the runtime metrics cost: processor time of a real server for each request of `wrk`, on asyncio and on uvloop.

Each contender is its own process with one worker. All of them run from the first round to the last, and only one at a
time gets requests. The clock is that of the process, all threads included. An interval is that of the median of the
ratios, with a confidence of 95 %.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from math import sqrt
from statistics import median
from typing import Any

from benchmarks._measure import Effort, Figures, Outcomes, Run, run_in_turns, scale
from benchmarks._rows import Row, Target, make_rows
from benchmarks._services import INCLUDED, SERVICES
from benchmarks.server import MISSING, run_server, send_requests

__all__ = ("RATIO", "make_app", "run")

RATIO = "processor time ÷ that without runtime metrics"

BARE = "instrument(app)"
DEFAULTS = "runtime=True"
EVERYTHING = "everything on"
LOOPS = ("asyncio", "uvloop")
TARGETS = {DEFAULTS: Target(DEFAULTS, "≤", 1.03), EVERYTHING: Target(EVERYTHING, "≤", 1.15)}
ROUNDS = 31
SECONDS = 1


def make_app(contender: str) -> Any:
    """Return the application of a contender."""
    import asyncmetrics

    app = SERVICES[INCLUDED].make()
    if contender == BARE:
        return asyncmetrics.instrument(app)
    if contender == DEFAULTS:
        return asyncmetrics.instrument(app, runtime=True)
    asyncmetrics.instrument_all()
    return asyncmetrics.instrument(
        app, runtime=True, on_loop=True, client_totals=True, first_byte=True, body_sizes=True, background=True
    )


def _measure_request(wrk: str, url: str, process: int, _: int) -> float:
    clock = (~process << 3) | 2  # clock_getcpuclockid(3) of Linux: the processor time of another process
    started = time.clock_gettime(clock)
    count, _ = send_requests(wrk, url, SECONDS)
    return (time.clock_gettime(clock) - started) / count


def _start_servers(loop: str, wrk: str, stack: ExitStack) -> dict[str, tuple[Run, int]]:
    runs: dict[str, tuple[Run, int]] = {}
    for contender in (BARE, DEFAULTS, EVERYTHING):
        code = f"from benchmarks.runtime import make_app\napp = make_app({contender!r})"
        url, process = stack.enter_context(run_server(code, SERVICES[INCLUDED].path, loop))
        runs[contender] = (partial(_measure_request, wrk, url, process), 1)
    return runs


def _describe_interval(ratios: list[float]) -> str:
    """Return the interval of the median by the order of the ratios, whose distribution does not matter."""
    ordered, reach = sorted(ratios), round(0.98 * sqrt(len(ratios)))
    middle = len(ordered) // 2
    low, high = ordered[max(0, middle - reach)], ordered[min(len(ordered) - 1, middle + reach)]
    return f"median {median(ratios):.3f}× [{low:.3f}, {high:.3f}] of {len(ratios)} pairs"


def _measure_loop(loop: str, wrk: str, effort: Effort) -> tuple[Outcomes, dict[str, str]]:
    """Return the seconds per request of each contender, and the interval of its ratio."""
    with ExitStack() as stack:
        times_of = run_in_turns(_start_servers(loop, wrk, stack), min(effort.rounds, ROUNDS))
    outcomes: Outcomes = {name: Figures(min(times), median(times)) for name, times in times_of.items()}
    ratios = {name: [a / b for a, b in zip(times, times_of[BARE], strict=True)] for name, times in times_of.items()}
    return outcomes, {name: _describe_interval(ratios[name]) for name in TARGETS}


def _divide_by_bare(figures: Mapping[str, float], contender: str) -> float | None:
    return figures[contender] / figures[BARE] if contender != BARE and BARE in figures else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield the microseconds of processor time per request."""
    wrk = shutil.which("wrk")
    for loop in LOOPS:
        discipline = f"{INCLUDED}, {loop}"
        problem = MISSING if wrk is None else "" if loop == "asyncio" or find_spec(loop) else f"{loop} is not installed"
        if wrk is None or problem:
            yield Row(discipline, DEFAULTS, "µs", None, None, None, problem)
            continue
        outcomes, intervals = _measure_loop(loop, wrk, effort)
        for row in make_rows(discipline, "µs", scale(outcomes, 1e6), _divide_by_bare):
            yield replace(row, target=TARGETS.get(row.contender), note=intervals.get(row.contender, ""))
