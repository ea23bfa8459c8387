"""One Prometheus for the whole run. Its first scrape comes five seconds after it is ready, so all targets are known
before it starts: whoever wants another target adds it to ``targets`` here.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from tests.patience import PATIENCE_SECONDS, wait_until

SLOW_SECONDS = 0.12
LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')


class Server:
    """A running Prometheus: instant queries and its list of targets."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._client = httpx.Client(base_url=base, timeout=PATIENCE_SECONDS)

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        when = {} if at is None else {"time": repr(at)}
        return self.get("/api/v1/query", query=expression, **when)["result"]

    def by(self, label: str, expression: str, at: float | None = None) -> dict[str, float]:
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in self.query(expression, at)}

    def wait_for(
        self, expression: str, wanted: Callable[[list[dict[str, Any]]], bool], seconds: float = PATIENCE_SECONDS
    ) -> list:
        try:
            return wait_until(lambda: self.query(expression), wanted, pause=0.1, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{expression}: {self.get('/api/v1/targets')['activeTargets']}") from error

    def close(self) -> None:
        self._client.close()


async def _fast(request: Request) -> JSONResponse:
    return JSONResponse({"item": request.path_params["item"]})


async def _slow(request: Request) -> PlainTextResponse:
    await anyio.sleep(SLOW_SECONDS)
    return PlainTextResponse("at last")


@pytest.fixture(scope="session")
def shop(serving) -> Iterator[str]:
    """An instrumented Starlette app under uvicorn, in a registry of its own: other tests use the default one."""
    registry = asyncmetrics.CollectorRegistry()
    asyncmetrics.ProcessCollector(registry=registry)
    app = Starlette(routes=[Route("/items/{item}", _fast), Route("/slow", _slow)])
    asyncmetrics.instrument(app, registry=registry)
    with serving(app) as base:
        yield base


@pytest.fixture(scope="session")
def own_port() -> Iterator[str]:
    """A registry served on a port of its own, with labels that need escaping."""
    registry = asyncmetrics.CollectorRegistry()
    odd = asyncmetrics.Gauge("odd_labels", "Labels \\ and\nhelp that need escaping.", ["text"], registry=registry)
    for number, text in enumerate(('a"b', "c\\d", "e\nf", "schön", "# EOF")):
        odd.labels(text).set(number)
    server, thread = asyncmetrics.start_http_server(0, registry=registry)
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def targets(shop: str, own_port: str) -> dict[str, str]:
    """What the server scrapes: job name → base URL."""
    return {"shop": shop, "own_port": own_port}


@pytest.fixture(scope="session")
def prometheus(start_prometheus, request) -> Server:
    """A real Prometheus that scrapes all targets five times a second."""
    return start_prometheus(request.getfixturevalue("targets"), "200ms")


@pytest.fixture(scope="session")
def start_prometheus(binary, tmp_path_factory) -> Iterator[Callable[[dict[str, str], str], Server]]:
    """Start a real Prometheus: ``start_prometheus({job: base URL}, interval)``."""
    with ExitStack() as stack:
        yield lambda targets, interval: stack.enter_context(
            _prometheus(binary("prometheus"), tmp_path_factory.mktemp("prometheus"), targets, interval)
        )


@contextmanager
def _prometheus(program: str, folder: Path, targets: dict[str, str], interval: str) -> Iterator[Server]:
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [base.removeprefix("http://")]}]}
        for job, base in targets.items()
    ]
    config = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    arguments = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*arguments, "--web.listen-address=127.0.0.1:0"], stdout=log, stderr=log)
    try:
        server = Server(f"http://{_address(folder / 'log', process)}")
        yield server
        server.close()
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
    assert isinstance(found, re.Match), log.read_text()
    return found[1]
