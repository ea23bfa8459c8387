"""Decorators for time, exceptions and calls in progress, on a coroutine and on an async generator.

The histogram's sum includes the time that the coroutine *waits*, about 0.05 s for each of its calls. `CallMetrics`
separates calls that succeeded from calls that failed.

Run it from the root of a clone::

    pip install -e .
    python examples/decorators.py
"""

import anyio

from asyncmetrics import CallMetrics, Counter, Gauge, Histogram, generate_latest

latency = Histogram("fetch_duration_seconds", "Time to fetch a page.", buckets=[0.01, 0.1, 1])
failures = Counter("fetch_failures_total", "Fetches that failed.")
running = Gauge("fetches_in_progress", "Fetches that are running.")
calls = CallMetrics("stream", "Streams that were read.")


@latency.time()
@failures.count_exceptions()
@running.track_inprogress()
async def fetch(page: int) -> int:
    await anyio.sleep(0.05)
    if page == 3:
        raise LookupError(page)
    return page


@calls
async def stream(pages: int):
    for page in range(pages):
        await anyio.sleep(0.01)
        yield page


async def main() -> None:
    for page in range(4):
        try:
            await fetch(page)
        except LookupError as error:
            print(f"no page {error}")
    print("streamed", [page async for page in stream(3)])
    with latency.time() as timer:
        await anyio.sleep(0.02)
    print(f"this block took {timer.duration:.3f} s")
    exposition = generate_latest().decode()
    print(*(line for line in exposition.splitlines() if line.startswith(("fetch", "stream"))), sep="\n")


anyio.run(main)
