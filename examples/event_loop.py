"""Three reasons to wait without a busy CPU: a function that blocks the event loop, few threads, a full queue.

`check` blocks the event loop, and its name is in the output. `resize` runs in a pool and blocks nothing, but four
workers share its two threads, so they wait for one. The queue has room for two uploads, so its producer waits too.

Run it from the root of a clone::

    pip install -e .
    python examples/event_loop.py
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from asyncmetrics import generate_latest, instrument
from asyncmetrics.runtime import RuntimeMonitor

logging.getLogger("asyncmetrics").setLevel(logging.ERROR)  # a block is logged with its stack; not here
pool = instrument(ThreadPoolExecutor(2), name="pictures")
uploads = instrument(asyncio.Queue[int](maxsize=2), name="uploads")


def resize(upload: int) -> None:
    """Take long, in a thread of the pool."""
    time.sleep(0.1)


def check(upload: int) -> None:
    """Take long, on the event loop: nothing else runs meanwhile."""
    time.sleep(0.5)


async def work() -> None:
    """Work off the queue."""
    while True:
        upload = await uploads.get()
        await asyncio.get_running_loop().run_in_executor(pool, resize, upload)
        if upload == 5:
            check(upload)
        uploads.task_done()


async def main() -> None:
    """Put ten uploads into the queue, and wait until they are done."""
    async with RuntimeMonitor():
        workers = [asyncio.create_task(work()) for _ in range(4)]
        for upload in range(10):
            await uploads.put(upload)
        await uploads.join()
        for worker in workers:
            worker.cancel()


asyncio.run(main())
shown = ("event_loop_b", "event_loop_lag", "thread_pool_wait", "thread_pool_run", "queue_put_wait", "queue_item")
lines = generate_latest().decode().splitlines()
print(*(line for line in lines if line.startswith(shown) and "_bucket" not in line), sep="\n")
