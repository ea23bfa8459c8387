"""The statements of aiosqlite, and the fetches of its cursors."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest

import asyncmetrics
from asyncmetrics import CollectorRegistry, instrument_all
from asyncmetrics.integrations.database import own
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.cancellation import cancel_at_each_await
from tests.growth import count_objects, find_growth

aiosqlite = pytest.importorskip("aiosqlite")

CALLS = "db_client_operation_duration_seconds_count"
ACTIVE = "db_client_operation_active"
EXCEPTIONS = "db_client_operation_exceptions_total"


@pytest.fixture
def everywhere(registry):
    with instrument_all(only=["aiosqlite"], registry=registry):
        yield registry


@pytest.fixture
def count(samples):
    """Read how many calls there were, by operation and outcome."""
    return lambda: samples(CALLS, "operation", "outcome")


def list_attributes():
    return {
        (kind, name): value for kind in (aiosqlite.Connection, aiosqlite.Cursor) for name, value in vars(kind).items()
    }


@pytest.mark.parametrize(
    ("method", "arguments", "operation"),
    [
        ("execute", ("SELECT 1",), "SELECT"),
        ("execute", ("SELECT ?", [1]), "SELECT"),
        ("executemany", ("INSERT INTO t VALUES (?)", [(1,), (2,)]), "INSERT"),
        ("executescript", ("DELETE FROM t; SELECT 1;",), "DELETE"),
        ("execute_insert", ("INSERT INTO t VALUES (?)", (1,)), "INSERT"),
        ("execute_fetchall", ("SELECT * FROM t",), "SELECT"),
        ("execute", ("/* all */ select 1",), "SELECT"),
        ("execute", ("PRAGMA user_version",), "PRAGMA"),
    ],
)
async def test_a_statement_of_a_connection_is_one_call(everywhere, count, method, arguments, operation):
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("CREATE TABLE t (x)")
        await getattr(connection, method)(*arguments)
    assert count() == {("CREATE", "ok"): 1, (operation, "ok"): 1}


@pytest.mark.parametrize(
    ("method", "arguments", "operation"),
    [
        ("execute", ("SELECT 1",), "SELECT"),
        ("executemany", ("INSERT INTO t VALUES (?)", [(1,), (2,)]), "INSERT"),
        ("executescript", ("DELETE FROM t; SELECT 1;",), "DELETE"),
    ],
)
async def test_a_statement_of_a_cursor_is_one_call(everywhere, count, method, arguments, operation):
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("CREATE TABLE t (x)")
        cursor = await connection.cursor()
        assert await getattr(cursor, method)(*arguments) is cursor
    assert count() == {("CREATE", "ok"): 1, (operation, "ok"): 1}


async def test_names_of_arguments_are_those_of_the_library(everywhere, count):
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute(sql="SELECT ?", parameters=[1])
        await connection.executescript(sql_script="CREATE TABLE t (x)")
    assert count() == {("SELECT", "ok"): 1, ("CREATE", "ok"): 1}


async def test_each_fetch_is_a_call(everywhere, count):
    async with aiosqlite.connect(":memory:") as connection:
        cursor = await connection.execute("VALUES (1), (2), (3)")
        assert await cursor.fetchone() == (1,)
        assert list(await cursor.fetchmany(1)) == [(2,)]
        assert list(await cursor.fetchall()) == [(3,)]
    assert count() == {("VALUES", "ok"): 1, ("FETCH", "ok"): 3}


async def test_an_iteration_fetches_by_chunks(everywhere, count):
    async with aiosqlite.connect(":memory:", iter_chunk_size=2) as connection:
        cursor = await connection.execute("VALUES (1), (2), (3)")
        assert [row async for row in cursor] == [(1,), (2,), (3,)]
    assert count() == {("VALUES", "ok"): 1, ("FETCH", "ok"): 3}  # the last one finds that there are no more


async def test_a_statement_closes_its_cursor_at_the_end_of_a_block(everywhere):
    async with aiosqlite.connect(":memory:") as connection:
        async with connection.execute("SELECT 1") as cursor:
            assert await cursor.fetchone() == (1,)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await cursor.fetchone()


async def test_an_exception_is_counted_by_its_type_and_raised(everywhere, count, samples):
    async with aiosqlite.connect(":memory:") as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await connection.execute("SELECT * FROM missing")
    assert count() == {("SELECT", "error"): 1}
    assert samples(EXCEPTIONS, "system", "operation", "type") == {("sqlite", "SELECT", "OperationalError"): 1}


async def test_a_closed_connection_fails_as_before(everywhere, count):
    async with aiosqlite.connect(":memory:") as connection:
        pass
    with pytest.raises(ValueError, match="[Cc]losed|no active connection"):
        await connection.execute("SELECT 1")
    assert count() == {("SELECT", "error"): 1}


@pytest.mark.parametrize("method", ["execute", "execute_fetchall"])
async def test_a_cancelled_statement_is_cancelled_at_any_await(everywhere, count, samples, method):
    async with aiosqlite.connect(":memory:") as connection:

        async def call():
            await getattr(connection, method)("SELECT 1")

        runs = await cancel_at_each_await(call)
    assert runs > 0
    assert count() == {("SELECT", "cancelled"): runs, ("SELECT", "ok"): 1}
    assert set(samples(ACTIVE, "operation").values()) == {0}


async def test_a_cancelled_fetch_is_cancelled_at_any_await(everywhere, count, samples):
    async with aiosqlite.connect(":memory:") as connection:
        cursor = await connection.cursor()
        await cursor.execute("SELECT 1")
        runs = await cancel_at_each_await(cursor.fetchall)
    assert runs > 0
    assert count() == {("SELECT", "ok"): 1, ("FETCH", "cancelled"): runs, ("FETCH", "ok"): 1}
    assert set(samples(ACTIVE, "operation").values()) == {0}


async def test_a_statement_waits_for_the_thread_of_its_connection(everywhere, samples):
    """The second statement is active while the first one holds the thread."""
    entered, go = threading.Event(), threading.Event()

    def hold():
        entered.set()
        go.wait()
        return 1

    async with aiosqlite.connect(":memory:") as connection:
        await connection.create_function("hold", 0, hold)
        first = asyncio.create_task(connection.execute_fetchall("SELECT hold()"))
        await asyncio.to_thread(entered.wait)
        second = asyncio.create_task(connection.execute_fetchall("SELECT 1"))
        await asyncio.sleep(0)
        assert samples(ACTIVE, "operation") == {("SELECT",): 2}
        go.set()
        await asyncio.gather(first, second)
    assert samples(ACTIVE, "operation") == {("SELECT",): 0}


async def test_one_connection_can_be_measured_alone(registry, count):
    async with (
        asyncmetrics.instrument(aiosqlite.connect(":memory:"), registry=registry) as measured,
        aiosqlite.connect(":memory:") as other,
    ):
        await measured.execute("SELECT 1")
        await other.execute("PRAGMA user_version")
        asyncmetrics.uninstrument(measured)
        await measured.execute("DROP TABLE IF EXISTS t")
    assert count() == {("SELECT", "ok"): 1}


async def test_a_connection_of_a_measured_library_counts_once(everywhere, count):
    registry = CollectorRegistry()
    async with aiosqlite.connect(":memory:") as connection:
        asyncmetrics.instrument(connection, registry=registry)
        await connection.execute("SELECT 1")
        asyncmetrics.uninstrument(connection)
    labels = {"system": "sqlite", "operation": "SELECT", "outcome": "ok"}
    assert registry.get_sample_value(CALLS, labels) == 1
    assert count() == {}


async def test_the_connection_of_another_library_is_left_to_it(everywhere, count):
    async with aiosqlite.connect(":memory:") as connection:
        own(connection)
        cursor = await connection.execute("SELECT 1")
        await cursor.fetchall()
        await cursor.execute("SELECT 1")
    assert count() == {}


async def test_a_fetch_adds_nothing_to_the_totals_of_a_request(everywhere):
    totals = RequestTotals()
    token = TOTALS.set(totals)
    try:
        async with aiosqlite.connect(":memory:") as connection, connection.execute("SELECT 1") as cursor:
            await cursor.fetchall()
    finally:
        TOTALS.reset(token)
    assert totals.counts == {"db": 1}


async def test_a_failure_of_ours_breaks_no_call(everywhere, count, samples, monkeypatch):
    monkeypatch.setattr("asyncmetrics.integrations.aiosqlite.INTEGRATION.find", lambda _: 1 / 0)
    async with aiosqlite.connect(":memory:") as connection:
        assert await connection.execute_fetchall("SELECT 1") == [(1,)]
    assert count() == {}
    assert samples("asyncmetrics_internal_errors_total", "where")[("integrations.aiosqlite",)] == 1


def test_undoing_leaves_the_classes_as_they_were(registry):
    before = list_attributes()
    with instrument_all(only=["aiosqlite"], registry=registry):
        assert list_attributes() != before
    assert list_attributes() == before


def test_two_loops_one_after_the_other_are_measured(everywhere, count):
    async def main():
        async with aiosqlite.connect(":memory:") as connection:
            await connection.execute("SELECT 1")

    asyncio.run(main())
    asyncio.run(main())
    assert count() == {("SELECT", "ok"): 2}


def test_two_loops_in_threads_are_measured(everywhere, count):
    async def main():
        async with aiosqlite.connect(":memory:") as connection:
            for _ in range(50):
                await connection.execute("SELECT 1")

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count() == {("SELECT", "ok"): 100}


@pytest.mark.slow
async def test_objects_do_not_grow_with_calls(everywhere):
    async with aiosqlite.connect(":memory:") as connection:

        async def call(times):
            for _ in range(times):
                async with connection.execute("SELECT 1") as cursor:
                    await cursor.fetchall()
            return count_objects()

        await call(100)
        assert find_growth([await call(400) for _ in range(4)]) < 40  # sqlite3 frees cursors at every 200th


def test_the_sync_library_below_is_not_touched(everywhere, count):
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("SELECT 1")
    assert count() == {}
