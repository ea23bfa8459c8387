"""The pools of psycopg_pool, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress

import psycopg
import psycopg_pool
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, ConnectionPool, NullConnectionPool

import asyncmetrics
from asyncmetrics import CollectorRegistry, instrument_all
from tests.cancellation import cancel_at_each_await
from tests.growth import count_objects, find_growth
from tests.patience import PATIENCE_SECONDS, eventually, wait_for

pytestmark = pytest.mark.real

SHORT_SECONDS = 0.01  # where the time must run out
PREFIX = "db_client_connection"
CALLS = "db_client_operation_duration_seconds_count"
RECORDED = ("wait_time_seconds_count", "use_time_seconds_count", "create_time_seconds_count")
POOLS = (ConnectionPool, AsyncConnectionPool)


@pytest.fixture
def everywhere(registry):
    with instrument_all(only=["psycopg_pool"], registry=registry):
        yield registry


@pytest.fixture
def states(samples):
    """Read how many connections there are in each state, of the only pool."""
    return lambda: {state: number for (state,), number in samples(f"{PREFIX}_count", "state").items()}


@pytest.fixture
def recorded(samples):
    """Read what was recorded for the only pool: waits, uses and creations."""
    return lambda: tuple(sum(samples(f"{PREFIX}_{name}", "pool").values()) for name in RECORDED)


@pytest.fixture
def pool_names(samples):
    """Read the names of the pools in all families."""
    names = ("count", "max", "pending_requests", "timeouts_total", *RECORDED)
    return lambda: {pool for name in names for (pool,) in samples(f"{PREFIX}_{name}", "pool")}


@pytest.fixture
async def pool(postgresql, everywhere):
    async with AsyncConnectionPool(postgresql.dsn, min_size=2, open=False, timeout=PATIENCE_SECONDS) as pool:
        await pool.wait(PATIENCE_SECONDS)
        yield pool


def list_attributes():
    return {(kind, name): value for pool in POOLS for kind in pool.__mro__ for name, value in vars(kind).items()}


async def test_a_pool_has_its_numbers(pool, states, samples):
    assert states() == {"idle": 2, "used": 0}
    async with pool.connection():
        assert states() == {"idle": 1, "used": 1}
    assert states() == {"idle": 2, "used": 0}
    assert list(samples(f"{PREFIX}_max", "pool").values()) == [2]


async def test_waits_uses_and_creations_are_recorded(pool, recorded):
    assert recorded() == (0, 0, 2)
    async with pool.connection():
        assert recorded() == (1, 0, 2)
    assert recorded() == (1, 1, 2)
    connection = await pool.getconn()
    await pool.putconn(connection)
    assert recorded() == (2, 2, 2)


async def test_a_connection_of_another_pool_is_refused_as_before(pool, recorded, postgresql):
    async with await psycopg.AsyncConnection.connect(postgresql.dsn) as connection:
        with pytest.raises(ValueError, match="can't return connection"):
            await pool.putconn(connection)
    assert recorded() == (0, 0, 2)


async def test_calls_that_wait_are_pending(pool, samples, states):
    async def use():
        async with pool.connection():
            pass

    async with pool.connection(), pool.connection():
        task = asyncio.create_task(use())
        await eventually(lambda: list(samples(f"{PREFIX}_pending_requests", "pool").values()), [1])
    await task
    assert list(samples(f"{PREFIX}_pending_requests", "pool").values()) == [0]
    assert states() == {"idle": 2, "used": 0}


async def test_a_call_that_gets_no_connection_in_time_is_a_timeout(pool, samples, states, recorded):
    async with pool.connection(), pool.connection():
        with pytest.raises(psycopg_pool.PoolTimeout, match="0.01"):
            await pool.getconn(timeout=SHORT_SECONDS)
    assert list(samples(f"{PREFIX}_timeouts_total", "pool").values()) == [1]
    assert recorded()[:2] == (3, 2)
    assert states() == {"idle": 2, "used": 0}


async def test_a_cancelled_call_takes_no_connection(pool, states, samples):
    async def use():
        async with pool.connection():
            await asyncio.sleep(0)

    runs = await cancel_at_each_await(use)
    assert runs > 0
    await eventually(states, {"idle": 2, "used": 0})
    assert list(samples(f"{PREFIX}_timeouts_total", "pool").values()) == []


async def test_a_cancelled_wait_takes_no_connection(pool, states, samples):
    async with pool.connection(), pool.connection():
        await cancel_at_each_await(lambda: _get_in_vain(pool))
        assert states() == {"idle": 0, "used": 2}
    await eventually(states, {"idle": 2, "used": 0})


async def _get_in_vain(pool):
    with suppress(psycopg_pool.PoolTimeout):
        await pool.getconn(timeout=SHORT_SECONDS)


async def test_a_scrape_resets_no_number_of_the_pool(pool, states):
    async with pool.connection():
        pass
    before = pool.get_stats()
    states()
    assert pool.get_stats() == before


def test_a_sync_pool_is_measured(postgresql, everywhere, states, recorded):
    with ConnectionPool(postgresql.dsn, min_size=1, open=False) as pool:
        pool.wait(PATIENCE_SECONDS)
        with pool.connection():
            assert states() == {"idle": 0, "used": 1}
        assert states() == {"idle": 1, "used": 0}
        assert recorded() == (1, 1, 1)
    assert states() == {}


def test_a_sync_pool_may_wait_too_long(postgresql, everywhere, samples):
    with ConnectionPool(postgresql.dsn, min_size=1, open=False) as pool, pool.connection():
        with pytest.raises(psycopg_pool.PoolTimeout):
            pool.getconn(timeout=SHORT_SECONDS)
        assert list(samples(f"{PREFIX}_timeouts_total", "pool").values()) == [1]


def test_a_pool_that_its_constructor_opens_is_measured(postgresql, everywhere, states):
    pool = ConnectionPool(postgresql.dsn, min_size=1, open=True)
    try:
        wait_for(states, {"idle": 1, "used": 0})
    finally:
        pool.close()
    assert states() == {}


async def test_a_null_pool_is_measured(postgresql, everywhere, states, recorded, samples):
    async with AsyncNullConnectionPool(postgresql.dsn, max_size=2, open=False) as pool:
        async with pool.connection():
            assert states() == {"idle": 0, "used": 1}
        assert states() == {"idle": 0, "used": 0}
        assert recorded() == (1, 1, 1)
        assert list(samples(f"{PREFIX}_max", "pool").values()) == [2]
    assert states() == {}


def test_a_sync_null_pool_without_a_limit_has_no_maximum(postgresql, everywhere, states, samples):
    with NullConnectionPool(postgresql.dsn, max_size=0, open=False) as pool:
        with pool.connection():
            assert states() == {"idle": 0, "used": 1}
        assert samples(f"{PREFIX}_max", "pool") == {}


@pytest.mark.parametrize(
    ("given", "option", "expected"),
    [(None, "", "psycopg-1"), ("shop", "", "shop"), ("shop", "orders", "orders"), ("pool-7", "", "psycopg-1")],
)
async def test_a_pool_has_a_name(postgresql, registry, pool_names, given, option, expected):
    pool = AsyncConnectionPool(postgresql.dsn, min_size=1, open=False, name=given)
    asyncmetrics.instrument(pool, registry=registry, name=option)
    async with pool:
        assert pool_names() == {expected}


async def test_the_series_of_a_pool_disappear_when_it_is_closed(postgresql, everywhere, pool_names):
    async with AsyncConnectionPool(postgresql.dsn, min_size=2, open=False) as pool:
        connection = await pool.getconn()
        assert pool_names() == {"psycopg-1"}
    assert pool_names() == set()
    await pool.putconn(connection)
    with pytest.raises(psycopg_pool.PoolClosed):
        await pool.getconn()
    assert pool_names() == set()


async def test_the_series_of_a_pool_that_closed_while_a_call_waited_do_not_return(pool, pool_names):
    connections = [await pool.getconn(), await pool.getconn()]
    task = asyncio.create_task(pool.getconn())
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(psycopg_pool.PoolClosed):
        await task
    for connection in connections:
        await pool.putconn(connection)
    assert pool_names() == set()


async def test_a_pool_that_cannot_be_opened_again_is_not_exposed(pool, pool_names):
    await pool.close()
    with pytest.raises(psycopg.OperationalError, match="cannot be reused"):
        await pool.open()
    assert pool_names() == set()


def test_the_series_of_a_pool_that_is_collected_disappear(postgresql, everywhere, pool_names):
    pool = NullConnectionPool(postgresql.dsn, max_size=1, open=False)
    asyncmetrics.instrument(pool, registry=everywhere)
    assert pool_names() == {"psycopg-1"}
    del pool
    gc.collect()
    assert pool_names() == set()


async def test_undoing_removes_the_series_of_pools_that_are_open(postgresql, registry, pool_names):
    pool = AsyncConnectionPool(postgresql.dsn, min_size=1, open=False)
    before = list_attributes()
    instrumentation = await asyncio.to_thread(lambda: instrument_all(only=["psycopg_pool"], registry=registry))
    async with pool:
        async with pool.connection():
            assert pool_names() == {"psycopg-1"}
            instrumentation.undo()
            assert pool_names() == set()
        assert list_attributes() == before
    assert pool_names() == set()


async def test_a_pool_measured_alone_has_its_statements_measured(postgresql, registry, samples, pool_names):
    options = {"min_size": 1, "open": False}
    async with AsyncConnectionPool(postgresql.dsn, **options) as pool, AsyncConnectionPool(postgresql.dsn) as other:
        asyncmetrics.instrument(pool, registry=registry)
        async with pool.connection() as connection, other.connection() as unmeasured:
            await connection.execute("SELECT 1")
            await unmeasured.execute("SHOW work_mem")
        assert pool_names() == {"psycopg-1"}
        asyncmetrics.uninstrument(pool)
        assert pool_names() == set()
        async with pool.connection() as connection:
            await connection.execute("VALUES (1)")
    assert samples(CALLS, "operation") == {("SELECT",): 1}


async def test_a_wait_that_outlives_the_measuring_has_no_series(postgresql, registry, pool_names):
    async with AsyncConnectionPool(postgresql.dsn, min_size=1, open=False, timeout=PATIENCE_SECONDS) as pool:
        asyncmetrics.instrument(pool, registry=registry)
        connection = await pool.getconn()
        waiting = [asyncio.create_task(pool.getconn()), asyncio.create_task(_get_in_vain(pool))]
        await asyncio.sleep(0)  # both have begun, and no time can run out before the next line
        asyncmetrics.uninstrument(pool)
        await waiting[1]
        await pool.putconn(connection)
        await pool.putconn(await waiting[0])
        assert pool_names() == set()


async def test_a_connection_instrumented_by_itself_keeps_its_metrics(postgresql, registry, samples):
    own = CollectorRegistry()
    async with AsyncConnectionPool(postgresql.dsn, min_size=1, open=False) as pool:
        async with pool.connection() as connection:
            asyncmetrics.instrument(connection, registry=own)
        asyncmetrics.instrument(pool, registry=registry)
        async with pool.connection() as same:
            await same.execute("SELECT 1")
        asyncmetrics.uninstrument(pool)
        async with pool.connection() as same:
            await same.execute("SELECT 1")
        asyncmetrics.uninstrument(connection)
    labels = {"system": "postgresql", "operation": "SELECT", "outcome": "ok"}
    assert own.get_sample_value(CALLS, labels) == 2
    assert samples(CALLS, "operation") == {}


async def test_the_library_alone_measures_no_statements(pool, samples):
    async with pool.connection() as connection:
        await connection.execute("SELECT 1")
    assert samples(CALLS, "operation") == {}


async def test_a_connection_that_cannot_be_made_is_no_creation(postgresql, everywhere, recorded):
    dsn = make_conninfo(postgresql.dsn, dbname="missing")
    async with AsyncNullConnectionPool(dsn, max_size=1, open=False) as pool:
        with pytest.raises(psycopg.OperationalError, match="missing"):
            await pool.getconn()
        assert recorded() == (0, 0, 0)


@pytest.mark.parametrize("end", [asyncmetrics.uninstrument, lambda pool: pool.close()])
def test_a_pool_measured_alone_leaves_no_patch_behind(postgresql, registry, end):
    kinds = (psycopg.Cursor, *POOLS)
    before = [dict(vars(kind)) for kind in kinds]
    with ConnectionPool(postgresql.dsn, min_size=1, open=False) as pool:
        asyncmetrics.instrument(pool, registry=registry)
        with pool.connection() as connection:
            connection.execute("SELECT 1")
        assert [dict(vars(kind)) for kind in kinds] != before
        end(pool)
        assert [dict(vars(kind)) for kind in kinds] == before


def test_a_pool_of_a_measured_library_counts_once(postgresql, registry):
    own = CollectorRegistry()
    with (
        instrument_all(only=["psycopg", "psycopg_pool"], registry=registry),
        ConnectionPool(postgresql.dsn, min_size=1, open=False) as pool,
    ):
        asyncmetrics.instrument(pool, registry=own)
        with pool.connection() as connection:
            connection.execute("SELECT 1")
        labels = {"system": "postgresql", "operation": "SELECT", "outcome": "ok"}
        assert [each.get_sample_value(CALLS, labels) for each in (own, registry)] == [1, None]
        waits = f"{PREFIX}_wait_time_seconds_count"
        assert [each.get_sample_value(waits, {"pool": "psycopg-1"}) for each in (own, registry)] == [1, None]


def test_statements_of_the_pool_itself_are_not_measured(postgresql, registry, samples):
    with (
        instrument_all(only=["psycopg"], registry=registry),
        ConnectionPool(postgresql.dsn, min_size=1, open=False, check=ConnectionPool.check_connection) as pool,
    ):
        with pool.connection():
            pass
        pool.check()
    assert samples(CALLS, "operation") == {}


async def test_a_failure_of_ours_breaks_no_call(pool, samples, monkeypatch):
    monkeypatch.setattr("asyncmetrics.integrations.psycopg_pool.INTEGRATION.find", lambda _: 1 / 0)
    async with pool.connection() as connection:
        assert not connection.closed
    assert samples("asyncmetrics_internal_errors_total", "where")[("integrations.psycopg_pool",)] >= 1


def test_two_loops_in_threads_are_measured(postgresql, everywhere, samples):
    async def main():
        async with AsyncConnectionPool(postgresql.dsn, min_size=1, open=False, name="shop") as pool:
            for _ in range(20):
                async with pool.connection():
                    pass
            counts.append(samples(f"{PREFIX}_wait_time_seconds_count", "pool")[("shop",)])
            await asyncio.to_thread(barrier.wait, PATIENCE_SECONDS)

    counts, barrier = [], threading.Barrier(2)
    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(counts) == 40


@pytest.mark.slow
async def test_objects_do_not_grow_with_calls(pool):
    async def call(times):
        for _ in range(times):
            async with pool.connection():
                pass
        return count_objects()

    assert find_growth([await call(300) for _ in range(4)]) < 30


def test_a_pool_returns_to_the_truth_after_its_server_was_away(postgresql, everywhere, states):
    async def use(pool):
        async with pool.connection() as connection:
            while True:
                await connection.execute("SELECT 1")

    async def main():
        options = {"min_size": 2, "open": False, "timeout": PATIENCE_SECONDS}
        async with AsyncConnectionPool(postgresql.dsn, **options) as pool:
            await pool.wait(PATIENCE_SECONDS)
            tasks = [asyncio.create_task(use(pool)) for _ in range(2)]
            await eventually(states, {"idle": 0, "used": 2})
            await asyncio.to_thread(postgresql.stop)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert states() == {"idle": 0, "used": 0}
            await asyncio.to_thread(postgresql.start)
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            await eventually(states, {"idle": 2, "used": 0})
            return results

    assert all(isinstance(result, psycopg.OperationalError) for result in asyncio.run(main()))


async def test_a_connection_that_cannot_be_made_is_a_failed_connect(tmp_path, registry, samples):
    with instrument_all(only=["psycopg_pool"], registry=registry):
        pool = psycopg_pool.AsyncConnectionPool(f"host={tmp_path}", min_size=1, open=False, reconnect_timeout=60)
        await pool.open()
        await eventually(lambda: samples(CALLS, "operation", "outcome").get(("CONNECT", "error"), 0) >= 1, True)
        await pool.close()
    assert set(samples("db_client_operation_exceptions_total", "operation", "type")) == {
        ("CONNECT", "OperationalError")
    }


async def test_calls_that_have_given_up_are_not_pending(pool, samples):
    async with pool.connection(), pool.connection():
        for _ in range(3):
            with pytest.raises(psycopg_pool.PoolTimeout):
                await pool.getconn(timeout=SHORT_SECONDS)
        assert set(samples(f"{PREFIX}_pending_requests", "pool").values()) == {0}
        waiting = asyncio.create_task(pool.getconn())
        await eventually(lambda: set(samples(f"{PREFIX}_pending_requests", "pool").values()), {1})
        waiting.cancel()
        await asyncio.wait([waiting])
        assert set(samples(f"{PREFIX}_pending_requests", "pool").values()) == {0}
