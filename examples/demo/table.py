"""The live table: figures of each route over the last ten seconds, from the shop's /metrics.

It reads the exposition over HTTP with asyncmetrics' parser, and computes ``rate()`` and ``histogram_quantile()`` over a
window as a Prometheus server does.
"""

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from asyncmetrics.formats.reading.text import parse_prometheus

WINDOW_SECONDS = 10
REFRESH_SECONDS = 1
PLAIN_REFRESH_SECONDS = 10
REQUESTS = "http_server_request_duration_seconds"
ACTIVE = "http_server_active_requests"

NOTHING = "·"

Series = tuple[str, str]  # method, route


@dataclass
class Counts:
    """The totals of one series: its requests, its failed requests, and the cumulative counts of its buckets."""

    requests: float = 0
    errors: float = 0
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))

    def subtract(self, earlier: "Counts") -> "Counts":
        """Return the counts since ``earlier``."""
        buckets = {bound: count - earlier.buckets.get(bound, 0) for bound, count in self.buckets.items()}
        return Counts(self.requests - earlier.requests, self.errors - earlier.errors, buckets)

    def estimate_quantile(self, q: float) -> float:
        """Estimate a quantile as PromQL's ``histogram_quantile`` does: linearly inside the bucket of the rank."""
        rank = q * self.requests
        for (low, below), (high, upto) in pairwise([(0.0, 0.0), *sorted(self.buckets.items())]):
            if upto >= rank and upto > below:
                return low if high == float("inf") else low + (high - low) * (rank - below) / (upto - below)
        return float("nan")


@dataclass
class Snapshot:
    """One reading of the exposition."""

    at: float
    counts: dict[Series, Counts]
    active: dict[Series, float]


def add(counts: Counts, name: str, labels: Mapping[str, str], value: float) -> None:
    """Add one sample of the duration histogram; the statuses of a route are added up."""
    if name.endswith("_bucket"):
        counts.buckets[float(labels["le"])] += value
    elif name.endswith("_count"):
        counts.requests += value
        counts.errors += value if labels["status"].startswith("5") else 0


def parse(text: str) -> Snapshot:
    """Parse an exposition into a snapshot."""
    snapshot = Snapshot(time.monotonic(), defaultdict(Counts), {})
    for family in parse_prometheus(text):
        for sample in family.samples:
            if family.name == REQUESTS:
                series = sample.labels["method"], sample.labels["route"]
                add(snapshot.counts[series], sample.name, sample.labels, sample.value)
            elif family.name == ACTIVE:
                snapshot.active[sample.labels["method"], sample.labels["route"]] = sample.value
    return snapshot


def format_milliseconds(seconds: float) -> str:
    """Format a duration, or NaN as a dot."""
    return NOTHING if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"


def render(snapshots: deque[Snapshot]) -> Table:
    """Return the table of the oldest and the newest snapshot of the window."""
    table = Table(title=f"The last {WINDOW_SECONDS} seconds, from /metrics", title_justify="left")
    for heading in ("method", "route"):
        table.add_column(heading)
    for heading in ("req/s", "errors", "p50", "p95", "active"):
        table.add_column(heading, justify="right")
    first, last = snapshots[0], snapshots[-1]
    for series in sorted(last.counts.keys() | last.active.keys(), key=lambda key: (key[1], key[0])):
        counts = last.counts.get(series, Counts()).subtract(first.counts.get(series, Counts()))
        table.add_row(*series, *format_figures(counts, last.at - first.at), f"{last.active.get(series, 0):.0f}")
    return table


def format_figures(counts: Counts, seconds: float) -> tuple[str, str, str, str]:
    """Format the rate, the share of errors and two quantiles."""
    rate = counts.requests / seconds if seconds else 0
    errors = f"{counts.errors / counts.requests:.0%}" if counts.requests else NOTHING
    median, high = (format_milliseconds(counts.estimate_quantile(q)) for q in (0.5, 0.95))
    return f"{rate:.1f}", errors, median, high


async def scrape(client: httpx.AsyncClient, window: deque[Snapshot]) -> Table:
    """Read /metrics, drop snapshots older than the window (but keep one to compare with), and return the table."""
    response = await client.get("/metrics")
    window.append(parse(response.text))
    while len(window) > 2 and window[1].at < window[-1].at - WINDOW_SECONDS:
        window.popleft()
    return render(window)


@contextmanager
def open_canvas(console: Console) -> Iterator[Callable[[Table], None]]:
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
