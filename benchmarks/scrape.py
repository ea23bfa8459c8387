"""The effect of a scrape on the event loop that serves it: processor time, blocking, memory, delay of requests.

Every contender is scraped several times in its own process: alone for processor time and memory, and beside a ticker
and small requests for the blocking and the delays. Some peers leave compression to the server, so they are not in the
rows with gzip. A contender that writes fewer lines than there are children is shown with that reason, and without
figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from benchmarks._measure import Effort, Figures, Outcomes
from benchmarks._rows import OURS, THEIRS, Row, Target, make_rows
from benchmarks._scraping import CONTENDERS, NATIVE, OPENMETRICS, PROTOBUF

__all__ = ("RATIO", "run")

RATIO = "processor time: a peer's ÷ ours; blocking, memory and delay: ours ÷ the limit"

TEXT = "text/plain;version=0.0.4"
# The limits: seconds of blocking, bytes, seconds of delay.
BLOCKING, MEMORY, DELAY = 0.005, 16e6, 0.002
FORMATS = {TEXT: "text", OPENMETRICS: "OpenMetrics", PROTOBUF: "protobuf"}
SCRAPES = 4
LIMIT_SECONDS = 240
# Lines from which on only one peer is measured: a peer needs 20 s and 1.5 GB for a million lines.
LARGE = 200_000


class Case(NamedTuple):
    """A kind of metric, how many children it has, the format, and whether the response is compressed."""

    kind: str
    children: int
    accept: str
    gzip: bool

    def __str__(self) -> str:
        return f"{self.children:,} {self.kind.lower()}s, {FORMATS[self.accept]}{', gzip' if self.gzip else ''}"

    def list_contenders(self) -> list[str]:
        """Return the contenders of this case."""
        if self.accept == PROTOBUF:  # no peer has it
            return [OURS]
        if self.children * (15 if self.kind == "Histogram" else 1) > LARGE:
            return [OURS, THEIRS]
        return [
            contender
            for contender in CONTENDERS
            if not self.gzip or contender in {OURS, THEIRS, "OpenTelemetry's exporter"}
        ]


_TEXT_CASES = tuple(
    Case(kind, children, accept, gzip)
    for kind, children in (
        ("Counter", 10_000),
        ("Counter", 100_000),
        ("Counter", 1_000_000),
        ("Histogram", 6_000),
        ("Histogram", 60_000),
    )
    for accept, gzip in ((TEXT, False), (TEXT, True), (OPENMETRICS, False))
)
CASES = (
    *_TEXT_CASES,
    Case("Counter", 100_000, PROTOBUF, False),
    Case(NATIVE, 100_000, PROTOBUF, False),
)


def _run_probe(contender: str, case: Case, scrapes: int) -> dict[str, Any] | str:
    order = json.dumps({"contender": contender, **case._asdict(), "scrapes": scrapes})
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks._scraping", order]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT_SECONDS} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"[:100]
    result: dict[str, Any] = json.loads(done.stdout)
    if result["lines"] < case.children:
        return f"writes {result['lines']} lines for {case.children} children"
    return result


class Measure(NamedTuple):
    """A figure of a scrape: its unit, how ``compute`` gets it from a probe's result, and its limit."""

    name: str
    unit: str
    compute: Callable[[dict[str, float], dict[str, Any]], float]
    limit: float | None = None


MEASURES = (
    Measure("processor time per line", "µs", lambda scrape, result: scrape["cpu"] / result["lines"] * 1e6),
    Measure("in total", "s", lambda scrape, _: scrape["seconds"]),
    Measure("longest blocking", "ms", lambda scrape, _: scrape["blocking"] * 1e3, BLOCKING * 1e3),
    Measure("blocking, 99.9 %", "ms", lambda scrape, _: scrape["blocking_999"] * 1e3, BLOCKING * 1e3),
    Measure("memory", "MB", lambda scrape, _: scrape["memory"] / 1e6, MEMORY / 1e6),
    Measure(
        "delay of a request, 99 %",
        "ms",
        lambda scrape, result: (scrape["request_99"] - result["noise"]["request_99"]) * 1e3,
        DELAY * 1e3,
    ),
)


def _compute_figures(measure: Measure, result: dict[str, Any] | str) -> Figures | str:
    if isinstance(result, str):
        return result
    values = [measure.compute(scrape, result) for scrape in result["scrapes"]]
    return Figures(min(values), median(values))


def _compute_outcomes(measure: Measure, results: Mapping[str, dict[str, Any] | str]) -> Outcomes:
    return {contender: _compute_figures(measure, result) for contender, result in results.items()}


def _choose_ratio(measure: Measure) -> Callable[[Mapping[str, float], str], float | None]:
    def divide_by_ours(figures: Mapping[str, float], contender: str) -> float | None:
        return figures[contender] / figures[OURS] if contender != OURS and figures.get(OURS) else None

    def divide_by_limit(figures: Mapping[str, float], contender: str) -> float | None:
        return figures[contender] / measure.limit if measure.limit else None

    return divide_by_ours if measure.limit is None else divide_by_limit


def _choose_target(measure: Measure, case: Case) -> Target | None:
    if measure.limit is not None:
        return Target(OURS, "≤", 1)
    has_peer = not case.gzip and case.accept != PROTOBUF
    return Target(THEIRS, "≥", 20) if measure.unit == "µs" and has_peer else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield the figures of each case."""
    for case in CASES[:3] if effort.quick else CASES:
        small = case._replace(children=effort.size(case.children))
        results = {
            contender: _run_probe(contender, small, 2 if effort.quick else SCRAPES)
            for contender in small.list_contenders()
        }
        for measure in MEASURES:
            outcomes = _compute_outcomes(measure, results)
            ratio, target = _choose_ratio(measure), _choose_target(measure, case)
            yield from make_rows(f"{small}: {measure.name}", measure.unit, outcomes, ratio, target)
