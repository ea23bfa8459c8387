"""The lines below the table of requests: the event loop, the queue, its worker, the job and the streams of the shop."""

import math
import time
from collections.abc import Iterator

from rich.table import Table

from examples.demo.snapshot import Counts, Snapshot

BUSY = "event_loop_busy_seconds_total"
LAG = "event_loop_lag_seconds"
BLOCKED = "event_loop_blocked_seconds_total"
QUEUE = "queue_length"
IN_QUEUE = "queue_item_seconds"
HEARTBEAT = "heartbeat_last_timestamp_seconds"
JOB = "periodic_last_success_timestamp_seconds"
STREAMS = "http_server_active_streams"

NOTHING = "·"


def format_milliseconds(seconds: float) -> str:
    """Format a duration, or NaN as a dot."""
    return NOTHING if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"


def format_quantile(counts: Counts, q: float) -> str:
    """Format a quantile as the table of the requests names it."""
    return f"p{q * 100:.0f} {format_milliseconds(counts.estimate_quantile(q))}"


def list_lines(last: Snapshot, increase: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what each line is about, and its figures."""
    seconds = increase.at or 1  # there is one snapshot only: nothing has increased
    if (BUSY,) in last.values:
        lag = format_quantile(increase.counts[LAG,], 0.99)
        yield "event loop", f"{increase.values[BUSY,] / seconds:.0%} busy, lag {lag}"
    for (function,) in last.list_series(BLOCKED):
        if blocked := increase.values[BLOCKED, function]:
            yield "", f"{blocked / seconds:.0%} blocked by {function}"
    for (queue,) in last.list_series(QUEUE):
        times = ", ".join(format_quantile(increase.counts[IN_QUEUE, queue], q) for q in (0.5, 0.95))
        yield f"queue {queue}", f"length {last.values[QUEUE, queue]:.0f}, time in it {times}"
    for (worker,) in last.list_series(HEARTBEAT):
        yield f"heartbeat {worker}", f"last beat {time.time() - last.values[HEARTBEAT, worker]:.1f} s ago"
    for (job,) in last.list_series(JOB):
        yield f"job {job}", f"last success {time.time() - last.values[JOB, job]:.1f} s ago"
    for method, route in last.list_series(STREAMS):
        yield "streams", f"{last.values[STREAMS, method, route]:.0f} open, {method} {route}"


def render_inside(last: Snapshot, increase: Snapshot) -> Table:
    """Return the lines as a table."""
    table = Table(show_header=False)
    for line in list_lines(last, increase):
        table.add_row(*line)
    return table
