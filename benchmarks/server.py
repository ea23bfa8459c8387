"""What measuring costs a real server: requests per second of uvicorn under `wrk`, bare and measured by each library.

Each contender is a process of its own with one worker, on uvloop and httptools where they are installed. All are up
from the first round to the last, and only one of them has requests at a time.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from benchmarks._measure import Effort, Figures, Outcomes, Run, problem, run_in_turns
from benchmarks._rows import OURS, Row, rows
from benchmarks._services import BARE, INCLUDED, RAW, SERVICES, WRAPPERS, serving

__all__ = ("RATIO", "run", "serve")

RATIO = "requests per second ÷ those of the bare app"

MEASURED_KEY = (RAW, INCLUDED)
MISSING = "skipped: wrk is not on the PATH (Debian: apt-get install wrk)"
ROOT = Path(__file__).parents[1]
CONNECTIONS = 16
ROUNDS = 7
ROUND_SECONDS = 700  # times the seconds of an effort: a round here is of seconds, not of milliseconds
START_SECONDS = 60
RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)


def serve(what: str, who: str, descriptor: int) -> None:
    """Serve one contender from a listening socket until the process is ended."""
    import uvicorn

    # Not uvicorn's fd=, which takes every socket for one of Unix and leaves TCP_NODELAY out: 40 ms a request.
    listener = socket.socket(fileno=descriptor)
    # One peer's middleware is no coroutine function, from which uvicorn would conclude that it speaks ASGI 2.
    config = uvicorn.Config(serving(what, who), interface="asgi3", log_level="critical", access_log=False)
    uvicorn.Server(config).run([listener])


@contextmanager
def _server(what: str, who: str) -> Iterator[str]:
    """Run a server in a process of its own and give its URL, once it has answered."""
    serving(what, who)  # what is missing or broken is told here, and not in another process
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{SERVICES[what].path}"
        code = f"from benchmarks.server import serve; serve({what!r}, {who!r}, {listener.fileno()})"
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
    try:
        with urlopen(url, timeout=START_SECONDS) as answer:  # waits in the socket's queue until the server accepts
            answer.read()
        yield url
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _seconds_per_request(wrk: str, url: str, seconds: int) -> float:
    command = [wrk, "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = RATE.search(printed)
    if rate is None or "Non-2xx" in printed or "Socket errors" in printed:
        raise ValueError(f"wrk found errors: {printed.splitlines()[-3:]}")
    return 1 / float(rate[1])


def _start(what: str, wrk: str, seconds: int, stack: ExitStack) -> dict[str, Run | str]:
    def run(url: str) -> Run:
        return lambda _: _seconds_per_request(wrk, url, seconds)

    started: dict[str, Run | str] = {}
    for who in (BARE, *WRAPPERS[what]):
        try:
            started[who] = run(stack.enter_context(_server(what, who)))
        except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
            started[who] = problem(error)
    return started


def _measured(what: str, wrk: str, effort: Effort) -> Outcomes:
    seconds = max(1, round(effort.seconds * ROUND_SECONDS))
    with ExitStack() as stack:
        started = _start(what, wrk, seconds, stack)
        runs = {who: (run, 1) for who, run in started.items() if not isinstance(run, str)}
        taken = run_in_turns(runs, min(effort.rounds, ROUNDS))
    figures = {who: Figures(min(times), median(times)).scaled(1e6) for who, times in taken.items()}
    return {who: figures.get(who, str(started[who])) for who in started}


def _kept(figures: Mapping[str, float], who: str) -> float | None:
    return figures[BARE] / figures[who] if who != BARE and BARE in figures else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield the microseconds per request, with the requests per second as a note."""
    wrk = shutil.which("wrk")
    for what in MEASURED_KEY:
        if wrk is None:
            yield Row(what, OURS, "µs", None, None, None, MISSING)
            continue
        for row in rows(what, "µs", _measured(what, wrk, effort), _kept):
            rate = f"{1e6 / row.figures.median:,.0f} requests/s" if row.figures else row.note
            yield replace(row, note=rate)
