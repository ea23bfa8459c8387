"""A real VictoriaMetrics, of the second tier (tests/servers/newer_programs.py)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.newer_programs import find_newer_program

__all__ = ("run_victoria_metrics",)

_STARTED = re.compile(r"started server at (http://127\.0\.0\.1:\d+)/")


@contextmanager
def run_victoria_metrics(folder: Path, *options: str) -> Iterator[str]:
    """Run a server that keeps its files in ``folder``, and yield its base URL. It has the API of Prometheus."""
    log = folder / "log"
    command = [
        find_newer_program("victoria-metrics"),
        f"-storageDataPath={folder}/data",
        "-httpListenAddr=127.0.0.1:0",
        *options,
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        found = wait_until(lambda: _STARTED.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
