"""Run the shop, its customers and the table. ``DEMO_SECONDS`` ends it by itself, ``DEMO_PORT`` chooses the port."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import uvicorn
from rich.console import Console

from examples.demo.prometheus import prometheus
from examples.demo.shop import app
from examples.demo.table import show
from examples.demo.traffic import drive

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def own_terminal() -> Iterator[None]:
    """Be the terminal's foreground group, so that Ctrl-C comes to us alone.

    ``make`` would otherwise get it too and report a failure, however well we end. It cannot tell its shell that we
    were suspended, so Ctrl-Z does nothing.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield
        return
    shells = os.tcgetpgrp(terminal)
    if shells != os.getpgrp() or shells == os.getpid():  # in the background, or a shell's own job: no make between
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
def shop(port: int) -> Iterator[str]:
    """Serve the shop from a thread of its own, as another process would be, and give its host:port."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, args=([listener],), name="shop")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def run(base: str, seconds: float | None, console: Console) -> None:
    """Drive the shop and show the table until the time is over or a signal comes."""
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            with anyio.open_signal_receiver(*ENDINGS) as signals:
                await anext(aiter(signals))
                tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        tasks.start_soon(drive, base)
        await show(base, seconds, console)
        tasks.cancel_scope.cancel()


def introduce(console: Console, address: str, graph: str | None) -> None:
    """Say what to open."""
    console.print(f"The shop: http://{address}/docs", soft_wrap=True)
    console.print(f"Its metrics: http://{address}/metrics", soft_wrap=True)
    absent = "no prometheus on the PATH; with one, its graph would be a link here"
    console.print(f"Prometheus: {graph or absent}", soft_wrap=True)
    console.print("Ctrl-C ends everything.\n")


def main() -> None:
    """Set the stage, play, and leave nothing behind."""
    for ending in ENDINGS:
        signal.signal(ending, signal.default_int_handler)
    seconds = os.environ.get("DEMO_SECONDS")
    console = Console()
    port = int(os.environ.get("DEMO_PORT", "0"))
    with suppress(KeyboardInterrupt), own_terminal(), shop(port) as address, prometheus(address) as graph:
        introduce(console, address, graph)
        anyio.run(run, f"http://{address}", float(seconds) if seconds else None, console)


if __name__ == "__main__":
    main()
