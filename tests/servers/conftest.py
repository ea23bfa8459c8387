"""Every real server in turn, each a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.single_servers import SERVERS, Server, run_single


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in SERVERS])
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Every server in turn; one that is not installed skips, or fails where ASYNCMETRICS_REQUIRE_SERVERS is 1."""
    with run_single(request.param) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server, its counts forgotten."""
    running.forget()
    return running
