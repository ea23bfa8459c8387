"""redis-py against a real Sentinel, which tells clients where the master is."""

from __future__ import annotations

import asyncio

import pytest
import redis
import redis.asyncio.sentinel
import redis.sentinel

from asyncmetrics import instrument_all
from scripts.databases import DatabaseServer, run_server
from tests.servers.processes import find_free_port, is_listening
from tests.servers.requirements import find_program

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]


class Master(DatabaseServer):
    """A Redis with a port, as a Sentinel needs it."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = find_free_port()

    @property
    def command(self):
        return [find_program("redis-server"), "--port", str(self.port), "--save", "", "--dir", str(self.folder)]

    @property
    def is_ready(self):
        return is_listening(self.port)


class Sentinel(Master):
    """A Sentinel, which reads and writes its configuration."""

    master = 0

    @property
    def command(self):
        settings = self.folder / "sentinel.conf"
        settings.write_text(f"port {self.port}\ndir {self.folder}\nsentinel monitor main 127.0.0.1 {self.master} 1\n")
        return [find_program("redis-server"), str(settings), "--sentinel"]


@pytest.fixture(scope="module")
def sentinel():
    with run_server(Master) as master:
        Sentinel.master = master.port
        with run_server(Sentinel) as server:
            yield [("127.0.0.1", server.port)]


@pytest.fixture
def measured(registry):
    """Measure redis-py for the time of the test."""
    with instrument_all(only=["redis"], registry=registry):
        yield


@pytest.mark.usefixtures("measured")
def test_the_search_for_the_master_is_inside_of_a_command(sentinel, count, samples):
    sentinels = redis.sentinel.Sentinel(sentinel)
    with sentinels.master_for("main") as client:
        client.set("key", 1)
        assert samples("db_client_connection_count", "pool", "state")["redis-1", "idle"] == 1
    assert count() == {("SET", "ok"): 1}
    for one in sentinels.sentinels:
        one.close()


@pytest.mark.usefixtures("measured")
def test_the_search_for_the_master_is_inside_of_an_async_command(sentinel, count):
    async def main():
        sentinels = redis.asyncio.sentinel.Sentinel(sentinel)
        async with sentinels.master_for("main") as client:
            await client.set("key", 1)
        assert count() == {("SET", "ok"): 1}
        assert await sentinels.discover_master("main")
        for one in sentinels.sentinels:
            await one.aclose()

    asyncio.run(main())
    assert count() == {("SET", "ok"): 1, ("SENTINEL", "ok"): 1}
