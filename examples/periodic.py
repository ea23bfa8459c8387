"""A function that runs every 0.1 s, and a loop that beats. The third run takes too long, and the fifth one fails.

The output has one skipped run, one overrun and one exception. The other runs stay at their times.

Run it from the root of a clone::

    pip install -e .
    python examples/periodic.py
"""

import logging

import anyio

from asyncmetrics import REGISTRY, generate_latest
from asyncmetrics.jobs import Heartbeat, Periodic

logging.getLogger("asyncmetrics").setLevel(logging.CRITICAL)  # the failure is not logged here
runs = 0
done = anyio.Event()


async def clean_up() -> None:
    """Clean up: the third time slowly, the fifth time in vain."""
    global runs
    runs += 1
    if runs == 3:
        await anyio.sleep(0.15)
    if runs == 5:
        raise OSError("the disk is full")
    if runs == 6:
        done.set()


async def consume(heartbeat: Heartbeat) -> None:
    """Stand for a loop that waits for messages; it wakes up to beat while there are none."""
    while True:
        heartbeat.beat()
        with anyio.move_on_after(heartbeat.interval / 2):
            await anyio.sleep_forever()


async def main() -> None:
    """Run both until the sixth run."""
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(Periodic("cleanup", clean_up, interval=0.1).run)
        task_group.start_soon(consume, Heartbeat("consumer", interval=0.1))
        await done.wait()
        await anyio.sleep(0.02)
        task_group.cancel_scope.cancel()


anyio.run(main)
lines = generate_latest(REGISTRY).decode().splitlines()
print(*(line for line in lines if line.startswith(("periodic_", "heartbeat_")) and "_bucket" not in line), sep="\n")
