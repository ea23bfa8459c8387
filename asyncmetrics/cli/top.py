"""``asyncmetrics top``: a live table of the metrics of any exporter."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli.sources import add_url, make_target
from asyncmetrics.cli.table.routes import SORTS
from asyncmetrics.cli.table.snapshots import Snapshot, read_snapshot
from asyncmetrics.errors import ParseError, ScrapeError, show_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ("DESCRIPTION", "WINDOW_SECONDS", "Window", "add_arguments", "open_canvas", "run")

WINDOW_SECONDS = 10.0
"""Over how many seconds rates and quantiles are computed by default."""

DESCRIPTION = """\
Show the metrics of an exporter as a table that renews itself: requests by route, the event loop, queues, jobs and
clients, and the busiest counters, gauges and histograms. Any exporter in any language will do.

  asyncmetrics top http://127.0.0.1:8000/metrics
  asyncmetrics top --once --interval 5 http://127.0.0.1:9100/metrics | less

Rates, shares and quantiles are those of the last 10 seconds, computed as PromQL's rate() and histogram_quantile().
Nothing is stored. Ctrl-C ends it.

With --once, or if standard output is no terminal, the table is plain text. A server that stops answering is named
above the last table, and asked again. Needs rich: pip install 'asyncmetrics-prometheus[cli]'.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the URL, the options of the table, and those of the request."""
    add_url(parser)
    parser.add_argument(
        "--interval", type=_parse_seconds, default=2.0, metavar="SECONDS", help="scrape so often (default: 2)"
    )
    parser.add_argument("--once", action="store_true", help="scrape twice, one interval apart, print the table and end")
    parser.add_argument("--sort", choices=SORTS, default="rate", help="what routes are sorted by (default: rate)")
    parser.add_argument(
        "--rows", type=_parse_rows, default=10, metavar="N", help="show so many rows of each table (default: 10)"
    )


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ArgumentTypeError(f"expected a number of seconds from 0.1 to 3600, got {text!r}")
    return seconds


def _parse_rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 10_000):
        raise ArgumentTypeError(f"expected a number from 1 to 10000, got {text!r}")
    return int(text)


def run(options: Namespace) -> int:
    """Show the table until Ctrl-C, or once."""
    from asyncmetrics.cli.table.rendering import TableConsole, render_tables

    target = make_target(options.url, options)
    console = TableConsole()
    window = Window(target, max(WINDOW_SECONDS, options.interval))
    window.scrape()

    def render() -> RenderableType:
        return render_tables(window.last, window.increase, sort=options.sort, rows=options.rows)

    if options.once:
        time.sleep(options.interval)
        window.scrape()
        _print_head(console, target, window)
        console.print(render())
        return 0
    _watch(console, target, window, render, options.interval)
    return 0


def _watch(
    console: Console, target: Target, window: Window, render: Callable[[], RenderableType], interval: float
) -> None:
    from rich.console import Group
    from rich.text import Text

    with open_canvas(console) as draw:
        problem = ""
        while True:
            if console.is_terminal or window.increase.at:  # a pipe gets no table without rates
                warning = [Text(show_text(problem), style="bold red")] if problem else []
                draw(Group(Text(_describe(target, window)), *warning, render()))
            time.sleep(interval)
            try:
                window.scrape()
                problem = ""
            except ScrapeError as error:  # the server may come back
                problem = str(error)


def _describe(target: Target, window: Window) -> str:
    seconds = window.increase.at
    return f"{show_text(target.url)}, the last {seconds:.2g} seconds" if seconds else show_text(target.url)


def _print_head(console: Console, target: Target, window: Window) -> None:
    console.print(_describe(target, window), markup=False, soft_wrap=True)


@final
class Window:
    """The snapshots of the last seconds.

    ``last`` is the newest one, and ``increase`` what has changed since the oldest one: nothing, in no time, before the
    second scrape.
    """

    def __init__(self, target: Target, seconds: float = WINDOW_SECONDS) -> None:
        self._target = target
        self._seconds = seconds
        self._snapshots: deque[Snapshot] = deque()
        self.last = self.increase = Snapshot(0.0)

    def scrape(self) -> None:
        """Read the metrics, and drop the snapshots that are too old; one to compare with stays.

        Raises `ScrapeError` if they cannot be read, or are not in their format. The window is unchanged then.
        """
        try:
            families = self._target.scrape().parse()
        except ParseError as error:
            raise ScrapeError(self._target.url, f"the answer is no exposition: {error}") from error
        self.last = read_snapshot(families, time.monotonic())
        self._snapshots.append(self.last)
        while len(self._snapshots) > 2 and self._snapshots[1].at < self.last.at - self._seconds:
            self._snapshots.popleft()
        self.increase = self.last.subtract(self._snapshots[0])


@contextmanager
def open_canvas(console: Console) -> Iterator[Callable[[RenderableType], None]]:
    """Yield a function that draws a table: over the last one on a terminal, below it in a file or a pipe."""
    if not console.is_terminal:

        def write(table: RenderableType) -> None:
            console.print(table)
            sys.stdout.flush()

        yield write
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield lambda table: live.update(table, refresh=True)
