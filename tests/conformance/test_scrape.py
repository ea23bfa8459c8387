"""The third judge: a real Prometheus scrapes generated registries, in either format, and takes every sample of them."""

from __future__ import annotations

import time
from contextlib import ExitStack

import httpx
import pytest
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

import asyncmetrics
from tests.patience import wait_until
from tests.servers.prometheus_server import make_job, run_prometheus

pytestmark = pytest.mark.real

REGISTRIES = 40
FORMS = {
    "text": "text/plain; version=0.0.4",
    "openmetrics": "application/openmetrics-text; version=1.0.0",
}


def _accepting(app, accept):
    """Serve ``app`` in one format, whatever the server asks for: Prometheus 2 cannot be configured to prefer text."""

    async def serve(scope, receive, send):
        await app({**scope, "headers": [(b"accept", accept.encode())]}, receive, send)

    return serve


def _counts(prometheus):
    return {job: int(count) for job, count in prometheus.by("job", "scrape_samples_scraped").items()}


def _lines(base, path):
    text = httpx.get(f"{base}/{path}/").text
    return sum(line[:1] not in {"", "#"} for line in text.split("\n"))


@pytest.fixture(scope="module")
def registries_of_now(some):
    """Registries whose collectors have times of the last minute: a server accepts no others."""
    now = int(time.time() * 1000)
    return some(REGISTRIES, st.integers(0, 60_000).map(lambda before: (now - before) / 1000))


def test_a_real_server_takes_every_sample(registries_of_now, serving, tmp_path, tally):
    apps = {
        f"{form}/{number}": _accepting(asyncmetrics.make_asgi_app(registry), accept)
        for number, registry in enumerate(registries_of_now)
        for form, accept in FORMS.items()
    }
    app = Starlette(routes=[Mount(f"/{path}", app) for path, app in apps.items()])
    with ExitStack() as stack:
        base = stack.enter_context(serving(app))
        jobs = [make_job(path, base, f"/{path}/") for path in apps]
        prometheus = stack.enter_context(run_prometheus(tmp_path, jobs, "5s"))

        # What the exposition tells about itself is there from the second scrape on.
        def differences():
            assert prometheus.faults() == {}
            taken, offered = _counts(prometheus), {path: _lines(base, path) for path in apps}
            return {path: (offered[path], taken.get(path)) for path in offered if offered[path] != taken.get(path)}

        wait_until(differences, lambda found: not found, pause=1)
        taken = _counts(prometheus)
        assert prometheus.faults() == {}
        assert "different value but same timestamp" not in prometheus.read_log()
    for form in FORMS:
        tally[f"expositions in {form} scraped by Prometheus"] += len(registries_of_now)
    tally["samples that Prometheus took"] += sum(taken.values())
