"""Three workers behind one port: the worker that is scraped answers for all of them, without any setup.

The output shows that several processes answered, and that every scrape returned the same total. No count is lost when a
worker is killed: the next worker continues with its numbers.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from fastapi import FastAPI

from asyncmetrics import Counter, Gauge, instrument

app = instrument(FastAPI())
orders = Counter("orders_total", "Orders taken.")
workers = Gauge("serving_workers", "Workers that have taken an order.", multiprocess_mode="livesum")


@app.post("/orders")
async def order() -> int:
    orders.inc()
    workers.set(1)
    return os.getpid()


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "multi_worker:app", "--workers", "3", "--log-level", "critical"]
    with subprocess.Popen([*command, "--port", str(port)], cwd=Path(__file__).parent) as server:
        try:
            visit(f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


def visit(base: str) -> None:
    pids = {ask("POST", f"{base}/orders").json() for _ in range(60)}
    totals = {read_total(base) for _ in range(10)}
    print(f"several workers answered: {len(pids) > 1}; every scrape returned {totals}")
    os.kill(pids.pop(), signal.SIGKILL)
    print(f"after one was killed: {read_total(base)}")


def read_total(base: str) -> str:
    lines = ask("GET", f"{base}/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("orders_total"))


def ask(method: str, url: str) -> httpx.Response:
    """Send a request on a new connection, which any worker may accept; try again until one does."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return httpx.request(method, url).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
