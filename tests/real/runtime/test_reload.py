"""Servers that develop: ``uvicorn --reload`` replaces a process whose event loop is measured, and then ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from asyncmetrics.formats.reading.text import parse_prometheus
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import ROOT, find_free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAM = """
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from asyncmetrics import Gauge, instrument

Gauge("program_version", "The version.").set({version})


async def item(_):
    return PlainTextResponse(str(os.getpid()))


app = instrument(Starlette(routes=[Route("/item", item)]), runtime=True)
"""
LAGS = "event_loop_lag_seconds_count"
ANSWERS = "http_server_request_duration_seconds_count"
BEATS = 3
RELOADING = "Reloading..."  # uvicorn logs it as a warning
LOOK_SECONDS = 2  # after which the program is written once more
SECOND = 22  # a version whose program is longer, so that Python never takes the compiled one of the first


class Server:
    """One running uvicorn, its program and its log."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = find_free_port()
        self._log = folder / "log"
        self.write(1)
        command = [sys.executable, "-m", "uvicorn", "program:app", "--port", str(self.port), *options]
        settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                command, env=settings, cwd=folder, stdout=output, stderr=output, start_new_session=True
            )

    def write(self, version: int) -> None:
        """Write the program at one moment: a reloader never reads a half of it."""
        path = self.folder / "program.txt"
        path.write_text(PROGRAM.format(version=version))
        path.replace(self.folder / "program.py")

    def reload(self, version: int) -> None:
        """Write another version until the reloader has seen it: it looks at the times only when it has started."""

        def is_seen() -> bool:
            self.write(version)
            with suppress(AssertionError):
                wait_until(lambda: RELOADING in self.read_log(), seconds=LOOK_SECONDS)
            return RELOADING in self.read_log()

        wait_until(is_seen)

    def get(self, path: str) -> str | None:
        """Return the body of a response, or None while no process answers."""
        assert self.process.poll() is None, self.read_log()
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}{path}").raise_for_status().text
        return None

    def scrape(self) -> dict[str, float]:
        """Return the samples by their names, each name added up."""
        found: dict[str, float] = {}
        for family in parse_prometheus(self.get("/metrics") or ""):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0) + sample.value
        return found

    def wait_for_version(self, version: int) -> dict[str, float]:
        """Wait until the loop of a version is measured, and return its scrape."""
        return wait_until(
            self.scrape, lambda found: found.get("program_version") == version and found.get(LAGS, 0) >= BEATS
        )

    def is_gone(self) -> bool:
        """Return whether no process of the server is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def read_log(self) -> str:
        """Return what all processes of the server have logged."""
        return self._log.read_text()

    def find_faults(self) -> list[str]:
        """Return the lines of the log that name an error, a warning or a traceback, apart from that of the reloader."""
        lines = [line for line in self.read_log().splitlines() if RELOADING not in line]
        return [line for line in lines if re.search("traceback|error|warning|exception|killed", line, re.IGNORECASE)]


@contextmanager
def run_uvicorn(folder: Path, *options: str) -> Iterator[Server]:
    """Run a server until the block ends; kill what is left then."""
    server = Server(folder, *options)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Server]]:
    """Start a server: ``server = start("--reload")``."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(run_uvicorn(tmp_path, *options))


@pytest.fixture
def reloaded(start) -> Server:
    """A server that has counted one request, and has reloaded its program since."""
    server = start("--reload")
    server.wait_for_version(1)
    server.get("/item")
    assert server.scrape()[ANSWERS] == 1
    server.reload(SECOND)
    return server


def press_ctrl_c(server: Server) -> None:
    """Send SIGINT as a terminal does: to all processes."""
    os.killpg(server.process.pid, signal.SIGINT)


def terminate(server: Server) -> None:
    """Send SIGTERM as a supervisor does: to the first process."""
    server.process.terminate()


@pytest.fixture(params=[press_ctrl_c, terminate])
def end(request) -> Callable[[Server], None]:
    """Both ways to end a server in turn: until no process of it is left."""

    def end(server: Server) -> None:
        request.param(server)
        server.process.wait(PATIENCE_SECONDS)
        wait_until(server.is_gone)

    return end


def test_metrics_are_those_of_the_new_process_after_a_reload(reloaded):
    assert ANSWERS not in reloaded.wait_for_version(SECOND)


def test_a_server_that_has_reloaded_ends_without_an_error(reloaded, end):
    reloaded.wait_for_version(SECOND)
    end(reloaded)
    assert reloaded.find_faults() == []


def test_the_first_request_starts_the_monitor_where_there_is_no_lifespan(start):
    server = start("--lifespan", "off")
    wait_until(lambda: server.get("/item"))
    assert server.wait_for_version(1)[ANSWERS] >= 1


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_a_server_ends_without_an_error(start, end, lifespan):
    """After Ctrl-C, Python also waits for all threads; uvicorn ends by the signal itself after SIGTERM."""
    server = start("--lifespan", lifespan)
    server.wait_for_version(1)
    end(server)
    assert server.find_faults() == []
