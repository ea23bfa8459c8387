"""A server of StatsD on a free port of its own, and the series that it makes of lines."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer
from tests.patience import PATIENCE_SECONDS


def send_lines(registry: CollectorRegistry, *datagrams: bytes, backend: str = "asyncio", **options: Any) -> None:
    """Send datagrams to a server; return after its stop, which takes all that has arrived."""
    server = StatsDServer(0, registry=registry, **options)  # which reads the file of a mapping

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with server:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    for datagram in datagrams:
                        client.sendto(datagram, ("127.0.0.1", server.port))

    anyio.run(main, backend=backend)


@pytest.fixture
def send(registry: CollectorRegistry) -> Callable[..., None]:
    """Send datagrams to a server of the test's registry: ``send(b"a:1|c", mapping=…)``."""
    return partial(send_lines, registry)


@pytest.fixture
def value(registry: CollectorRegistry) -> Callable[..., float | None]:
    """Return the value of a series: ``value("a_total", path="/")``."""
    return lambda name, **labels: registry.get_sample_value(name, labels)


@pytest.fixture
def lines(value: Callable[..., float | None]) -> Callable[[str], float | None]:
    """Return how many lines have had an outcome."""
    return lambda outcome: value("asyncmetrics_statsd_lines_total", outcome=outcome)
