"""StatsD's own server, of Node.js: its management port says what it has added up.

ASYNCMETRICS_NODE_MODULES names a folder into which ``npm install --ignore-scripts statsd hot-shots`` has installed it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import find_free_port, is_listening
from tests.servers.requirements import find_program

__all__ = ("NODE_MODULES", "Statsd", "run_statsd")

NODE_MODULES = os.environ.get("ASYNCMETRICS_NODE_MODULES", "")
_FLUSH_MILLISECONDS = 2_000_000_000  # never within a test: a flush sets the counters to 0


@dataclass
class Statsd:
    """A running server: its port for datagrams, and what it has added up."""

    port: int
    management_port: int

    def read(self, kind: str) -> dict[str, float]:
        """Return the ``counters`` or ``gauges`` that it has, by their names; its own begin with ``statsd.``."""
        return {name: value for name, value in self._ask(kind).items() if not name.startswith("statsd.")}

    @property
    def bad_lines(self) -> float:
        """How many lines it could not read."""
        return self._ask("counters")["statsd.bad_lines_seen"]

    def _ask(self, kind: str) -> dict[str, float]:
        with socket.create_connection(("127.0.0.1", self.management_port), PATIENCE_SECONDS) as connection:
            connection.sendall(kind.encode())
            answer = b""
            while not answer.endswith(b"END\n\n"):
                answer += connection.recv(1 << 20)
        return _read_object(answer.decode().removesuffix("END\n\n"))


def _read_object(text: str) -> dict[str, float]:
    """Return what Node.js prints for an object: ``{ a: 1, 'b.c': 2 }``."""
    program = "process.stdout.write(JSON.stringify(eval('(' + require('fs').readFileSync(0) + ')')))"
    done = subprocess.run([find_program("node"), "-e", program], input=text, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def run_statsd(folder: Path, port: int = 0) -> Iterator[Statsd]:
    """Run the server until the block ends, on free ports or on ``port``. The test is skipped where it is missing."""
    if not NODE_MODULES:
        pytest.skip("ASYNCMETRICS_NODE_MODULES names no folder with StatsD's server")
    server = Statsd(port or find_free_port(), find_free_port())
    configuration = {
        "port": server.port,
        "address": "127.0.0.1",
        "mgmt_port": server.management_port,
        "mgmt_address": "127.0.0.1",
        "flushInterval": _FLUSH_MILLISECONDS,
        "backends": [],
    }
    (folder / "statsd.js").write_text(json.dumps(configuration))
    command = [find_program("node"), str(Path(NODE_MODULES, "statsd/stats.js")), str(folder / "statsd.js")]
    with (folder / "statsd.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening(server.management_port) or process.poll() is not None)
        assert process.poll() is None, (folder / "statsd.log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
