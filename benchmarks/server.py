"""The cost of measuring on a real server: requests per second of uvicorn under `wrk`, bare and with each library.

Each contender is its own process with one worker, on uvloop and httptools if they are installed. All of them run from
the first round to the last, and only one at a time gets requests.
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
from typing import Any
from urllib.request import urlopen

from benchmarks._measure import Effort, Figures, Outcomes, Run, describe_problem, run_in_turns
from benchmarks._rows import OURS, Row, make_rows
from benchmarks._services import BARE, INCLUDED, RAW, SERVICES, WRAPPERS, make_service

__all__ = ("MISSING", "RATIO", "run", "run_server", "send_requests", "serve")

RATIO = "requests per second ÷ those of the bare app"

MEASURED = (RAW, INCLUDED)
MISSING = "skipped: wrk is not on the PATH (Debian: apt-get install wrk)"
ROOT = Path(__file__).parents[1]
CONNECTIONS = 16
ROUNDS = 7
ROUND_FACTOR = 700  # a round here takes seconds instead of the milliseconds of an effort
START_SECONDS = 60
COUNT = re.compile(r"^\s*(\d+) requests in ", re.MULTILINE)
RATE = re.compile(r"^Requests/sec:\s+([\d.]+)$", re.MULTILINE)


def serve(app: Any, descriptor: int, loop: str = "auto") -> None:
    """Serve an application from a listening socket until the process is ended."""
    import uvicorn

    # Not uvicorn's fd=, which takes every socket for a Unix socket and leaves out TCP_NODELAY: 40 ms for each request.
    listener = socket.socket(fileno=descriptor)
    # asgi3, because uvicorn takes a middleware that is no coroutine function, as one peer's is, for ASGI 2.
    config = uvicorn.Config(app, interface="asgi3", log_level="critical", access_log=False, loop=loop)
    uvicorn.Server(config).run([listener])


@contextmanager
def run_server(code: str, path: str, loop: str = "auto") -> Iterator[tuple[str, int]]:
    """Serve the ``app`` of a program in its own process; yield its URL and its process id after its first response."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
        program = f"from benchmarks.server import serve\n{code}\nserve(app, {listener.fileno()}, {loop!r})"
        command = [sys.executable, "-c", program]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
    try:
        with urlopen(url, timeout=START_SECONDS) as answer:  # waits in the socket's queue until the server accepts
            answer.read()
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@contextmanager
def _run_contender(discipline: str, contender: str) -> Iterator[str]:
    make_service(discipline, contender)  # raises here, and not in the other process, if a library is missing or broken
    code = f"from benchmarks._services import make_service\napp = make_service({discipline!r}, {contender!r})"
    with run_server(code, SERVICES[discipline].path) as (url, _):
        yield url


def send_requests(wrk: str, url: str, seconds: int) -> tuple[int, float]:
    """Send requests for some seconds; return their number and their rate. Raises `ValueError` for a failed request."""
    command = [wrk, "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, rate = COUNT.search(output), RATE.search(output)
    if count is None or rate is None or "Non-2xx" in output or "Socket errors" in output:
        raise ValueError(f"wrk found errors: {output.splitlines()[-3:]}")
    return int(count[1]), float(rate[1])


def _start_servers(discipline: str, wrk: str, seconds: int, stack: ExitStack) -> dict[str, Run | str]:
    def make_run(url: str) -> Run:
        return lambda _: 1 / send_requests(wrk, url, seconds)[1]

    contenders: dict[str, Run | str] = {}
    for contender in (BARE, *WRAPPERS[discipline]):
        try:
            contenders[contender] = make_run(stack.enter_context(_run_contender(discipline, contender)))
        except Exception as error:  # noqa: BLE001  # a peer that is missing or broken is a result
            contenders[contender] = describe_problem(error)
    return contenders


def _measure_servers(discipline: str, wrk: str, effort: Effort) -> Outcomes:
    seconds = max(1, round(effort.seconds * ROUND_FACTOR))
    with ExitStack() as stack:
        contenders = _start_servers(discipline, wrk, seconds, stack)
        runs = {contender: (run, 1) for contender, run in contenders.items() if not isinstance(run, str)}
        times_of = run_in_turns(runs, min(effort.rounds, ROUNDS))
    figures = {contender: Figures(min(times), median(times)).scale(1e6) for contender, times in times_of.items()}
    return {contender: figures.get(contender, str(contenders[contender])) for contender in contenders}


def _divide_by_bare(figures: Mapping[str, float], contender: str) -> float | None:
    return figures[BARE] / figures[contender] if contender != BARE and BARE in figures else None


def run(effort: Effort) -> Iterator[Row]:
    """Yield the microseconds per request, with the requests per second as a note."""
    wrk = shutil.which("wrk")
    for discipline in MEASURED:
        if wrk is None:
            yield Row(discipline, OURS, "µs", None, None, None, MISSING)
            continue
        for row in make_rows(discipline, "µs", _measure_servers(discipline, wrk, effort), _divide_by_bare):
            rate = f"{1e6 / row.figures.median:,.0f} requests/s" if row.figures else row.note
            yield replace(row, note=rate)
