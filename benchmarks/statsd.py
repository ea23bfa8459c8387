"""The server of StatsD: how many lines a second it takes, how many get lost, and how long it holds the loop.

Each case is a process with the server on a loop (uvloop if it is installed), to which another process sends over UDP at
a fixed rate. There is no server of StatsD in Python to compare with, so the ratios are those to our own limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from benchmarks._measure import Effort, Figures, Outcomes
from benchmarks._rows import OURS, Ratio, Row, Target, make_rows
from benchmarks._statsd import Order

__all__ = ("RATIO", "run")

RATIO = "ours ÷ the limit"

ROUNDS = 5
LIMIT_SECONDS = 120
CASES = {
    "known lines, one in a datagram, 100,000/s": Order(200_000, 100_000, 1, is_new=False),
    "known lines, 30 in a datagram, 150,000/s": Order(300_000, 150_000, 30, is_new=False),
    "known lines, 30 in a datagram, 300,000/s": Order(600_000, 300_000, 30, is_new=False),
    "10,000 series in turn, 30 in a datagram, 150,000/s": Order(300_000, 150_000, 30, is_new=False, series=10_000),
    "new lines, 30 in a datagram, 15,000/s": Order(20_000, 15_000, 30, is_new=True),
}


class Measure(NamedTuple):
    """A figure: its unit, its name in a probe's result, the factor to the unit, and its limit in the unit."""

    name: str
    unit: str
    key: str
    factor: float
    limit: float | None = None


MEASURES = (
    Measure("lines taken", "1/s", "rate", 1.0),
    Measure("lines lost", "%", "loss", 100.0),
    Measure("processor time per line", "µs", "cpu", 1e6),
    # The longest pass of the loop, in processor time.
    Measure("longest hold of the loop", "ms", "hold", 1e3, 2.0),
)


def _probe(order: Order) -> dict[str, Any] | str:
    command = [sys.executable, "-m", "benchmarks._statsd", json.dumps(order)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT_SECONDS} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"[:100]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _compute(measure: Measure, results: list[dict[str, Any] | str]) -> Outcomes:
    figures = [result[measure.key] * measure.factor for result in results if not isinstance(result, str)]
    failure = next((result for result in results if isinstance(result, str)), "")
    return {OURS: failure or Figures(min(figures), median(figures))}


def _divide_by(limit: float | None) -> Ratio:
    def divide(figures: Mapping[str, float], contender: str) -> float | None:
        return None if limit is None else figures[contender] / limit

    return divide


def run(effort: Effort) -> Iterator[Row]:
    """Yield the figures of each case."""
    for name, order in CASES.items():
        small = order._replace(lines=effort.size(order.lines))
        results = [_probe(small) for _ in range(1 if effort.quick else ROUNDS)]
        for measure in MEASURES:
            target = Target(OURS, "≤", 1) if measure.limit else None
            yield from make_rows(
                f"{name}: {measure.name}", measure.unit, _compute(measure, results), _divide_by(measure.limit), target
            )
