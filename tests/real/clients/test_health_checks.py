"""Clients and pools as health checks: servers are stopped and started again under them."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack

import aiosqlite
import anyio
import asyncpg
import httpx
import psycopg
import pytest
import redis
import redis.asyncio
import sqlalchemy
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine

from asyncmetrics import instrument_all
from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs import HealthChecks
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.patience import eventually

# On the loop, asyncpg looks for a file of passwords.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

END_SECONDS = 5  # a pool that has not closed by then never does


@pytest.fixture
def checks(registry):
    return HealthChecks(registry=registry)


@pytest.fixture
def add(checks):
    return lambda name, client: checks.add(name, client, interval=0.05)


@pytest.fixture
def states(checks):
    """Read whether each check is up."""
    return lambda: {name: not result.reason for name, result in checks.read().items()}


async def end_pool(pool):
    """Close a pool. This may wait forever: asyncpg loses the place of a connection that ends just as it is acquired."""
    with anyio.move_on_after(END_SECONDS):
        await pool.close()  # it terminates the pool when it is cancelled
    await anyio.sleep(0.01)  # in which the transports close


@pytest.fixture
async def databases(postgresql):
    """Clients of PostgreSQL of every kind."""
    async with AsyncExitStack() as stack:
        pools = [ConnectionPool(postgresql.dsn, open=False), AsyncConnectionPool(postgresql.dsn, open=False)]
        stack.enter_context(pools[0])
        await stack.enter_async_context(pools[1])
        url = "postgresql+{}://postgres@/postgres?" + postgresql.query
        engine, async_engine = (
            sqlalchemy.create_engine(url.format("psycopg")),
            create_async_engine(url.format("asyncpg")),
        )
        stack.callback(engine.dispose)
        stack.push_async_callback(async_engine.dispose)
        asyncpg_pool = await asyncpg.create_pool(postgresql.dsn, min_size=1)
        stack.push_async_callback(end_pool, asyncpg_pool)
        yield {
            "engine": engine,
            "async engine": async_engine,
            "asyncpg": asyncpg_pool,
            "psycopg": pools[0],
            "async psycopg": pools[1],
        }


async def test_a_database_is_down_while_it_is_stopped(checks, add, states, databases, postgresql):
    for name, client in databases.items():
        add(name, client)
    async with checks:
        await eventually(states, dict.fromkeys(databases, True))
        postgresql.stop()
        try:
            await eventually(states, dict.fromkeys(databases, False))
            assert not checks.is_ready
        finally:
            postgresql.start()
        await eventually(states, dict.fromkeys(databases, True))
        assert checks.is_ready


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # redis 5.0, if it cannot connect
async def test_redis_is_down_while_it_is_stopped(checks, add, states, redis_server):
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        with redis.Redis.from_url(redis_server.url) as sync_client:
            add("async", client)
            add("sync", sync_client)
            async with checks:
                await eventually(states, {"async": True, "sync": True})
                redis_server.stop()
                try:
                    await eventually(states, {"async": False, "sync": False})
                finally:
                    redis_server.start()
                await eventually(states, {"async": True, "sync": True})
    gc.collect()  # where the warning is expected


async def test_a_connection_of_aiosqlite_is_down_once_it_is_closed(checks, add, states):
    connection = await aiosqlite.connect(":memory:")
    add("file", connection)
    async with checks:
        await eventually(states, {"file": True})
        await connection.close()
        await eventually(states, {"file": False})


async def test_a_check_leaves_a_transaction_of_aiosqlite_as_it_is(checks, add, states):
    async with aiosqlite.connect(":memory:") as connection:
        add("file", connection)
        async with checks:
            await eventually(states, {"file": True})
            assert not connection.in_transaction


async def test_a_check_gives_its_connection_back(checks, add, states, databases):
    for name, client in databases.items():
        add(name, client)
    async with checks:
        await eventually(states, dict.fromkeys(databases, True))
    assert databases["engine"].pool.checkedout() == databases["async engine"].pool.checkedout() == 0
    assert databases["asyncpg"].get_idle_size() == databases["asyncpg"].get_size()


async def test_a_connection_is_refused_with_advice(checks, postgresql):
    connection = await asyncpg.connect(postgresql.dsn)
    with psycopg.connect(postgresql.dsn) as another:
        for one in (connection, another):
            with pytest.raises(DefinitionError, match="pass its pool, or a function that connects"):
                checks.add("db", one)
    await connection.close()


async def test_the_calls_of_a_check_are_in_the_metrics_of_the_client_and_in_no_request(
    checks, add, states, databases, registry, samples
):
    totals = RequestTotals()
    TOTALS.set(totals)
    with instrument_all(only=["asyncpg"], registry=registry):
        add("asyncpg", databases["asyncpg"])
        async with checks:
            await eventually(states, {"asyncpg": True})
    assert samples("db_client_operation_duration_seconds_count", "operation")[("SELECT",)] >= 1
    assert totals.counts == {}


def test_every_class_of_the_table_exists():
    import importlib

    from asyncmetrics.jobs.client_checks import ADVICE, CHECKS

    missing = []
    for name in [*CHECKS, *ADVICE]:
        parts = name.split(".")
        owner = importlib.import_module(".".join(parts[:-1]))
        found = getattr(owner, parts[-1], None)
        if found is None or f"{found.__module__}.{found.__qualname__}" != name:
            missing.append(name)
    assert missing == []


def test_every_client_that_is_measured_is_a_check_or_has_advice():
    from asyncmetrics.integrations.libraries import CLIENTS
    from asyncmetrics.jobs.client_checks import ADVICE, CHECKS

    others = {"httpx.AsyncHTTPTransport", "httpx.HTTPTransport", "httpx2.AsyncHTTPTransport", "httpx2.HTTPTransport"}
    clients = {name for name, integration in CLIENTS.items() if ".integrations." in integration}
    assert clients - set(CHECKS) - set(ADVICE) - others - {"logging.Logger"} == set()


async def test_a_client_that_the_table_does_not_know_is_refused(checks):
    with pytest.raises(DefinitionError, match="expected a function without arguments; a client of httpx"):
        checks.add("bank", httpx.AsyncHTTPTransport())
