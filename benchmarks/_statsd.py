"""One probe of benchmarks/statsd.py in its own process: a server of StatsD, and a program that sends to it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import time
from typing import Any, NamedTuple, cast

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer

__all__ = ("Order",)

_TICK_SECONDS = 0.005
_PASSES = 20  # after each tick; the turns of the server begin in one of them
_SLICE_SECONDS = 0.002


class Order(NamedTuple):
    """How many lines are sent, how many a second and in each datagram, whether all are new, and of how many series."""

    lines: int
    rate: int
    lines_in_datagram: int
    is_new: bool
    series: int = 200


def _make_datagrams(order: Order) -> list[bytes]:
    if order.is_new:
        lines = [b"api.requests:1|c|#path:/%d" % number for number in range(order.lines)]
    else:
        known = [b"api.requests:1|c|#path:/%d" % number for number in range(order.series // 2)]
        known += [b"api.latency:12.5|ms|#path:/%d" % number for number in range(order.series // 2)]
        lines = [known[number % order.series] for number in range(order.lines)]
    size = order.lines_in_datagram
    return [b"\n".join(lines[start : start + size]) for start in range(0, len(lines), size)]


def _send(port: int, order: Order) -> None:
    """Send at the rate of the order, in slices: a sleep for each datagram would take longer than it."""
    datagrams = _make_datagrams(order)
    in_slice = max(1, int(order.rate / order.lines_in_datagram * _SLICE_SECONDS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        began = time.perf_counter()
        for number, start in enumerate(range(0, len(datagrams), in_slice)):
            time.sleep(max(0.0, began + number * _SLICE_SECONDS - time.perf_counter()))
            for datagram in datagrams[start : start + in_slice]:
                client.send(datagram)
    print(time.perf_counter() - began)


async def _tick(gaps: list[float]) -> None:
    """Note the processor time of passes of the loop: other programs on the machine do not add to it."""
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        last = time.thread_time()
        for _ in range(_PASSES):
            await asyncio.sleep(0)
            now = time.thread_time()
            gaps.append(now - last)
            last = now


async def _measure(order: Order) -> dict[str, Any]:
    registry, gaps = CollectorRegistry(), cast(list[float], [])
    async with StatsDServer(0, registry=registry, max_children=10**6) as server:
        ticker = asyncio.create_task(_tick(gaps))
        command = [sys.executable, "-m", "benchmarks._statsd", "send", str(server.port), json.dumps(order)]
        sender = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        gc.collect()
        gc.disable()  # as in every benchmark here: a collection holds the loop for as long as the program has objects
        await asyncio.sleep(2 * _TICK_SECONDS)  # the gap of the collection
        started, cpu = len(gaps), time.process_time()
        output, _ = await sender.communicate()
        ticker.cancel()
    cpu = time.process_time() - cpu
    taken = registry.get_sample_value("asyncmetrics_statsd_lines_total", {"outcome": "ok"}) or 0.0
    seconds = float(output)
    return {
        "rate": taken / seconds,
        "loss": 1 - taken / order.lines,
        "hold": max(gaps[started:]),
        "cpu": cpu / max(taken, 1),
    }


def _run(order: Order) -> dict[str, Any]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_measure(order))
    return uvloop.run(_measure(order))


if __name__ == "__main__":
    if sys.argv[1] == "send":
        _send(int(sys.argv[2]), Order(*json.loads(sys.argv[3])))
    else:
        print(json.dumps(_run(Order(*json.loads(sys.argv[1])))))
