"""The charts and the tables of docs/performance.md: ``python -m scripts.charts [--check]``.

Their only source are the results that ``python -m benchmarks NAMES --json docs/benchmarks/NAME.json`` has written.
A bar is the best of many rounds, because that one has the least noise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ("CHARTS", "Chart", "draw_charts", "main", "read_results", "update_page")

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
OURS = "asyncmetrics"

Result: TypeAlias = dict[str, Any]
"""One row of a benchmark, as ``benchmarks._rows.to_json`` returns it."""

_WIDTH, _MARGIN, _NAMES, _VALUES = 760, 20, 230, 120
_BAR, _STEP, _HEAD, _TITLE = 16, 24, 34, 48
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_OURS, _PEER, _INK, _FAINT = "#2e7d32", "#90a4ae", "#222222", "#d0d0d0"


@dataclass(frozen=True)
class Chart:
    """The disciplines of one benchmark that a chart shows, without the contenders that are ``left_out``."""

    title: str
    benchmark: str
    disciplines: tuple[str, ...]
    left_out: frozenset[str] = frozenset()


CHARTS = {
    "hot-path": Chart(
        "Cost of an instrumented line", "hot_path", ("inc()", "child.inc()", "labels(a, b).inc()", "observe(0.3)")
    ),
    "decorators": Chart(
        "A call of a decorated coroutine that does nothing", "decorators", ("@h.time() on a coroutine",)
    ),
    "middleware": Chart(
        "Time that measuring adds to a request",
        "middleware",
        ("raw ASGI", "Starlette, 1 route", "Starlette, 100 routes", "FastAPI, 30 routers"),
        frozenset({"bare app"}),
    ),
    "clients": Chart(
        "Processor time that measuring adds to a call of a client",
        "clients",
        ("httpx, GET", "requests, GET", "SQLAlchemy over asyncpg, SELECT", "asyncpg, SELECT", "redis, GET"),
        frozenset({"bare"}),
    ),
    "runtime": Chart(
        "Processor time of a request of FastAPI on uvicorn",
        "runtime",
        ("FastAPI, 30 routers, asyncio", "FastAPI, 30 routers, uvloop"),
    ),
    "scrape": Chart(
        "Longest time for which a scrape of 100,000 counters blocks the event loop",
        "scrape",
        ("100,000 counters, text: longest blocking",),
        # Its SDK keeps only 2,000 sets of attributes by default, so it writes less.
        frozenset({"OpenTelemetry's exporter"}),
    ),
    "render": Chart(
        "Processor time of an exposition, for each line",
        "render",
        ("100,000 × Counter, text", "100,000 × Counter, OpenMetrics"),  # noqa: RUF001  # as the benchmark names them
    ),
    "push": Chart(
        "Processor time of a push by remote write, for each series",
        "push",
        ("100,000 series of a counter", "99,994 series of a histogram"),
    ),
    "push-otlp": Chart(
        "Processor time of a push by OTLP, for each series",
        "push_otlp",
        ("100,000 × Counter, push", "10,000 × Histogram, push"),  # noqa: RUF001  # as the benchmark names them
    ),
    "memory": Chart(
        "Memory of one child, after a scrape",
        "memory",
        ("counter, 3 labels, after a scrape", "histogram, default buckets, after a scrape"),
    ),
}


def read_results() -> list[Result]:
    """Return the rows of every run in docs/benchmarks."""
    runs = (json.loads(path.read_text(encoding="utf-8")) for path in sorted((DOCS / "benchmarks").glob("*.json")))
    return [row for run in runs for row in run["rows"]]


def draw_charts() -> dict[str, str]:
    """Return each chart as SVG, by the name of its file."""
    results = read_results()
    return {f"{name}.svg": _draw_chart(chart, list(_select_panels(chart, results))) for name, chart in CHARTS.items()}


def _select_panels(chart: Chart, results: Iterable[Result]) -> Iterator[tuple[str, list[Result]]]:
    """Yield the disciplines of a chart with their rows."""
    shown = [row for row in results if row["benchmark"] == chart.benchmark and row["contender"] not in chart.left_out]
    for discipline in chart.disciplines:
        rows = [row for row in shown if row["discipline"] == discipline]
        if not rows:
            raise LookupError(f"{chart.benchmark} has no discipline {discipline!r}: was the benchmark changed?")
        yield discipline, rows


def _draw_chart(chart: Chart, panels: list[tuple[str, list[Result]]]) -> str:
    lines: list[str] = []
    y = _TITLE
    for discipline, rows in panels:
        lines += _draw_panel(discipline, rows, y)
        y += _HEAD + _STEP * len(rows)
    height = y + _MARGIN
    size = f'width="{_WIDTH}" height="{height}"'
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {size} role="img" {_FONT}>',
        f"<title>{escape(chart.title)}</title>",
        f"<desc>{escape(_describe(panels))}</desc>",
        f'<rect {size} rx="8" fill="#ffffff" stroke="{_FAINT}"/>',
        _draw_text(_MARGIN, 30, chart.title, ' font-size="16" font-weight="bold"'),
        *lines,
        "</svg>",
    ]
    return "\n".join([*elements, ""])


def _draw_panel(discipline: str, rows: list[Result], y: int) -> Iterator[str]:
    yield _draw_text(_MARGIN, y + 20, f"{discipline} ({rows[0]['unit']}, less is better)", ' font-weight="bold"')
    largest = max((row["figures"]["minimum"] for row in rows if row["figures"]), default=1.0)
    for index, row in enumerate(rows):
        yield from _draw_bar(row, largest, y + _HEAD + index * _STEP)


def _draw_bar(row: Result, largest: float, y: int) -> Iterator[str]:
    left = _MARGIN + _NAMES
    yield _draw_text(left - 8, y + 13, row["contender"], ' text-anchor="end"')
    if row["figures"] is None:
        yield _draw_text(left, y + 13, "failed" if row["note"].startswith("failed") else row["note"])
        return
    value = row["figures"]["minimum"]
    width = max((_WIDTH - _MARGIN - _VALUES - left) * value / largest, 1)
    colour = _OURS if row["contender"] == OURS else _PEER
    yield f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>'
    yield _draw_text(left + width + 6, y + 13, _format_value(row))


def _draw_text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}"{attributes}>{escape(text)}</text>'


def _format_value(row: Result) -> str:
    return f"{_format_number(row['figures']['minimum'])} {row['unit'].partition(' ')[0]}"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _describe(panels: Iterable[tuple[str, list[Result]]]) -> str:
    return " ".join(f"{discipline}: {', '.join(_describe_rows(rows))}." for discipline, rows in panels)


def _describe_rows(rows: Iterable[Result]) -> Iterator[str]:
    return (f"{row['contender']} {_format_value(row)}" for row in rows if row["figures"])


def _format_targets(results: Iterable[Result]) -> Iterator[str]:
    yield "| benchmark | discipline | target | measured | result |"
    yield "|---|---|---|---|---|"
    for row in results:
        if row["target"] and row["ratios"]:
            target = f"{row['target']['sign']} {row['target']['bound']:g}"
            verdict = "met" if row["met"] else "**not met**"
            measured = f"{row['ratios']['minimum']:.2f}"
            yield f"| {row['benchmark']} | {row['discipline']} | {target} | {measured} | {verdict} |"


def _format_meanings(results: Iterable[Result]) -> Iterator[str]:
    for benchmark, meaning in {row["benchmark"]: row["ratio"] for row in results}.items():
        yield f"- {benchmark}: {meaning}"


def _format_failures(results: Iterable[Result]) -> Iterator[str]:
    for row in results:
        if row["figures"] is None:
            yield f"- {row['benchmark']}, {row['discipline']}, {row['contender']}: `{row['note']}`"


_PARTS: dict[str, Callable[[list[Result]], Iterator[str]]] = {
    "targets": _format_targets,
    "meanings": _format_meanings,
    "failures": _format_failures,
}


def update_page(text: str) -> str:
    """Return ``text`` with new content between its marks."""
    results = read_results()
    for name, format_part in _PARTS.items():
        begin, end = f"<!-- {name}: made by python -m scripts.charts -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
        text = "\n".join([before + begin, "", *format_part(results), "", end + after])
    return text


def main(arguments: list[str]) -> int:
    """Write or check the charts and the page, print the names of those that change, and return the exit status."""
    texts = {DOCS / "images" / name: svg for name, svg in draw_charts().items()}
    texts[PAGE] = update_page(PAGE.read_text(encoding="utf-8"))
    outdated = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in outdated:
        if "--check" in arguments:
            print(f"{path.name} is out of date: run make charts")
        else:
            path.write_text(texts[path], encoding="utf-8")
            print(f"{path.name} written")
    return int("--check" in arguments and bool(outdated))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
