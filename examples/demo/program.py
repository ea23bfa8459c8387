"""Run the shop, its customers and the table. ``DEMO_SECONDS`` limits the time, ``DEMO_PORT`` sets the port."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import uvicorn
from fastapi import FastAPI
from rich.console import Console

from asyncmetrics.cli.table.rendering import TableConsole
from examples.demo import bank, shop
from examples.demo.prometheus import run_prometheus
from examples.demo.settings import read_port, read_seconds
from examples.demo.table import show_table
from examples.demo.traffic import run_customers

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def take_terminal() -> Iterator[None]:
    """Become the terminal's foreground process group, so that Ctrl-C reaches only this program.

    Otherwise ``make`` gets it too and reports a failure, even if this program ends well. ``make`` cannot tell its shell
    that this program was suspended, so Ctrl-Z is ignored.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield
        return
    shells = os.tcgetpgrp(terminal)
    if shells != os.getpgrp() or shells == os.getpid():  # in the background, or started by the shell without make
        yield
        return
    for stop in (signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(stop, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, shells)


@contextmanager
def serve(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve the shop or the bank from its own thread and yield its host:port."""
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        sys.exit(f"DEMO_PORT={port}: the shop cannot listen there: {error.strerror}")
    # uvloop, which uvicorn takes if it is there, does not say how busy it is.
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name=app.title)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def run(address: str, seconds: float, console: Console) -> None:
    """Run the customers and show the table until the time is over or a signal arrives."""
    async with anyio.create_task_group() as tasks:

        async def end_at_signal() -> None:
            with anyio.open_signal_receiver(*ENDINGS) as signals:
                await anext(aiter(signals))
                tasks.cancel_scope.cancel()

        tasks.start_soon(end_at_signal)
        tasks.start_soon(run_customers, address)
        with suppress(BrokenPipeError):  # nobody reads any more: end, as after the last second
            await show_table(f"http://{address}", seconds, console)
        tasks.cancel_scope.cancel()


def print_addresses(console: Console, address: str, graph: str | None) -> None:
    """Print the addresses to open in a browser."""
    console.print(f"The shop: http://{address}/docs", soft_wrap=True)
    console.print(f"Its metrics: http://{address}/metrics", soft_wrap=True)
    console.print(f"Its live page: http://{address}/metrics/live", soft_wrap=True)
    absent = "there is no prometheus on the PATH; with one, a link to its graph would be here"
    console.print(f"Prometheus: {graph or absent}", soft_wrap=True)
    console.print("Ctrl-C ends everything.\n")


def main() -> None:
    """Run the demo, and end everything that it started."""
    for ending in ENDINGS:
        signal.signal(ending, signal.default_int_handler)
    # The table names the function that blocks; the log line with its stack would be printed into it.
    logging.getLogger("asyncmetrics").setLevel(logging.ERROR)
    seconds, port = read_seconds(), read_port()
    console = TableConsole()
    with suppress(KeyboardInterrupt), take_terminal(), serve(bank.app) as bank_address:
        shop.app.state.bank = f"http://{bank_address}"
        with serve(shop.app, port) as address, run_prometheus(address) as graph:
            print_addresses(console, address, graph)
            anyio.run(run, address, seconds, console)
