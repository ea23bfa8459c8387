"""A real Prometheus for `benchmarks.fleet`: its configuration, its queries, and what it says about itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

__all__ = ("MISSING", "Prometheus", "find_prometheus", "run_prometheus", "wait_until")

MISSING = "prometheus is not on the PATH"
_LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')
_START_SECONDS = 60


def find_prometheus() -> str | None:
    """Return the path of the program, or None."""
    return shutil.which("prometheus")


class Prometheus:
    """A running server."""

    def __init__(self, base: str, folder: Path) -> None:
        self.base = base
        self._folder = folder

    def read(self, path: str) -> bytes:
        """Return the body of a GET request."""
        with urlopen(f"{self.base}{path}", timeout=60) as response:  # noqa: S310  # a server of our own
            body: bytes = response.read()
        return body

    def query(self, expression: str) -> float:
        """Return the value of an instant query that has one row, or 0 if it has none."""
        answer = json.loads(self.read(f"/api/v1/query?{urlencode({'query': expression})}"))
        rows = answer["data"]["result"]
        return float(rows[0]["value"][1]) if rows else 0.0

    def read_own(self) -> dict[str, float]:
        """Return the samples of the server's own exposition, each summed over its labels."""
        return {name: sum(numbers) for name, numbers in self.read_own_samples().items()}

    def read_own_samples(self) -> dict[str, list[float]]:
        """Return the values of the samples of the server's own exposition, by their names."""
        found: dict[str, list[float]] = {}
        for name, number in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", self.read("/metrics").decode(), re.MULTILINE):
            found.setdefault(name, []).append(float(number))
        return found

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration, and make the server read it again."""
        write_config(self._folder, config)
        with urlopen(f"{self.base}/-/reload", data=b"", timeout=60):  # noqa: S310
            pass


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration of the server that runs in ``folder``."""
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML


def wait_until(is_so: Callable[[], object], seconds: float) -> None:
    """Wait until ``is_so()`` is true. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{seconds} s were not enough")
        time.sleep(0.1)


@contextmanager
def run_prometheus(folder: Path, config: dict[str, Any]) -> Iterator[Prometheus]:
    """Run a server that receives remote write, and enter the block once it answers. It ends with the block."""
    program = find_prometheus()
    if program is None:
        raise FileNotFoundError(MISSING)
    write_config(folder, config)
    log = folder / "log"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    options += ["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle", "--web.enable-remote-write-receiver"]
    with log.open("w") as output:
        process = subprocess.Popen([program, *options], stdout=output, stderr=output)
    try:
        wait_until(lambda: "Server is ready to receive" in log.read_text() or process.poll(), _START_SECONDS)
        found = _LISTENING.search(log.read_text())
        if found is None:
            raise RuntimeError(log.read_text()[-1000:])
        yield Prometheus(f"http://{found[1]}", folder)
    finally:
        process.terminate()
        process.wait()
