"""redis-py against a real cluster of one node, which has all slots."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
import redis
import redis.asyncio
from redis.exceptions import RedisClusterException

from asyncmetrics import instrument, instrument_all, uninstrument
from scripts.databases import DatabaseServer, run_server
from tests.patience import PATIENCE_SECONDS, eventually, wait_until
from tests.servers.processes import find_free_port, is_listening
from tests.servers.requirements import find_program

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

ACTIVE = "db_client_operation_active"
COUNT = "db_client_connection_count"


class Cluster(DatabaseServer):
    """A node of Redis in the mode for clusters; clients of clusters need a port."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = find_free_port()

    @property
    def command(self):
        program = find_program("redis-server")
        folder = str(self.folder)
        return [program, "--port", str(self.port), "--cluster-enabled", "yes", "--save", "", "--dir", folder]

    @property
    def is_ready(self):
        return is_listening(self.port)

    def ask(self, *command) -> str:
        program = find_program("redis-cli")
        asked = subprocess.run([program, "-p", str(self.port), *command], capture_output=True, text=True, check=True)
        return asked.stdout


@pytest.fixture(scope="module")
def cluster():
    with run_server(Cluster) as server:
        server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        wait_until(lambda: "cluster_state:ok" in server.ask("CLUSTER", "INFO"))
        yield server


@pytest.fixture
def measured(registry):
    """Measure redis-py for the time of the test."""
    with instrument_all(only=["redis"], registry=registry):
        yield


@pytest.mark.usefixtures("measured")
def test_a_sync_command_counts_once_and_what_a_client_asks_first_counts_as_nothing(cluster, count, samples):
    client = redis.RedisCluster("127.0.0.1", cluster.port)
    assert count() == {}
    client.set("key", 1)
    client.get("key")
    assert count() == {("SET", "ok"): 1, ("GET", "ok"): 1}
    assert samples(COUNT, "pool", "state") == {("redis-1", "idle"): 1, ("redis-1", "used"): 0}
    client.close()
    assert samples(COUNT, "pool", "state") == {}


@pytest.mark.usefixtures("measured")
def test_an_async_command_counts_once_and_what_a_client_asks_first_counts_as_nothing(cluster, count, samples):
    async def main():
        async with redis.asyncio.RedisCluster("127.0.0.1", cluster.port) as client:
            await asyncio.gather(*(client.set(f"key{number}", 1) for number in range(4)))
            assert samples(COUNT, "pool", "state") == {("redis-1", "idle"): 4, ("redis-1", "used"): 0}

    asyncio.run(main())
    assert count() == {("SET", "ok"): 4}
    assert samples(COUNT, "pool", "state") == {}


@pytest.mark.usefixtures("measured")
def test_a_pipeline_is_one_call(cluster, count):
    async def main():
        async with redis.asyncio.RedisCluster("127.0.0.1", cluster.port) as client:
            await client.pipeline().set("key", 1).get("key").execute()
            assert await client.pipeline().execute() == []

    client = redis.RedisCluster("127.0.0.1", cluster.port)
    client.pipeline().set("key", 1).get("key").execute()
    assert client.pipeline().execute() == []
    client.close()
    assert count() == {("PIPELINE", "ok"): 1}
    asyncio.run(main())
    assert count() == {("PIPELINE", "ok"): 2}


def begin_transaction(client):
    """Return a pipeline that can watch; older versions have none for clusters."""
    try:
        return client.pipeline(transaction=True)
    except RedisClusterException:
        pytest.skip("this version of redis-py has no transactions of clusters")


@pytest.mark.usefixtures("measured")
def test_the_immediate_commands_of_a_transaction_are_calls(cluster, count):
    client = redis.RedisCluster("127.0.0.1", cluster.port)
    with begin_transaction(client) as pipeline:
        pipeline.watch("key")
        pipeline.get("key")
        pipeline.multi()
        pipeline.set("key", 2)
        pipeline.execute()
    client.close()
    assert count() == {("WATCH", "ok"): 1, ("GET", "ok"): 1, ("PIPELINE", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_the_immediate_commands_of_an_async_transaction_are_calls(cluster, count):
    async def main():
        async with redis.asyncio.RedisCluster("127.0.0.1", cluster.port) as client:
            async with begin_transaction(client) as pipeline:
                await pipeline.watch("key")
                await pipeline.get("key")
                pipeline.multi()
                pipeline.set("key", 2)
                await pipeline.execute()

    asyncio.run(main())
    assert count() == {("WATCH", "ok"): 1, ("GET", "ok"): 1, ("PIPELINE", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_a_cancelled_command_is_cancelled(cluster, count, samples):
    async def main():
        async with redis.asyncio.RedisCluster("127.0.0.1", cluster.port) as client:
            cluster.ask("CLIENT", "PAUSE", str(PATIENCE_SECONDS * 1000), "WRITE")
            try:
                call = asyncio.create_task(client.set("key", 1))
                await eventually(lambda: samples(ACTIVE, "operation"), {("SET",): 1})
                await eventually(lambda: "blocked_clients:1" in cluster.ask("INFO", "clients"), True)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            finally:
                cluster.ask("CLIENT", "UNPAUSE")

    asyncio.run(main())
    assert count() == {("SET", "cancelled"): 1}
    assert samples(ACTIVE, "operation") == {("SET",): 0}


@pytest.mark.usefixtures("measured")
def test_a_command_that_fails_is_an_error(cluster, count, samples):
    client = redis.RedisCluster("127.0.0.1", cluster.port)
    client.set("key", "text")
    with pytest.raises(redis.ResponseError):
        client.incr("key")
    client.close()
    assert count() == {("SET", "ok"): 1, ("INCRBY", "error"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {("ResponseError",): 1}


def test_a_client_of_its_own_is_measured_with_its_pipelines(cluster, registry, count, samples):
    client = redis.RedisCluster("127.0.0.1", cluster.port)
    instrument(client, registry=registry, name="cache")
    client.set("key", 1)
    client.pipeline().get("key").execute()
    assert samples(COUNT, "pool", "state") == {("cache", "idle"): 1, ("cache", "used"): 0}
    uninstrument(client)
    client.get("key")
    client.close()
    assert count() == {("SET", "ok"): 1, ("PIPELINE", "ok"): 1}


def test_an_async_client_of_its_own_is_measured_with_its_pipelines(cluster, registry, count, samples):
    async def main():
        async with redis.asyncio.RedisCluster("127.0.0.1", cluster.port) as client:
            instrument(client, registry=registry, name="cache")
            await client.set("key", 1)
            await client.pipeline().get("key").execute()
            assert samples(COUNT, "pool", "state") == {("cache", "idle"): 1, ("cache", "used"): 0}
            uninstrument(client)
            await client.get("key")

    asyncio.run(main())
    assert count() == {("SET", "ok"): 1, ("PIPELINE", "ok"): 1}
