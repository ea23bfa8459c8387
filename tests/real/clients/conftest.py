"""The servers of the clients, one of each for the run. A test that stops a server starts it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry
from tests.servers.database_servers import PostgreSQL, Redis, run_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with run_server(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    with run_server(Redis) as server:
        yield server


@pytest.fixture
def samples(registry: CollectorRegistry) -> Callable[..., dict[Any, float]]:
    """Read the samples of one name as a dict from the values of some labels."""

    def read(name: str, *labels: str) -> dict[Any, float]:
        found = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in found}

    return read
