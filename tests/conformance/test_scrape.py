"""The third judge: a real Prometheus scrapes generated registries, in either format, and takes every sample of them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

import asyncmetrics
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.real

REGISTRIES = 40
FORMS = {
    "text": "text/plain; version=0.0.4",
    "openmetrics": "application/openmetrics-text; version=1.0.0",
}
TOO_SLOW = "deadline exceeded"  # what a server on a busy machine says; it asks again
LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')


def _accepting(app, accept):
    """Serve ``app`` in one format, whatever the server asks for: Prometheus 2 cannot be told to prefer text."""

    async def serve(scope, receive, send):
        await app({**scope, "headers": [(b"accept", accept.encode())]}, receive, send)

    return serve


@contextmanager
def _scraping(program, folder, base, paths):
    jobs = [
        {"job_name": path, "metrics_path": f"/{path}/", "static_configs": [{"targets": [base.removeprefix("http://")]}]}
        for path in paths
    ]
    config = {"global": {"scrape_interval": "5s", "scrape_timeout": "5s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stdout=output, stderr=output)
    try:
        found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        yield httpx.Client(base_url=f"http://{found[1]}"), log
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _counts(client):
    rows = client.get("/api/v1/query", params={"query": "scrape_samples_scraped"}).json()["data"]["result"]
    return {row["metric"]["job"]: int(row["value"][1]) for row in rows}


def _faults(client):
    targets = client.get("/api/v1/targets").json()["data"]["activeTargets"]
    errors = {found["labels"]["job"]: found["lastError"] for found in targets if found["lastError"]}
    return {job: error for job, error in errors.items() if TOO_SLOW not in error}


def _lines(base, path):
    text = httpx.get(f"{base}/{path}/").text
    return sum(line[:1] not in {"", "#"} for line in text.split("\n"))


@pytest.fixture(scope="module")
def registries_of_now(some):
    """Registries whose collectors tell times of the last minute: a server takes no others."""
    now = int(time.time() * 1000)
    return some(REGISTRIES, st.integers(0, 60_000).map(lambda before: (now - before) / 1000))


def test_a_real_server_takes_every_sample(registries_of_now, serving, binary, tmp_path, tally):
    apps = {
        f"{form}/{number}": _accepting(asyncmetrics.make_asgi_app(registry), accept)
        for number, registry in enumerate(registries_of_now)
        for form, accept in FORMS.items()
    }
    app = Starlette(routes=[Mount(f"/{path}", app) for path, app in apps.items()])
    with serving(app) as base, _scraping(binary("prometheus"), tmp_path, base, apps) as (client, log):
        # What the exposition tells about itself is there from the second scrape on.
        def differences():
            assert _faults(client) == {}
            taken, offered = _counts(client), {path: _lines(base, path) for path in apps}
            return {path: (offered[path], taken.get(path)) for path in offered if offered[path] != taken.get(path)}

        wait_until(differences, lambda found: not found, pause=1)
        taken = _counts(client)
        assert _faults(client) == {}
        client.close()
        assert "different value but same timestamp" not in log.read_text()
    for form in FORMS:
        tally[f"expositions in {form} scraped by Prometheus"] += len(registries_of_now)
    tally["samples that Prometheus took"] += sum(taken.values())
