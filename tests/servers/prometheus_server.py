"""A real Prometheus in a process of its own. It scrapes a target for the first time within an interval and 5 s."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.requirements import find_program

__all__ = ("Prometheus", "make_job", "run_prometheus")

LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')
TOO_SLOW = "deadline exceeded"  # the error of a scrape on a busy machine; the next scrape may succeed


class Prometheus:
    """A running Prometheus: instant queries, its targets and its log."""

    def __init__(self, base: str, log: Path) -> None:
        self.base = base
        self._log = log
        self._client = httpx.Client(base_url=base, timeout=PATIENCE_SECONDS)

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an endpoint of the API."""
        answer = self._client.get(path, params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the rows of an instant query."""
        when = {} if at is None else {"time": repr(at)}
        return self.get("/api/v1/query", query=expression, **when)["result"]

    def value(self, expression: str, at: float | None = None) -> float:
        """Return the value of an instant query that has one row."""
        (row,) = self.query(expression, at)
        return float(row["value"][1])

    def by(self, label: str, expression: str, at: float | None = None) -> dict[str, float]:
        """Return the values of an instant query by one label."""
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in self.query(expression, at)}

    def targets(self) -> list[dict[str, Any]]:
        """Return the targets with their health and their last error."""
        return self.get("/api/v1/targets")["activeTargets"]

    def faults(self) -> dict[str, str]:
        """Return the errors of the last scrapes by job, apart from those that took too long."""
        errors = {found["labels"]["job"]: found["lastError"] for found in self.targets() if found["lastError"]}
        return {job: error for job, error in errors.items() if TOO_SLOW not in error}

    def read_log(self) -> str:
        """Return what the server has logged."""
        return self._log.read_text()

    def wait_for(
        self, expression: str, wanted: Callable[[list[dict[str, Any]]], bool], seconds: float = PATIENCE_SECONDS
    ) -> list:
        """Wait until the rows of an instant query are as wanted, and return them."""
        try:
            return wait_until(lambda: self.query(expression), wanted, pause=0.1, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{expression}: {self.targets()}") from error

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()


def make_job(name: str, base: str, path: str = "/metrics") -> dict[str, Any]:
    """Return the configuration of a job that scrapes one target."""
    target = base.removeprefix("http://")
    return {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [target]}]}


@contextmanager
def run_prometheus(
    folder: Path, jobs: Sequence[dict[str, Any]], interval: str, *options: str, program: str = "", **sections: Any
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes ``jobs``, keeps its files in ``folder`` and is ready for queries.

    ``program`` is the path of another one than that on the ``PATH``, ``sections`` are further sections of its
    configuration. Rules are evaluated as often as targets are scraped.
    """
    program = program or find_program("prometheus")
    intervals = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), interval)
    config = {"global": intervals, "scrape_configs": [*jobs], **sections}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    log = folder / "log"
    with log.open("w") as output:
        address = "--web.listen-address=127.0.0.1:0"
        process = subprocess.Popen([*command, address, *options], stdout=output, stderr=output)
    try:
        found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        server = Prometheus(f"http://{found[1]}", log)
        wait_until(lambda: httpx.get(f"{server.base}/-/ready").status_code == 200)
        yield server
        server.close()
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
