"""The tables of `asyncmetrics top`, by rich: the requests by route, lines of what is inside, and the busiest series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import NoReturn, final

from asyncmetrics.cli.printing import format_count, format_milliseconds, format_rate, format_share
from asyncmetrics.cli.table.busiest import Row, list_counters, list_distributions, list_gauges
from asyncmetrics.cli.table.inside import list_lines
from asyncmetrics.cli.table.routes import RouteFigures, list_routes, sort_routes
from asyncmetrics.cli.table.snapshots import Snapshot
from asyncmetrics.errors import MissingExtraError, show_text

try:
    from rich.console import Console, Group, RenderableType
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise MissingExtraError("the table", "rich", "cli") from error

__all__ = ("TableConsole", "render_overview", "render_tables")

_LONGEST = 200  # characters of a cell


@final
class TableConsole(Console):
    """Standard output, as rich writes to it. A reader that ends early is a BrokenPipeError, and no exit by rich."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error that rich has caught."""
        raise BrokenPipeError


def render_tables(last: Snapshot, increase: Snapshot, *, sort: str, rows: int) -> Group:
    """Return all tables that have something to show; ``rows`` is the most that each one has."""
    overview, shown = _render_overview(last, increase, sort, rows)
    tables = [
        _render_rows("counters", ("per second",), list_counters(increase, shown, rows)),
        _render_rows("gauges", ("value", "change"), list_gauges(last, increase, shown, rows)),
        _render_rows(
            "histograms and summaries",
            ("per second", "mean", "p50", "p95", "p99"),
            list_distributions(last, increase, shown, rows),
        ),
    ]
    found = [*overview, *(table for table in tables if table.row_count)]
    return Group(*(found or [Text("The exposition has no metrics.")]))


def render_overview(last: Snapshot, increase: Snapshot, *, sort: str = "route") -> Group:
    """Return the table of the requests, and the lines of what is inside."""
    tables, _ = _render_overview(last, increase, sort, None)
    return Group(*tables)


def _render_overview(
    last: Snapshot, increase: Snapshot, sort: str, rows: int | None
) -> tuple[list[RenderableType], set[str]]:
    """Return the tables, and the names of the families that they show."""
    routes, shown = list_routes(last, increase)
    tables: list[RenderableType] = []
    if routes:
        tables.append(_render_routes(sort_routes(routes, sort), rows))
    inside = Table(show_header=False)
    for line in list_lines(last, increase):
        shown |= line.families
        inside.add_row(*_show(line.subject, line.figures))
    if inside.row_count:
        tables.append(inside)
    return tables, shown


def _render_routes(routes: Sequence[RouteFigures], rows: int | None) -> Table:
    has_active = any(not isnan(route.active) for route in routes)
    table = Table()
    for heading in ("method", "route"):
        table.add_column(heading, overflow="fold")
    for heading in ("req/s", "errors", "p50", "p95", "p99", *(["active"] if has_active else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for route in routes[:rows]:
        active = [format_count(route.active)] if has_active else []
        table.add_row(*_show(route.method, route.route, *_format_figures(route), *active))
    if rows is not None and len(routes) > rows:
        table.add_row("", f"… and {len(routes) - rows} more")
    return table


def _format_figures(route: RouteFigures) -> tuple[str, ...]:
    quantiles = (route.estimate(q) for q in (0.5, 0.95, 0.99))
    return format_rate(route.rate), format_share(route.errors), *map(format_milliseconds, quantiles)


def _render_rows(title: str, headings: Iterable[str], rows: Iterable[Row]) -> Table:
    table = Table()
    table.add_column(title, overflow="fold", ratio=2)
    table.add_column("labels", overflow="fold", ratio=3)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_show(row.name, row.labels, *row.figures))
    return table


def _show(*cells: str) -> list[Text]:
    """Return cells whose text is not read as markup, and has no control characters: it comes from a server."""
    return [Text(show_text(cell, _LONGEST)) for cell in cells]
