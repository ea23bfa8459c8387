"""Servers with several worker processes, all of which serve `worker_app`."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asyncmetrics.formats.reading.text import parse_prometheus
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import find_free_port, run_server
from tests.servers.requirements import require_packages

__all__ = ("LAUNCHERS", "RECYCLING", "SERVERS", "Workers", "run_workers")

HERE = Path(__file__).parent
# Its workers run uvloop, as nothing names their loop, and those of uvicorn run asyncio.
GUNICORN = (
    "gunicorn worker_app:app -w {workers} -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} --log-level critical "
    f"--timeout {PATIENCE_SECONDS}"  # after which it kills a worker that is silent
)

GUNICORN_WSGI = GUNICORN.replace("worker_app", "worker_wsgi_app").replace("-k uvicorn_worker.UvicornWorker ", "")

# The packages that each server needs, the command that starts it, and what may end its workers. hypercorn's supervisor
# gives up when a worker is killed: so the signal goes to the supervisor, which replaces them all.
SERVERS: dict[str, tuple[list[str], str, tuple[int, ...]]] = {
    "uvicorn": (
        ["uvicorn"],
        "uvicorn worker_app:app --workers {workers} --port {port} --loop asyncio --log-level critical --no-access-log",
        (signal.SIGKILL, signal.SIGTERM),
    ),
    "gunicorn": (["gunicorn", "uvicorn_worker"], GUNICORN, (signal.SIGKILL, signal.SIGTERM)),
    "gunicorn-preload": (
        ["gunicorn", "uvicorn_worker"],
        f"{GUNICORN} --preload",
        (signal.SIGKILL, signal.SIGTERM),
    ),
    "hypercorn": (
        ["hypercorn"],
        "hypercorn worker_app:app -w {workers} --bind 127.0.0.1:{port} --log-level CRITICAL --graceful-timeout 1",
        (signal.SIGHUP,),
    ),
    "granian": (
        ["granian"],
        "granian worker_app:app --interface asgi --workers {workers} --no-log --port {port} --respawn-failed-workers",
        (signal.SIGKILL,),
    ),
}
# Other ways to start the same servers: some create the metrics before there is a supervisor, or start no event loop.
LAUNCHERS: dict[str, tuple[list[str], str, tuple[int, ...]]] = {
    "gunicorn-sync": (["gunicorn"], GUNICORN_WSGI, (signal.SIGKILL, signal.SIGTERM)),
    "gunicorn-gthread-preload": (
        ["gunicorn"],
        f"{GUNICORN_WSGI} -k gthread --threads 4 --preload",
        (signal.SIGKILL, signal.SIGTERM),
    ),
    "gunicorn-gevent": (["gunicorn", "gevent"], f"{GUNICORN_WSGI} -k gevent", (signal.SIGKILL, signal.SIGTERM)),
    "gunicorn-program": (
        ["gunicorn"],
        "worker_programs.run_gunicorn {workers} {port}",
        (signal.SIGKILL, signal.SIGTERM),
    ),
    "granian-program": (["granian"], "worker_programs.run_granian {workers} {port}", (signal.SIGKILL,)),
}
RECYCLING = {
    "uvicorn": "--limit-max-requests 40",
    "gunicorn": "--max-requests 40",
    "gunicorn-preload": "--max-requests 40",
    "hypercorn": "--max-requests 40",
}


class Workers:
    """One running server."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, port: int, place: Path) -> None:
        self.name = name
        self.port = port
        self.place = place

    def is_up(self) -> bool:
        """Return whether it answers."""
        with suppress(OSError, http.client.HTTPException):
            return self.get("/items/0")[0] == 200
        return False

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Ask once, on a connection of its own, which any worker may accept."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Scrape once and return all samples by their names and labels."""
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in parse_prometheus(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples that have these labels."""
        wanted = set(labels.items())
        return sum(value for (found, have), value in self.samples().items() if found == name and wanted <= have)

    def await_value(self, expected: float, name: str, **labels: str) -> None:
        """Wait until a value is as expected."""

        def read() -> float | None:
            with suppress(OSError, http.client.HTTPException):
                return self.value(name, **labels)
            return None

        wait_until(read, lambda found: found == expected)

    def pids(self) -> list[int]:
        """Return the processes below the supervisor that serve."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in found if "resource_tracker" not in _command(pid)]

    def files(self) -> list[str]:
        """Return the files that the workers share."""
        return sorted(path.name for folder in self.place.glob("asyncmetrics-*") for path in folder.iterdir())


def _command(pid: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return "resource_tracker"  # gone


@contextmanager
def run_workers(
    name: str, options: str, workers: int, place: Path, environment: dict[str, str], app: str = "worker_app"
) -> Iterator[Workers]:
    """Run a server whose workers share metrics below ``place``. ``app`` is the module of the application."""
    packages, command, _ = (SERVERS | LAUNCHERS)[name]
    require_packages(packages)
    port = find_free_port()
    words = [*command.replace("worker_app:", f"{app}:").format(port=port, workers=workers).split(), *options.split()]
    server = Workers(name, port, place)
    settings = {"XDG_RUNTIME_DIR": str(place), **environment}
    with run_server(words, HERE, server.is_up, **settings) as server.process:
        yield server
