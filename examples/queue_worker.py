"""A queue worker that serves its metrics from its own event loop, where its async gauge function runs as well.

Run it from the root of a clone::

    pip install -e .
    python examples/queue_worker.py
"""

import asyncio
from urllib.request import urlopen

from asyncmetrics import Counter, Gauge, serve_metrics

done = Counter("worker_jobs_total", "Jobs done.")
waiting = Gauge("worker_waiting_jobs", "Jobs that wait.")


async def work(jobs: asyncio.Queue[str]) -> None:
    """Do the jobs of the queue."""
    while True:
        await jobs.get()
        await asyncio.sleep(0.01)
        done.inc()
        jobs.task_done()


def scrape(port: int) -> str:
    """Read the metrics; in a thread, since it blocks."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        return response.read().decode()


async def main() -> None:
    """Do three jobs, and read the metrics as Prometheus does."""
    jobs: asyncio.Queue[str] = asyncio.Queue()
    lock = asyncio.Lock()  # of this loop

    async def count_waiting() -> int:
        async with lock:
            return jobs.qsize()

    waiting.set_function(count_waiting)
    async with serve_metrics(0) as server:  # a fixed port, such as 9000, for a Prometheus server
        worker = asyncio.create_task(work(jobs))
        for name in ("one", "two", "three"):
            await jobs.put(name)
        await jobs.join()
        text = await asyncio.to_thread(scrape, server.port)
        worker.cancel()
    print(*(line for line in text.splitlines() if line.startswith("worker_")), sep="\n")


asyncio.run(main())
