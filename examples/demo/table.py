"""The live table: figures of each route over the last ten seconds, from the shop's /metrics.

It reads the exposition over HTTP, and computes ``rate()`` and ``histogram_quantile()`` over a window as a Prometheus
server does.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from examples.demo.inside import NOTHING, format_milliseconds, render_inside
from examples.demo.snapshot import Counts, Snapshot, parse

WINDOW_SECONDS = 10
REFRESH_SECONDS = 1
PLAIN_REFRESH_SECONDS = 10
REQUESTS = "http_server_request_duration_seconds"
ACTIVE = "http_server_active_requests"


def render(snapshots: deque[Snapshot]) -> Group:
    """Return the tables of the oldest and the newest snapshot of the window."""
    table = Table(title=f"The last {WINDOW_SECONDS} seconds, from /metrics", title_justify="left")
    for heading in ("method", "route"):
        table.add_column(heading)
    for heading in ("req/s", "errors", "p50", "p95", "active"):
        table.add_column(heading, justify="right")
    last, increase = snapshots[-1], snapshots[-1].subtract(snapshots[0])
    routes = {*last.list_series(REQUESTS), *last.list_series(ACTIVE)}
    for method, route in sorted(routes, key=lambda key: key[::-1]):
        figures = format_figures(increase.counts[REQUESTS, method, route], increase.at)
        table.add_row(method, route, *figures, f"{last.values[ACTIVE, method, route]:.0f}")
    return Group(table, render_inside(last, increase))


def format_figures(counts: Counts, seconds: float) -> tuple[str, str, str, str]:
    """Format the rate, the share of errors and two quantiles."""
    rate = counts.events / seconds if seconds else 0
    errors = f"{counts.errors / counts.events:.0%}" if counts.events else NOTHING
    median, high = (format_milliseconds(counts.estimate_quantile(q)) for q in (0.5, 0.95))
    return f"{rate:.1f}", errors, median, high


async def scrape(client: httpx.AsyncClient, window: deque[Snapshot]) -> Group:
    """Read /metrics, drop snapshots older than the window (but keep one to compare with), and return the table."""
    response = await client.get("/metrics")
    window.append(parse(response.text))
    while len(window) > 2 and window[1].at < window[-1].at - WINDOW_SECONDS:
        window.popleft()
    return render(window)


@contextmanager
def open_canvas(console: Console) -> Iterator[Callable[[Group], None]]:
    """Yield a function that draws a table: over the last one on a terminal, below it in a file or a pipe."""
    if not console.is_terminal:
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


async def show_table(base: str, seconds: float, console: Console) -> None:
    """Refresh the table until ``seconds`` are over (infinity: until cancelled), and draw it a last time."""
    window: deque[Snapshot] = deque()
    refresh = REFRESH_SECONDS if console.is_terminal else PLAIN_REFRESH_SECONDS
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        with open_canvas(console) as draw:
            await scrape(client, window)
            with anyio.move_on_after(seconds):
                while True:
                    await anyio.sleep(refresh)
                    draw(await scrape(client, window))
            draw(await scrape(client, window))
