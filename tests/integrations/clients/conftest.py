"""A server for clients, and what was counted for their calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry, instrument_all
from tests.servers.http_server import HttpServer, run_http_server


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with run_http_server() as server:
        yield server


def _add_up(registry: CollectorRegistry, name: str, label: str) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for sample in (sample for family in registry.collect() for sample in family.samples):
        if sample.name == name and sample.value:
            sums[sample.labels[label]] += sample.value
    return dict(sums)


@pytest.fixture
def statuses(registry: CollectorRegistry) -> Callable[[], dict[str, float]]:
    """Read how many calls have ended, by status."""
    return lambda: _add_up(registry, "http_client_request_duration_seconds_count", "status")


@pytest.fixture
def exceptions(registry: CollectorRegistry) -> Callable[[], dict[str, float]]:
    """Read how many exceptions were counted, by type."""
    return lambda: _add_up(registry, "http_client_request_exceptions_total", "type")


@pytest.fixture
def active(registry: CollectorRegistry) -> Callable[[], float]:
    """Read how many calls run now."""
    return lambda: sum(_add_up(registry, "http_client_active_requests", "method").values())


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Either library in turn."""
    pytest.importorskip(request.param)
    return import_module(request.param)


@pytest.fixture
def measured(library, registry) -> Iterator[None]:
    with instrument_all(only=[library.__name__], registry=registry):
        yield


@pytest.fixture
def using(measured, library, run) -> Callable[..., Any]:
    """Run a function of a client of either library, on either event loop."""

    def use(function: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any) -> Any:
        async def main() -> Any:
            async with library.AsyncClient(**{"timeout": None, **options}) as client:
                return await function(client)

        return run(main)

    return use


@pytest.fixture
def counted(samples: Callable[..., dict[tuple[str, ...], float]]) -> Callable[[], dict[tuple[str, ...], float]]:
    """Read how many log records were counted, by logger and level."""
    return lambda: samples("log_records_total", "logger", "level")


@pytest.fixture
def failures(samples: Callable[..., dict[tuple[str, ...], float]]) -> Callable[[], dict[tuple[str, ...], float]]:
    """Read how many exceptions in log records were counted, by logger and type."""
    return lambda: samples("log_exceptions_total", "logger", "type")
