"""A service written for prometheus_client, under the servers that start processes, moved by PYTHONPATH alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from asyncmetrics.cli.prometheus_client_path import find_path_directory
from asyncmetrics.prometheus_client.parser import text_string_to_metric_families
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.processes import ROOT, find_free_port, is_listening, run_server

pytestmark = pytest.mark.real

SERVICE = """
import os

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

hits = Counter("hits", "Hits.", ["kind"])
busy = Gauge("busy", "Busy.", multiprocess_mode="livesum")
busy.set(1)


def scrape():
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/metrics":
        body = scrape()
    elif scope["path"] == "/module":
        body = prometheus_client.__name__.encode()
    else:
        hits.labels("any").inc()
        body = str(os.getpid()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""
# What the documentation of prometheus_client says about gunicorn. The file is imported before anything else.
GUNICORN_CONF = """
from prometheus_client import multiprocess


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""
SERVERS = {
    "uvicorn": "uvicorn service:app --workers 3 --port {port} --log-level error",
    "gunicorn": "gunicorn service:app -w 3 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} -c conf.py "
    "--log-level error",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the service."""
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "conf.py").write_text(GUNICORN_CONF)
    return tmp_path


@pytest.fixture(params=["without a directory", "with PROMETHEUS_MULTIPROC_DIR"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment: PYTHONPATH with our directory, and the directory that prometheus_client's workers share."""
    settings = {"PYTHONPATH": os.pathsep.join([str(find_path_directory()), str(tmp_path), str(ROOT)])}
    if request.param.startswith("with PROM"):
        shared = tmp_path / "shared"
        shared.mkdir()
        settings["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
    return settings


class Service:
    """The running service."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> str:
        """Return the body of a response; a worker that is killed meanwhile is asked again."""

        def attempt() -> str | None:
            try:
                return self._client.get(path).text
            except httpx.TransportError:
                return None

        return wait_until(attempt, lambda text: text is not None) or ""

    def read(self, name: str) -> float | None:
        """Return the value of a sample, whatever its labels are."""
        families = text_string_to_metric_families(self.get("/metrics"))
        return next((sample.value for family in families for sample in family.samples if sample.name == name), None)


@pytest.fixture(params=SERVERS)
def service(request: pytest.FixtureRequest, folder: Path, environment: dict[str, str]) -> Iterator[Service]:
    """The service under one of the servers."""
    port = find_free_port()
    command = SERVERS[request.param].format(port=port).split()
    with run_server(command, folder, lambda: is_listening(port), **environment):
        yield Service(port)


def test_workers_agree_and_survive_a_kill(service: Service) -> None:
    """Each scrape has the counts of all workers, also of one that was killed; live gauges lose the killed one."""
    assert service.get("/module") == "asyncmetrics.prometheus_client"
    wait_until(lambda: service.read("busy") == 3.0)
    pids = [int(service.get("/")) for _ in range(60)]
    assert [service.read("hits_total") for _ in range(6)] == [60.0] * 6
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: service.read("busy") == 3.0)  # another worker has taken its place
    for _ in range(30):
        service.get("/")
    assert [service.read("hits_total") for _ in range(6)] == [90.0] * 6


def test_reload(folder: Path) -> None:
    """The process that ``--reload`` starts anew imports ours as well."""
    port = find_free_port()
    path = os.pathsep.join([str(find_path_directory()), str(folder), str(ROOT)])
    command = f"uvicorn service:app --reload --port {port} --log-level error".split()
    with run_server(command, folder, lambda: is_listening(port), PYTHONPATH=path):
        service = Service(port)
        before = service.get("/")
        assert service.get("/module") == "asyncmetrics.prometheus_client"

        def has_reloaded() -> bool:
            (folder / "service.py").touch()  # again each time: the reloader may not have looked at the file before
            return service.get("/") != before

        wait_until(has_reloaded, pause=1.0)
        assert service.get("/module") == "asyncmetrics.prometheus_client"
