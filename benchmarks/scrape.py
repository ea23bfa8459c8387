"""What a scrape does to the event loop that it is served by: processor time, how long it is held, memory, delay.

Every contender is scraped in a process of its own, several times: alone for processor time and memory, and beside a
ticker and small requests for what it does to them. Compression is the server's business for some peers, so they are
not in the rows with gzip; who writes fewer lines than there are children is shown as such, not measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from benchmarks._measure import Effort, Figures, Outcomes
from benchmarks._rows import OURS, THEIRS, Row, Target, rows
from benchmarks._scraping import CONTENDERS, OPENMETRICS

__all__ = ("RATIO", "run")

RATIO = "of processor time: a peer's ÷ ours; of hold, memory and delay: ours ÷ what is allowed"

TEXT = "text/plain;version=0.0.4"
HOLD, MEMORY, DELAY = 0.005, 16e6, 0.002
SCRAPES = 4
LIMIT_SECONDS = 240
# Peers need 20 s and 1.5 GB for a million lines, so one of them will do.
LARGE = 200_000


class Case(NamedTuple):
    """What is scraped: so many children of a kind of metric, in a format, compressed or not."""

    kind: str
    children: int
    accept: str
    gzip: bool

    def __str__(self) -> str:
        format = "OpenMetrics" if self.accept == OPENMETRICS else "text"
        return f"{self.children:,} {self.kind.lower()}s, {format}{', gzip' if self.gzip else ''}"

    def contenders(self) -> list[str]:
        """Return who takes part."""
        if self.children * (15 if self.kind == "Histogram" else 1) > LARGE:
            return [OURS, THEIRS]
        return [who for who in CONTENDERS if not self.gzip or who in {OURS, THEIRS, "OpenTelemetry's exporter"}]


CASES = tuple(
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


def _probe(who: str, case: Case, scrapes: int) -> dict[str, Any] | str:
    order = json.dumps({"who": who, **case._asdict(), "scrapes": scrapes})
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks._scraping", order]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {LIMIT_SECONDS} s"
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"[:100]
    found: dict[str, Any] = json.loads(done.stdout)
    if found["lines"] < case.children:
        return f"writes {found['lines']} lines for {case.children} children"
    return found


class Measure(NamedTuple):
    """A figure of a scrape, in which unit, and what of it is allowed."""

    name: str
    unit: str
    of: Callable[[dict[str, float], dict[str, Any]], float]
    allowed: float | None = None


MEASURES = (
    Measure("processor time a line", "µs", lambda scrape, found: scrape["cpu"] / found["lines"] * 1e6),
    Measure("in all", "s", lambda scrape, _: scrape["seconds"]),
    Measure("longest hold", "ms", lambda scrape, _: scrape["hold"] * 1e3, HOLD * 1e3),
    Measure("hold, 99.9 %", "ms", lambda scrape, _: scrape["hold_999"] * 1e3, HOLD * 1e3),
    Measure("memory", "MB", lambda scrape, _: scrape["memory"] / 1e6, MEMORY / 1e6),
    Measure(
        "delay of a request, 99 %",
        "ms",
        lambda scrape, found: (scrape["request_99"] - found["noise"]["request_99"]) * 1e3,
        DELAY * 1e3,
    ),
)


def _figures(measure: Measure, found: dict[str, Any] | str) -> Figures | str:
    if isinstance(found, str):
        return found
    values = [measure.of(scrape, found) for scrape in found["scrapes"]]
    return Figures(min(values), median(values))


def _outcomes(measure: Measure, found: Mapping[str, dict[str, Any] | str]) -> Outcomes:
    return {who: _figures(measure, result) for who, result in found.items()}


def _ratio(measure: Measure) -> Callable[[Mapping[str, float], str], float | None]:
    def to_us(figures: Mapping[str, float], who: str) -> float | None:
        return figures[who] / figures[OURS] if who != OURS and figures.get(OURS) else None

    def to_allowed(figures: Mapping[str, float], who: str) -> float | None:
        return figures[who] / measure.allowed if measure.allowed else None

    return to_us if measure.allowed is None else to_allowed


def _target(measure: Measure, case: Case) -> Target | None:
    if measure.allowed is not None:
        return Target(OURS, "≤", 1)
    return Target(THEIRS, "≥", 20) if measure.unit == "µs" and not case.gzip else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield the figures of each case."""
    for case in CASES[:3] if effort.quick else CASES:
        small = case._replace(children=effort.size(case.children))
        found = {who: _probe(who, small, 2 if effort.quick else SCRAPES) for who in small.contenders()}
        for measure in MEASURES:
            title = f"{small}: {measure.name}"
            yield from rows(title, measure.unit, _outcomes(measure, found), _ratio(measure), _target(measure, case))
