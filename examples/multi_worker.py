"""Three workers behind one port: the worker that is scraped answers for all of them, without any setup.

Run it from the root of a clone::

    pip install -e ".[fastapi,server]" httpx
    python examples/multi_worker.py

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

try:
    import httpx
    import uvicorn  # noqa: F401  # the server runs it
    from fastapi import FastAPI

    from asyncmetrics import Counter, Gauge, instrument
except ModuleNotFoundError as missing:
    sys.exit(f"""{missing}: run `pip install -e ".[fastapi,server]" httpx` in the root of the clone""")

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
    command = [sys.executable, "-m", "uvicorn", "multi_worker:app", "--app-dir", str(Path(__file__).parent)]
    options = ["--workers", "3", "--port", str(port), "--log-level", "critical"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # the workers import what this program imports
    with subprocess.Popen([*command, *options], env=environment) as server:
        try:
            visit(f"http://127.0.0.1:{port}")
        except httpx.TransportError as error:
            sys.exit(f"no worker answers: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
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
