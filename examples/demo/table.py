"""The live table: figures of each route over the last ten seconds, from the shop's /metrics.

It is the table of `asyncmetrics top`: it reads the exposition over HTTP, and computes ``rate()`` and
``histogram_quantile()`` over a window as a Prometheus server does.
"""

import anyio
from rich.console import Console, Group

from asyncmetrics.bridges.scraping import Target
from asyncmetrics.cli.table.rendering import render_overview
from asyncmetrics.cli.top import WINDOW_SECONDS, Window, open_canvas

REFRESH_SECONDS = 1
PLAIN_REFRESH_SECONDS = 10


async def scrape(window: Window) -> Group:
    """Read /metrics in a thread, and return the tables."""
    await anyio.to_thread.run_sync(window.scrape, abandon_on_cancel=True)
    title = f"The last {WINDOW_SECONDS:.0f} seconds, from /metrics"
    return Group(title, render_overview(window.last, window.increase))


async def show_table(base: str, seconds: float, console: Console) -> None:
    """Refresh the table until ``seconds`` are over (infinity: until cancelled), and draw it a last time."""
    window = Window(Target(f"{base}/metrics", timeout=30))
    refresh = REFRESH_SECONDS if console.is_terminal else PLAIN_REFRESH_SECONDS
    with open_canvas(console) as draw:
        await scrape(window)
        with anyio.move_on_after(seconds):
            while True:
                await anyio.sleep(refresh)
                draw(await scrape(window))
        draw(await scrape(window))
