"""A program that pushes its registry: ``python -m tests.servers.push_program KIND URL [SECONDS]``.

It counts an order, prints ``ready`` once it pushes, and lives until it is ended, or for a moment.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import anyio

from asyncmetrics import Counter
from asyncmetrics.bridges import Pusher, PusherThread
from tests.servers.push_receiver import JsonSink

ORDERS = Counter("orders", "Orders.")
TIMEOUT = 1.0  # seconds: a server that does not answer is part of the tests
OPTIONS = {"interval": 0.1, "shutdown_timeout": 2.0}


def report(*words: object) -> None:
    print(*words, flush=True)


async def live(url: str) -> None:
    async with Pusher(JsonSink(url, timeout=TIMEOUT), **OPTIONS):
        await serve()


async def serve() -> None:
    await anyio.sleep(0.2)
    ORDERS.inc()
    report("ready", os.getpid())
    await anyio.sleep_forever()


def run_asyncio(url: str) -> None:
    anyio.run(live, url)


def run_trio(url: str) -> None:
    anyio.run(live, url, backend="trio")


def run_uvloop(url: str) -> None:
    anyio.run(live, url, backend_options={"use_uvloop": True})


def start_thread(url: str) -> None:
    PusherThread(JsonSink(url, timeout=TIMEOUT), **OPTIONS).start()
    ORDERS.inc()
    report("ready", os.getpid())


def run_thread(url: str) -> None:
    start_thread(url)
    time.sleep(600)


def run_lost_signal(url: str) -> None:
    """Sleep as if SIGTERM had come right before: Python's handler in C has noted it, and interrupts no system call."""
    start_thread(url)
    noted = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(noted)
    os.write(noted, bytes([signal.SIGTERM]))
    time.sleep(600)


def run_to_end(url: str) -> None:
    """End as a script ends, without a stop; the interval is too long for another push."""
    PusherThread(JsonSink(url, timeout=TIMEOUT), interval=600).start()
    time.sleep(0.5)
    ORDERS.inc(5)


def run_handler(url: str) -> None:
    """Handle SIGTERM as a server does.

    It wakes often: Python runs a handler between two calls, and a signal right before a sleep waits for its end.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    start_thread(url)
    while True:
        time.sleep(0.05)


def run_fork(url: str) -> None:
    """Fork while a thread pushes: the child counts too, and lives longer."""
    pusher = PusherThread(JsonSink(url, timeout=TIMEOUT), **OPTIONS)
    pusher.start()
    ORDERS.inc()
    time.sleep(0.3)
    child = os.fork()
    ORDERS.inc(10)
    if child:
        report("ready", os.getpid(), child)
    time.sleep(600)


def run_worker(url: str) -> None:
    """Be one of several workers."""
    for _ in range(10):
        ORDERS.inc()
    anyio.run(live, url)


if __name__ == "__main__":
    {name.removeprefix("run_"): run for name, run in globals().items() if name.startswith("run_")}[sys.argv[1]](
        sys.argv[2]
    )
