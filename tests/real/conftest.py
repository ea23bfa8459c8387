"""One Prometheus for the whole run. Its first scrape comes five seconds after it is ready, so all targets are known
before it starts: add further targets to ``targets`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

import asyncmetrics
from tests.servers.prometheus_server import Prometheus, make_job, run_prometheus

SLOW_SECONDS = 0.12


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
def prometheus(start_prometheus, request) -> Prometheus:
    """A real Prometheus that scrapes all targets five times a second."""
    return start_prometheus(request.getfixturevalue("targets"), "200ms")


@pytest.fixture(scope="session")
def start_prometheus(tmp_path_factory) -> Iterator[Callable[[dict[str, str], str], Prometheus]]:
    """Start a real Prometheus: ``start_prometheus({job: base URL}, interval)``."""
    with ExitStack() as stack:

        def start(targets: dict[str, str], interval: str) -> Prometheus:
            jobs = [make_job(name, base) for name, base in targets.items()]
            return stack.enter_context(run_prometheus(tmp_path_factory.mktemp("prometheus"), jobs, interval))

        yield start
