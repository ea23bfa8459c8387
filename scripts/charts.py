"""The charts and the tables of docs/performance.md: ``python -m scripts.charts [--check]``.

They are made of what ``python -m benchmarks NAMES --json docs/benchmarks/NAME.json`` has kept, and of nothing else.
Bars are the best of many rounds, which has least of the noise of a machine in it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ("CHARTS", "charts", "main", "page", "results")

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
OURS = "asyncmetrics"

Result: TypeAlias = dict[str, Any]
"""One row of a benchmark as it was kept."""

_WIDTH, _MARGIN, _NAMES, _VALUES = 760, 20, 230, 120
_BAR, _STEP, _HEAD, _TITLE = 16, 24, 34, 48
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_OURS, _PEER, _INK, _FAINT = "#2e7d32", "#90a4ae", "#222222", "#d0d0d0"


@dataclass(frozen=True)
class Chart:
    """What a chart shows: rows of one benchmark, by their titles, without contenders that are ``left_out``."""

    title: str
    benchmark: str
    whats: tuple[str, ...]
    left_out: frozenset[str] = frozenset()


CHARTS = {
    "hot-path": Chart(
        "What an instrumented line costs", "hot_path", ("inc()", "child.inc()", "labels(a, b).inc()", "observe(0.3)")
    ),
    "decorators": Chart(
        "A call of a decorated coroutine that does nothing", "decorators", ("@h.time() on a coroutine",)
    ),
    "middleware": Chart(
        "What measuring adds to a request",
        "middleware",
        ("raw ASGI", "Starlette, 1 route", "Starlette, 100 routes", "FastAPI, 30 routers"),
        frozenset({"bare app"}),
    ),
    "scrape": Chart(
        "How long a scrape of 100,000 counters holds the event loop, at its worst moment",
        "scrape",
        ("100,000 counters, text: longest hold",),
        # Its SDK keeps 2,000 sets of attributes unless told otherwise, so it has less to write.
        frozenset({"OpenTelemetry's exporter"}),
    ),
    "render": Chart(
        "Processor time of an exposition, a line",
        "render",
        ("100,000 × Counter, text", "100,000 × Counter, OpenMetrics"),  # noqa: RUF001  # the benchmark's own words
    ),
    "memory": Chart(
        "Memory of one child, after a scrape",
        "memory",
        ("counter, 3 labels, after a scrape", "histogram, default buckets, after a scrape"),
    ),
}


def results() -> list[Result]:
    """Return the rows of every run that was kept."""
    runs = (json.loads(path.read_text(encoding="utf-8")) for path in sorted((DOCS / "benchmarks").glob("*.json")))
    return [row for run in runs for row in run["rows"]]


def charts() -> dict[str, str]:
    """Return each chart as SVG, by the name of its file."""
    found = results()
    return {f"{name}.svg": _svg(chart, list(_panels(chart, found))) for name, chart in CHARTS.items()}


def _panels(chart: Chart, found: Iterable[Result]) -> Iterator[tuple[str, list[Result]]]:
    mine = [row for row in found if row["benchmark"] == chart.benchmark and row["who"] not in chart.left_out]
    for what in chart.whats:
        rows = [row for row in mine if row["what"] == what]
        if not rows:
            raise LookupError(f"no row of {chart.benchmark} is called {what!r}: was the benchmark changed?")
        yield what, rows


def _svg(chart: Chart, panels: list[tuple[str, list[Result]]]) -> str:
    lines: list[str] = []
    y = _TITLE
    for what, rows in panels:
        lines += _panel(what, rows, y)
        y += _HEAD + _STEP * len(rows)
    height = y + _MARGIN
    size = f'width="{_WIDTH}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {size} role="img" {_FONT}>',
        f"<title>{escape(chart.title)}</title>",
        f"<desc>{escape(_description(panels))}</desc>",
        f'<rect {size} rx="8" fill="#ffffff" stroke="{_FAINT}"/>',
        _text(_MARGIN, 30, chart.title, ' font-size="16" font-weight="bold"'),
        *lines,
        "</svg>",
    ]
    return "\n".join([*drawn, ""])


def _panel(what: str, rows: list[Result], y: int) -> Iterator[str]:
    yield _text(_MARGIN, y + 20, f"{what} ({rows[0]['unit']}, less is better)", ' font-weight="bold"')
    most = max((row["figures"]["minimum"] for row in rows if row["figures"]), default=1.0)
    for index, row in enumerate(rows):
        yield from _bar(row, most, y + _HEAD + index * _STEP)


def _bar(row: Result, most: float, y: int) -> Iterator[str]:
    left = _MARGIN + _NAMES
    yield _text(left - 8, y + 13, row["who"], ' text-anchor="end"')
    if row["figures"] is None:
        yield _text(left, y + 13, "failed" if row["note"].startswith("failed") else row["note"])
        return
    value = row["figures"]["minimum"]
    width = max((_WIDTH - _MARGIN - _VALUES - left) * value / most, 1)
    colour = _OURS if row["who"] == OURS else _PEER
    yield f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>'
    yield _text(left + width + 6, y + 13, _value(row))


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}"{attributes}>{escape(text)}</text>'


def _value(row: Result) -> str:
    return f"{_number(row['figures']['minimum'])} {row['unit'].partition(' ')[0]}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _description(panels: Iterable[tuple[str, list[Result]]]) -> str:
    return " ".join(f"{what}: {', '.join(_said(rows))}." for what, rows in panels)


def _said(rows: Iterable[Result]) -> Iterator[str]:
    return (f"{row['who']} {_value(row)}" for row in rows if row["figures"])


def _targets(found: Iterable[Result]) -> Iterator[str]:
    yield "| benchmark | what | target | measured | |"
    yield "|---|---|---|---|---|"
    for row in found:
        if row["target"] and row["ratios"]:
            target = f"{row['target']['sign']} {row['target']['bound']:g}"
            verdict = "met" if row["met"] else "**not met**"
            yield f"| {row['benchmark']} | {row['what']} | {target} | {row['ratios']['minimum']:.2f} | {verdict} |"


def _meanings(found: Iterable[Result]) -> Iterator[str]:
    for benchmark, meaning in {row["benchmark"]: row["ratio"] for row in found}.items():
        yield f"- {benchmark}: {meaning}"


def _failures(found: Iterable[Result]) -> Iterator[str]:
    for row in found:
        if row["figures"] is None:
            yield f"- {row['benchmark']}, {row['what']}, {row['who']}: `{row['note']}`"


_PARTS: dict[str, Callable[[list[Result]], Iterator[str]]] = {
    "targets": _targets,
    "meanings": _meanings,
    "failures": _failures,
}


def page(text: str) -> str:
    """Return ``text`` with its marked parts made anew."""
    found = results()
    for name, lines in _PARTS.items():
        begin, end = f"<!-- {name}: made by python -m scripts.charts -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, mark, after = rest.partition(end)
        if not mark:
            raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
        text = "\n".join([before + begin, "", *lines(found), "", end + after])
    return text


def main(arguments: list[str]) -> int:
    """Write or check the charts and the page, tell which are stale, and return the exit status."""
    made = {DOCS / "images" / name: svg for name, svg in charts().items()}
    made[PAGE] = page(PAGE.read_text(encoding="utf-8"))
    stale = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.name} is stale: run make charts")
        else:
            path.write_text(made[path], encoding="utf-8")
            print(f"{path.name} made")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
