"""The statements of psycopg, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import enum
import threading
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

import asyncmetrics
from asyncmetrics import CollectorRegistry, instrument_all
from asyncmetrics.integrations.database import own
from tests.cancellation import cancel_at_each_await
from tests.growth import count_objects, find_growth
from tests.patience import eventually

pytestmark = pytest.mark.real

CALLS = "db_client_operation_duration_seconds_count"
ACTIVE = "db_client_operation_active"
EXCEPTIONS = "db_client_operation_exceptions_total"
_MOST_AWAITS = 30
CURSORS = (psycopg.Cursor, psycopg.AsyncCursor, psycopg.ServerCursor, psycopg.AsyncServerCursor)


class Statements(str, enum.Enum):
    SHOW = "SHOW work_mem"


@pytest.fixture
def everywhere(registry):
    with instrument_all(only=["psycopg"], registry=registry):
        yield registry


@pytest.fixture
def count(samples):
    """Read how many calls there were, by operation and outcome."""
    return lambda: samples(CALLS, "operation", "outcome")


@pytest.fixture
def active(samples):
    """Read the numbers of active calls, whatever the operation."""
    return lambda: set(samples(ACTIVE, "operation").values())


@pytest.fixture
async def connection(postgresql):
    connection = await psycopg.AsyncConnection.connect(postgresql.dsn, autocommit=True)
    await connection.execute("CREATE TEMP TABLE numbers AS SELECT generate_series(1, 250) AS x")
    yield connection
    await connection.close()


@pytest.fixture
async def connections(postgresql):
    """As many connections as a call may have awaits."""
    connections = [await psycopg.AsyncConnection.connect(postgresql.dsn) for _ in range(_MOST_AWAITS)]
    yield connections
    for connection in connections:
        await connection.close()


@pytest.fixture
def sync_connection(postgresql):
    with psycopg.connect(postgresql.dsn, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE numbers AS SELECT generate_series(1, 250) AS x")
        yield connection


def list_attributes():
    kinds = {kind for cursor in CURSORS for kind in cursor.__mro__}
    return {(kind, name): value for kind in kinds for name, value in vars(kind).items()}


async def copy_out(connection):
    async with connection.cursor().copy("COPY (SELECT generate_series(1, 250)) TO STDOUT") as copy:
        return [block async for block in copy]


async def test_each_method_is_one_call(connection, everywhere, count):
    cursor = connection.cursor()
    assert await cursor.execute("SELECT %s", [1]) is cursor
    await cursor.executemany("INSERT INTO numbers VALUES (%s)", [(1,), (2,)])
    assert [row async for row in cursor.stream("VALUES (1), (2)")] == [(1,), (2,)]
    assert await copy_out(connection)
    assert count() == {("SELECT", "ok"): 1, ("INSERT", "ok"): 1, ("VALUES", "ok"): 1, ("COPY", "ok"): 1}


def test_each_sync_method_is_one_call(sync_connection, everywhere, count):
    cursor = sync_connection.cursor()
    assert cursor.execute("SELECT %s", [1]) is cursor
    cursor.executemany("INSERT INTO numbers VALUES (%s)", [(1,), (2,)])
    assert list(cursor.stream("VALUES (1), (2)")) == [(1,), (2,)]
    with cursor.copy("COPY numbers TO STDOUT") as copy:
        assert list(copy)
    assert count() == {("SELECT", "ok"): 1, ("INSERT", "ok"): 1, ("VALUES", "ok"): 1, ("COPY", "ok"): 1}


async def test_execute_of_a_connection_is_one_call(connection, everywhere, count):
    await connection.execute("SELECT 1")
    assert count() == {("SELECT", "ok"): 1}


def test_execute_of_a_sync_connection_is_one_call(sync_connection, everywhere, count):
    sync_connection.execute("SELECT 1")
    assert count() == {("SELECT", "ok"): 1}


@pytest.mark.parametrize("name", ["AsyncClientCursor", "AsyncRawCursor"])
async def test_cursors_of_other_kinds_are_measured(connection, everywhere, count, name):
    if name not in vars(psycopg):
        pytest.skip(f"psycopg {psycopg.__version__} has none")
    await vars(psycopg)[name](connection).execute("SELECT 1")
    assert count() == {("SELECT", "ok"): 1}


async def test_names_of_arguments_are_those_of_the_library(connection, everywhere, count):
    cursor = connection.cursor()
    await cursor.execute(query="SELECT 1")
    async with cursor.copy(statement="COPY numbers TO STDOUT") as copy:
        async for _ in copy:
            pass
    assert count() == {("SELECT", "ok"): 1, ("COPY", "ok"): 1}


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("-- all\n  select 1", "SELECT"),
        (b"SHOW work_mem", "SHOW"),
        (b"SELECT '" + b"x" * 100_000 + b"'", "SELECT"),
        (Statements.SHOW, "SHOW"),
        (sql.SQL("SELECT 1"), "SELECT"),
        (sql.SQL("SELECT x FROM {}").format(sql.Identifier("numbers")), "SELECT"),
        (sql.SQL(" ") + sql.SQL("/* all */") + sql.SQL("UPDATE numbers SET x = {}").format(1), "UPDATE"),
        (sql.Composed([sql.Composed([sql.SQL("DELETE ")]), sql.SQL("FROM numbers")]), "DELETE"),
        (sql.SQL("{} 1").format(sql.SQL("SELECT")), "SELECT"),
    ],
)
async def test_the_operation_is_the_first_word_of_a_statement(connection, everywhere, count, statement, operation):
    await connection.execute(statement)
    assert count() == {(operation, "ok"): 1}


@pytest.mark.parametrize(
    "statement",
    [
        sql.Identifier("SELECT"),
        sql.Literal("SELECT"),
        sql.Identifier("x") + sql.SQL("SELECT 1"),
        sql.Composed([sql.SQL("FOO "), sql.Identifier("bar")]),
        "frobnicate",
        sql.Composed([]),
        3,
    ],
)
async def test_a_statement_without_a_word_of_sql_is_another(connection, everywhere, count, statement):
    with suppress(psycopg.Error, TypeError):
        await connection.execute(statement)
    assert {operation for operation, _ in count()} == {"_OTHER"}


async def test_no_part_after_the_first_word_is_rendered(connection, everywhere, count):
    class Part(sql.Composable):
        times = 0

        def as_bytes(self, context=None):
            Part.times += 1
            return b"1"

        def as_string(self, context=None):
            return self.as_bytes().decode()

    await connection.execute(sql.Composed([sql.SQL("SELECT "), Part("")]))
    assert (count(), Part.times) == ({("SELECT", "ok"): 1}, 1)


async def test_a_template_is_searched_for_its_first_word(connection, everywhere, count):
    templates = pytest.importorskip("string.templatelib")
    begin = templates.Interpolation(sql.SQL("SELECT"), "begin", None, "q")
    await connection.execute(templates.Template(begin, " ", templates.Interpolation(1, "one", None, "")))
    assert count() == {("SELECT", "ok"): 1}


async def test_an_empty_statement_is_not_measured(connection, everywhere, count):
    await connection.execute("")
    assert count() == {}


async def test_a_cursor_on_the_server_has_calls_of_its_own(connection, everywhere, count):
    async with connection.transaction(), connection.cursor("server", scrollable=True) as cursor:
        await cursor.execute("SELECT x FROM numbers ORDER BY x")
        await cursor.scroll(0, "absolute")
        assert await cursor.fetchone() == (1,)
        assert len(await cursor.fetchmany(2)) == 2
        assert len(await cursor.fetchall()) == 247
    assert count() == {("DECLARE", "ok"): 1, ("MOVE", "ok"): 1, ("FETCH", "ok"): 3}


def test_a_sync_cursor_on_the_server_has_calls_of_its_own(sync_connection, everywhere, count):
    with sync_connection.transaction(), sync_connection.cursor("server", scrollable=True) as cursor:
        cursor.execute("SELECT x FROM numbers")
        cursor.scroll(0, "absolute")
        assert len(list(cursor)) == 250
    assert count() == {("DECLARE", "ok"): 1, ("MOVE", "ok"): 1, ("FETCH", "ok"): 3}


async def test_a_page_of_an_iteration_is_one_fetch(connection, everywhere, count):
    async with connection.transaction(), connection.cursor("server") as cursor:
        await cursor.execute("SELECT x FROM numbers")
        assert len([row async for row in cursor]) == 250  # in pages of 100
    assert count() == {("DECLARE", "ok"): 1, ("FETCH", "ok"): 3}


async def test_an_exception_is_counted_by_its_type_and_raised(connection, everywhere, count, samples):
    with pytest.raises(errors.UndefinedTable):
        await connection.execute("SELECT * FROM missing")
    assert count() == {("SELECT", "error"): 1}
    assert samples(EXCEPTIONS, "system", "operation", "type") == {("postgresql", "SELECT", "UndefinedTable"): 1}


async def test_a_fetch_may_fail(connection, everywhere, samples, count):
    with suppress(errors.DivisionByZero):
        async with connection.transaction(), connection.cursor("server") as cursor:
            await cursor.execute("SELECT 1 / (x - 1) FROM numbers")
            await cursor.fetchall()
    assert count() == {("DECLARE", "ok"): 1, ("FETCH", "error"): 1}
    assert samples(EXCEPTIONS, "operation", "type") == {("FETCH", "DivisionByZero"): 1}


async def test_a_timeout_of_the_server_is_an_error(connection, everywhere, samples, active):
    await connection.execute("SET statement_timeout = 50")
    with pytest.raises(errors.QueryCanceled):
        await connection.execute("SELECT pg_sleep(3600)")
    with pytest.raises(errors.QueryCanceled):
        async with connection.transaction(), connection.cursor("server") as cursor:
            await cursor.execute("SELECT pg_sleep(3600)")
            await cursor.fetchone()
    assert samples(EXCEPTIONS, "operation", "type") == {("SELECT", "QueryCanceled"): 1, ("FETCH", "QueryCanceled"): 1}
    assert active() == {0}


async def stream(connection):
    return [row async for row in connection.cursor().stream("SELECT generate_series(1, 250)")]


async def fetch_all(cursor):
    return await cursor.fetchall()


async def iterate(cursor):
    return [row async for row in cursor]


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda connection: connection.execute("SELECT pg_sleep(0.001)"), "SELECT"),
        (stream, "SELECT"),
        (copy_out, "COPY"),
    ],
    ids=["execute", "stream", "copy"],
)
async def test_a_cancelled_call_is_cancelled_at_any_await(connections, everywhere, count, active, call, operation):
    """Each call has a connection of its own, since a cancelled COPY leaves the connection of no use."""
    unused = list(connections)
    runs = await cancel_at_each_await(lambda: call(unused.pop()))
    assert runs > 0
    assert count() == {(operation, "cancelled"): runs, (operation, "ok"): 1}
    assert active() == {0}


async def test_a_cancelled_executemany_has_one_outcome_at_any_await(connections, everywhere, count, active):
    """psycopg itself raises AssertionError, 3.1 TypeError, where the beginning of its pipeline is cancelled."""
    unused = list(connections)

    async def call():
        with suppress(AssertionError, TypeError):
            await unused.pop().cursor().executemany("UPDATE pg_class SET relname = %s WHERE false", [("a",), ("b",)])

    runs = await cancel_at_each_await(call)
    assert runs > 0
    assert sum(count().values()) == runs + 1
    assert active() == {0}


@pytest.mark.parametrize("fetch", [fetch_all, iterate])
async def test_a_cancelled_fetch_is_cancelled_at_any_await(connections, everywhere, samples, active, fetch):
    """Each fetch has a cursor and a connection of its own, since the cancelled ones are of no use."""
    cursors = [connection.cursor("server") for connection in connections]
    for cursor in cursors:
        await cursor.execute("SELECT generate_series(1, 150)")
    unused = list(cursors)
    runs = await cancel_at_each_await(lambda: fetch(unused.pop()))
    for connection in connections:
        await connection.close()
    for cursor in cursors:
        await cursor.close()
    calls = samples(CALLS, "operation", "outcome")
    assert runs > 0
    assert calls["FETCH", "cancelled"] == runs
    assert ("FETCH", "error") not in calls
    assert active() == {0}


async def test_a_fetch_that_the_server_cancels_with_its_task_is_cancelled(connection, everywhere, samples, active):
    async with connection.transaction(force_rollback=True), connection.cursor("server") as cursor:
        await cursor.execute("SELECT pg_sleep(3600)")
        task = asyncio.create_task(cursor.fetchone())
        await eventually(lambda: connection.info.transaction_status, TransactionStatus.ACTIVE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    calls = samples(CALLS, "operation", "outcome")
    assert calls == {("DECLARE", "ok"): 1, ("FETCH", "cancelled"): 1}
    assert active() == {0}


async def test_a_fetch_while_a_cancellation_is_handled_is_no_cancelled_one(connection, everywhere, count):
    async with connection.transaction(), connection.cursor("server") as cursor:
        await cursor.execute("VALUES (1)")
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            assert await cursor.fetchall() == [(1,)]
    assert count() == {("DECLARE", "ok"): 1, ("FETCH", "ok"): 1}


async def test_a_stream_that_is_closed_early_is_no_error(connection, everywhere, count, active):
    rows = connection.cursor().stream("SELECT x FROM numbers")
    async for _ in rows:
        assert active() == {1}
        break
    await rows.aclose()
    assert count() == {("SELECT", "ok"): 1}
    assert active() == {0}


def test_a_sync_stream_that_is_closed_early_is_no_error(sync_connection, everywhere, count, active):
    rows = sync_connection.cursor().stream("SELECT x FROM numbers")
    next(rows)
    assert active() == {1}
    rows.close()
    assert count() == {("SELECT", "ok"): 1}
    assert active() == {0}


async def test_a_stream_may_fail_after_some_rows(connection, everywhere, samples):
    with pytest.raises(errors.DivisionByZero):
        async for _ in connection.cursor().stream("SELECT 1 / (x - 200) FROM numbers"):
            pass
    assert samples(EXCEPTIONS, "operation", "type") == {("SELECT", "DivisionByZero"): 1}


async def test_a_copy_ends_with_its_block(connection, everywhere, count, active):
    async with connection.cursor().copy("COPY numbers FROM STDIN") as copy:
        assert (count(), active()) == ({}, {1})
        await copy.write_row([1])
    assert (count(), active()) == ({("COPY", "ok"): 1}, {0})


async def test_a_copy_whose_block_raises_is_an_error(connection, everywhere, samples, active):
    with pytest.raises(LookupError):
        async with connection.cursor().copy("COPY numbers FROM STDIN"):
            raise LookupError
    assert samples(EXCEPTIONS, "operation", "type") == {("COPY", "LookupError"): 1}
    assert active() == {0}


async def test_each_statement_in_a_pipeline_is_one_call(connection, everywhere, count, active):
    if not psycopg.Pipeline.is_supported():
        pytest.skip("this libpq has no pipelines")
    async with connection.pipeline():
        cursors = [await connection.execute("SELECT 1") for _ in range(3)]
        assert await cursors[-1].fetchone() == (1,)
    assert count() == {("SELECT", "ok"): 3}
    assert active() == {0}


async def test_a_transaction_of_psycopg_has_no_calls(connection, everywhere, count):
    async with connection.transaction():
        pass
    assert count() == {}


async def test_one_connection_can_be_measured_alone(postgresql, connection, registry, count):
    other = await psycopg.AsyncConnection.connect(postgresql.dsn)
    assert asyncmetrics.instrument(connection, registry=registry) is connection
    await connection.execute("SELECT 1")
    await other.execute("SHOW work_mem")
    asyncmetrics.uninstrument(connection)
    await connection.execute("VALUES (1)")
    await other.close()
    assert count() == {("SELECT", "ok"): 1}


def test_a_connection_of_a_measured_library_counts_once(sync_connection, everywhere, count):
    registry = CollectorRegistry()
    asyncmetrics.instrument(sync_connection, registry=registry)
    sync_connection.execute("SELECT 1")
    asyncmetrics.uninstrument(sync_connection)
    labels = {"system": "postgresql", "operation": "SELECT", "outcome": "ok"}
    assert registry.get_sample_value(CALLS, labels) == 1
    assert count() == {}


async def test_the_connection_of_another_library_is_left_to_it_but_for_what_the_library_never_calls(
    connection, everywhere, count
):
    own(connection)
    await connection.execute("SELECT 1")
    async with connection.transaction(), connection.cursor("server") as cursor:
        await cursor.execute("SELECT 1")
        assert await cursor.fetchall() == [(1,)]
    assert count() == {}
    assert await stream(connection)
    assert await copy_out(connection)
    assert count() == {("SELECT", "ok"): 1, ("COPY", "ok"): 1}


async def test_a_failure_of_ours_breaks_no_call(connection, everywhere, count, samples, monkeypatch):
    monkeypatch.setattr("asyncmetrics.integrations.psycopg.INTEGRATION.find", lambda _: 1 / 0)
    await connection.execute("SELECT 1")
    assert await stream(connection)
    async with connection.transaction(), connection.cursor("server") as cursor:
        await cursor.execute("SELECT 1")
        assert await cursor.fetchall() == [(1,)]
    assert count() == {}
    assert samples("asyncmetrics_internal_errors_total", "where")[("integrations.psycopg",)] == 4


def test_undoing_leaves_the_classes_as_they_were(registry):
    before = list_attributes()
    with instrument_all(only=["psycopg"], registry=registry):
        assert list_attributes() != before
    assert list_attributes() == before


def test_a_subclass_that_calls_its_base_counts_once(sync_connection, everywhere, count):
    class Cursor(psycopg.Cursor):
        def execute(self, *args, **kwargs):
            return super().execute(*args, **kwargs)

    Cursor(sync_connection).execute("SELECT 1")
    assert count() == {("SELECT", "ok"): 1}


@contextmanager
def traced(provider):
    """Let OpenTelemetry instrument psycopg."""
    instrumentor = PsycopgInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.mark.parametrize("is_first", [True, False], ids=["ours first", "ours last"])
@pytest.mark.parametrize("leaves_first", [True, False], ids=["undone first", "undone last"])
def test_spans_and_calls_are_as_many_beside_opentelemetry(postgresql, registry, count, is_first, leaves_first):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def main():
        async with await psycopg.AsyncConnection.connect(postgresql.dsn) as connection:
            await connection.execute("SELECT 1")
        with psycopg.connect(postgresql.dsn) as connection:
            connection.execute("SELECT 1")

    before = list_attributes()
    enter = {True: lambda: instrument_all(only=["psycopg"], registry=registry), False: lambda: traced(provider)}
    with ExitStack() as ours, ExitStack() as theirs:
        for stack in (ours, theirs) if is_first else (theirs, ours):
            stack.enter_context(enter[stack is ours]())
        asyncio.run(main())
        assert len(exporter.get_finished_spans()) == 2
        (ours if leaves_first else theirs).close()
        asyncio.run(main())
    asyncio.run(main())
    assert count() == {("SELECT", "ok"): 2 if leaves_first else 4}
    assert len(exporter.get_finished_spans()) == (4 if leaves_first else 2)
    assert list_attributes() == before


def test_two_loops_one_after_the_other_are_measured(postgresql, everywhere, count):
    async def main():
        async with await psycopg.AsyncConnection.connect(postgresql.dsn) as connection:
            await connection.execute("SELECT 1")

    asyncio.run(main())
    asyncio.run(main())
    assert count() == {("SELECT", "ok"): 2}


def test_two_loops_in_threads_are_measured(postgresql, everywhere, count):
    async def main():
        async with await psycopg.AsyncConnection.connect(postgresql.dsn) as connection:
            for _ in range(50):
                await connection.execute("SELECT 1")

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count() == {("SELECT", "ok"): 100}


@pytest.mark.slow
async def test_objects_do_not_grow_with_calls(connection, everywhere):
    async def call(times):
        for number in range(times):
            await connection.execute("SELECT 1")
            await connection.execute(sql.SQL("SELECT {}").format(number))
        return count_objects()

    await call(100)
    assert find_growth([await call(300) for _ in range(4)]) < 30


def test_a_server_that_stops_leaves_no_call_behind(postgresql, everywhere, count, samples, active):
    async def ask(connection):
        while True:
            await connection.execute("SELECT 1")

    async def main():
        connections = [await psycopg.AsyncConnection.connect(postgresql.dsn, autocommit=True) for _ in range(4)]
        tasks = [asyncio.create_task(ask(connection)) for connection in connections]
        await asyncio.sleep(0)
        await asyncio.to_thread(postgresql.stop)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(postgresql.start)
        for connection in connections:
            await connection.close()
        async with await psycopg.AsyncConnection.connect(postgresql.dsn) as connection:
            await connection.execute("VALUES (1)")
        return results

    results = asyncio.run(main())
    assert all(isinstance(result, psycopg.OperationalError) for result in results)
    assert count()["SELECT", "error"] == len(results)
    assert count()["VALUES", "ok"] == 1
    assert active() == {0}
