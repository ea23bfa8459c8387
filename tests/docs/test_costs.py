"""The figures of cost on the pages are those of the kept results of the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
OURS, BARE, OTHER = "asyncmetrics", "bare", "OpenTelemetry"
# A page, and the figures on it: the results, the discipline, the contender, and how the page writes the figure.
FIGURES = {
    "clients/httpx.md": [("clients", "httpx, GET", who, "{:.1f} µs") for who in (OURS, BARE, OTHER)],
    "clients/requests.md": [("clients", "requests, GET", who, "{:.1f} µs") for who in (OURS, BARE, OTHER)],
    "clients/sqlalchemy.md": [("clients", "SQLAlchemy over asyncpg, SELECT", who, "{:.1f} µs") for who in (OURS, BARE)],
    "clients/asyncpg.md": [("clients", "asyncpg, SELECT", who, "{:.1f} µs") for who in (OURS, BARE, OTHER)],
    "clients/psycopg.md": [("clients", "psycopg, SELECT", who, "{:.1f} µs") for who in (OURS, BARE, OTHER)],
    "clients/aiosqlite.md": [("clients", "aiosqlite, SELECT", who, "{:.1f} µs") for who in (OURS, BARE)],
    "clients/redis.md": [("clients", "redis, GET", who, "{:.1f} µs") for who in (OURS, BARE, OTHER)],
    "clients/logging.md": [("clients", "logging, a record", who, "{:.1f} µs") for who in (OURS, BARE)],
    "clients/django.md": [("clients", "a call with labels, by CallMetrics", OURS, "{:.1f} µs")],
    "frameworks/starlette.md": [
        ("middleware", discipline, who, "{:.1f} µs")
        for discipline in ("Starlette, 1 route", "Starlette, 100 routes")
        for who in (OURS, "bare app")
    ],
    "frameworks/fastapi.md": [
        ("middleware", "FastAPI, 30 routers", OURS, "{:.1f} µs"),
        ("middleware", "FastAPI, 30 routers", "bare app", "{:.1f} µs"),
        ("runtime", "FastAPI, 30 routers, asyncio", "instrument(app)", "{:.1f} µs"),
        ("runtime", "FastAPI, 30 routers, asyncio", "runtime=True", "{:.1f} µs"),
    ],
    "frameworks/litestar.md": [("middleware", "raw ASGI", OURS, "{:.1f} µs")],
    "frameworks/quart.md": [("middleware", "raw ASGI", OURS, "{:.1f} µs")],
    "frameworks/django.md": [("middleware", "raw ASGI", OURS, "{:.1f} µs")],
    "frameworks/servers.md": [
        ("workers", "shared inc()", OURS, "{:.1f} ns"),
        ("workers", "inc() in memory", OURS, "{:.1f} ns"),
        ("workers", "warm scrape of 4 × 10,000", OURS, "{:.1f} ms"),
        ("workers", "cold scrape of 4 × 10,000", OURS, "{:.1f} ms"),
    ],
    "scaling.md": [
        ("primitives", "counter, 3 labels, after a scrape", OURS, "| {:.0f} B |"),
        ("primitives", "histogram, default buckets, after a scrape", OURS, "| {:.0f} B |"),
        ("primitives", "inc()", OURS, "{:.0f} ns"),
        ("primitives", "labels(a, b).inc()", OURS, "{:.0f} ns"),
        ("primitives", "observe(0.3)", OURS, "{:.0f} ns"),
        ("workers", "warm scrape of 4 × 10,000", OURS, "| 4 × 10,000 counters | {:.1f} ms |"),
        ("workers", "warm scrape of 4 × 100,000", OURS, "| 4 × 100,000 counters | {:.0f} ms |"),
        ("workers", "cold scrape of 4 × 100,000", OURS, "| {:.0f} ms |"),
        ("fleet", "1,000 workers, pull: Prometheus, processor time of a sample", OURS, "instead of {:.1f} µs"),
        ("fleet", "1,000 workers, push: Prometheus, processor time of a sample", OURS, "more: {:.1f} µs a sample"),
        ("fleet", "1,000 workers, push: encoding of a push", OURS, "takes the worker {:.0f} ms"),
        ("fleet", "1,000 workers, pull: series after recording rules", OURS, "become {:,.0f}"),
    ],
}
SERIES = ("10,000 counters", "100,000 counters", "1,000,000 counters", "6,000 histograms", "60,000 histograms")


def _find(results: str, discipline: str, contender: str) -> float:
    rows = json.loads((DOCS / f"benchmarks/{results}.json").read_text(encoding="utf-8"))["rows"]
    (row,) = (row for row in rows if (row["discipline"], row["contender"]) == (discipline, contender))
    return row["figures"]["minimum"]


@pytest.mark.parametrize("page", FIGURES)
def test_the_figures_of_a_page_are_the_measured_ones(page):
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    expected = [written.format(_find(results, what, who)) for results, what, who, written in FIGURES[page]]
    assert [figure for figure in expected if figure not in text] == []


def test_every_page_with_a_section_of_costs_is_checked():
    pages = {
        path.relative_to(DOCS).as_posix() for folder in ("clients", "frameworks") for path in DOCS.glob(f"{folder}/*")
    }
    assert pages - {"clients/index.md"} <= set(FIGURES)


def _make_row(what: str, written: str, ten: float, thousand: float, most: float | None = None) -> str:
    """Return a row of the table of instances; what a hundred thousand make is 100 times what a thousand do."""
    figures = (ten, thousand, 100 * thousand if most is None else most)
    return " | ".join(("", what, *(written.format(figure) for figure in figures), "")).strip()


def _make_fleet_rows() -> list[str]:
    """Return the rows of the table of instances, for a scrape or a push every 15 seconds."""

    def find(what: str) -> list[float]:
        return [_find("fleet", f"{workers:,} workers, {what}", OURS) for workers in (10, 1000)]

    def per_second(figures: list[float]) -> list[float]:
        return [figure / 15 for figure in figures]

    counts, series, recorded = [10.0, 1000.0], find("pull: series"), find("pull: series after recording rules")
    pulled, pushed = find("pull: bytes of a scrape"), find("push: bytes of a push")
    times = find("pull: Prometheus, processor time of a sample")
    processors = [1e-6 * time * samples for time, samples in zip(times, per_second(series), strict=True)]
    memory = [size / 1000 for size in find("pull: Prometheus, memory")]
    of_each = (recorded[1] - recorded[0]) / 990
    return [
        _make_row("series", "{:,.0f}", *series),
        _make_row("scrapes or pushes a second", "{:,.1f}", *per_second(counts)),
        _make_row("samples a second", "{:,.0f}", *per_second(series)),
        _make_row("kB a second, pull", "{:,.0f}", *(n * size / 15e3 for n, size in zip(counts, pulled, strict=True))),
        _make_row("kB a second, push", "{:,.0f}", *(n * size / 15e3 for n, size in zip(counts, pushed, strict=True))),
        _make_row("processors of Prometheus, pull", "{:,.3f}", *processors),
        _make_row("memory of Prometheus, pull, GB", "{:,.1f}", *memory),
        _make_row("series that recording rules make", "{:,.0f}", *recorded, recorded[1] + 99_000 * of_each),
    ]


def test_the_table_of_instances_has_the_measured_figures():
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    assert [row for row in _make_fleet_rows() if row not in page] == []


@pytest.mark.parametrize("series", SERIES)
def test_the_row_of_a_scrape_is_the_measured_one(series):
    total = 1000 * _find("scrape", f"{series}, text: in total", OURS)
    step = _find("scrape", f"{series}, text: longest blocking", OURS)
    memory = _find("scrape", f"{series}, text: memory", OURS)
    row = f"| {series} | {total:.0f} ms | {step:.1f} ms | {memory:.1f} MB |"
    assert row in (DOCS / "scaling.md").read_text(encoding="utf-8")
