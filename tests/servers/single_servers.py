"""Servers of one process, each of which serves `small_app`: clients on plain sockets, counts from the exposition."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from asyncmetrics.formats.reading.text import parse_prometheus
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.servers.processes import find_free_port, is_listening, run_server
from tests.servers.requirements import require_packages

__all__ = ("SERVERS", "Server", "run_single")

HERE = Path(__file__).parent
APP = "small_app:app"
COUNT = "http_server_request_duration_seconds_count"

# The packages that each server needs, and the command that starts it on a port.
UVICORN = ["uvicorn", APP, "--log-level", "critical", "--port", "{port}", "--http"]
HYPERCORN = ["hypercorn", APP, "--bind", "127.0.0.1:{port}", "--log-level", "CRITICAL", "--worker-class"]
SERVERS = {
    "uvicorn-h11": (["uvicorn", "h11"], [*UVICORN, "h11", "--loop", "asyncio"]),
    "uvicorn-httptools": (["uvicorn", "httptools", "uvloop"], [*UVICORN, "httptools", "--loop", "uvloop"]),
    "hypercorn-asyncio": (["hypercorn"], [*HYPERCORN, "asyncio"]),
    "hypercorn-trio": (["hypercorn", "trio"], [*HYPERCORN, "trio"]),
    "granian": (["granian"], ["granian", APP, "--interface", "asgi", "--no-log", "--port", "{port}"]),
}


@dataclass
class Server:
    """One running server, and what it has counted since `forget`."""

    name: str
    port: int
    _before: dict[tuple[str, ...], float] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The URL that its paths come after."""
        return f"http://127.0.0.1:{self.port}"

    def samples(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Read the samples of one name from its exposition."""
        text = httpx.get(f"{self.base}/metrics").raise_for_status().text
        found = [sample for family in parse_prometheus(text) for sample in family.samples if sample.name == name]
        return {tuple(sample.labels[label] for label in labels): sample.value for sample in found}

    def counted(self) -> dict[tuple[str, ...], float]:
        """Return how many requests were counted since then, by method, route and status."""
        now = self.samples(COUNT, "method", "route", "status")
        return {key: now[key] - self._before.get(key, 0) for key in now if now[key] != self._before.get(key, 0)}

    def active(self) -> dict[tuple[str, ...], float]:
        """Return the requests under way, by method and route."""
        found = self.samples("http_server_active_requests", "method", "route")
        return {key: value for key, value in found.items() if value}

    def streamed(self) -> dict[tuple[str, ...], float]:
        """Return all streams ever counted, by method, route and outcome."""
        return self.samples("http_server_stream_duration_seconds_count", "method", "route", "outcome")

    def exceptions(self) -> dict[tuple[str, ...], float]:
        """Return all exceptions ever counted, by route and type."""
        return self.samples("http_server_exceptions_total", "route", "type")

    def forget(self) -> None:
        """Count from now on."""
        self._before = self.samples(COUNT, "method", "route", "status")

    def connect(self) -> closing[socket.socket]:
        """Connect to it; use it in a with statement."""
        return closing(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS))

    def expect(self, read: Callable[[], object], expected: object) -> None:
        """Wait until ``read`` returns what is expected: a server counts a client that leaves when it notices."""
        wait_for(read, expected)


@contextmanager
def run_single(name: str) -> Iterator[Server]:
    """Run a server by its name in `SERVERS`."""
    packages, command = SERVERS[name]
    require_packages(packages)
    port = find_free_port()
    words = [word.format(port=port) for word in command]
    with run_server(words, HERE, lambda: is_listening(port)):
        yield Server(name, port)
