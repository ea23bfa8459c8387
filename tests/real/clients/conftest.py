"""The servers of the clients, one of each for the run. A test that stops a server starts it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry
from scripts.databases import DatabaseServer, PostgreSQL, Redis, run_server
from tests.servers.requirements import report_missing


def _run(kind: type[DatabaseServer]) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(run_server(kind))
        except FileNotFoundError as error:
            report_missing(str(error))
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    yield from _run(PostgreSQL)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    yield from _run(Redis)


@pytest.fixture
def samples(registry: CollectorRegistry) -> Callable[..., dict[Any, float]]:
    """Read the samples of one name as a dict from the values of some labels."""

    def read(name: str, *labels: str) -> dict[Any, float]:
        found = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in found}

    return read
