"""asyncpg against a real PostgreSQL: what is a call, how it ends, and what the pools say."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import weakref

import asyncpg
import pytest
from asyncpg.cursor import Cursor, CursorIterator
from asyncpg.pool import Pool, PoolConnectionHolder
from asyncpg.prepared_stmt import PreparedStatement

import asyncmetrics
from asyncmetrics.integrations import asyncpg as module
from asyncmetrics.integrations.database import own
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.growth import count_objects, find_growth
from tests.patience import PATIENCE_SECONDS, eventually

# On the loop, asyncpg looks for a file of passwords, and `instrument_all` for the version of asyncpg.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

CLASSES = (asyncpg.Connection, PreparedStatement, Cursor, CursorIterator, Pool, PoolConnectionHolder)
SOON = 0.01  # seconds; where the time must run out
HAS_FETCHMANY = "fetchmany" in vars(asyncpg.Connection)  # from 0.30 on
needs_fetchmany = pytest.mark.skipif(not HAS_FETCHMANY, reason="asyncpg 0.29 has no fetchmany")


@pytest.fixture
def measured(registry):
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        yield


@pytest.fixture
async def connection(postgresql):
    connection = await asyncpg.connect(postgresql.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(postgresql):
    async with asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=2) as pool:
        yield pool


@pytest.fixture
def counts(samples):
    """The calls that have ended, by operation and outcome."""
    return lambda: samples("db_client_operation_duration_seconds_count", "operation", "outcome")


@pytest.fixture
def active(samples):
    """The sum of the calls that run."""
    return lambda: sum(samples("db_client_operation_active", "operation").values())


async def copy_query(connection):
    return await connection.copy_from_query("SELECT generate_series(1, $1::int)", 3, output=io.BytesIO())


async def iterate(connection):
    async with connection.transaction():
        return [row async for row in connection.cursor("SELECT generate_series(1, 5)", prefetch=2)]


async def read_cursor(connection):
    async with connection.transaction():
        cursor = await connection.cursor("SELECT generate_series(1, 9)")
        return [await cursor.fetch(2), await cursor.fetchrow(), await cursor.forward(2)]


async def insert(connection):
    await connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (a int)")
    await connection.executemany("INSERT INTO numbers VALUES ($1)", [(1,), (2,)])


async def execute_prepared(connection):
    statement = await connection.prepare("SELECT $1::int")
    await statement.executemany([(1,), (2,)])
    return [await statement.fetch(1), await statement.fetchval(1), await statement.fetchrow(1)]


async def copy_records(connection):
    await connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (a int)")
    await connection.copy_records_to_table("numbers", records=[(1,), (2,)])


async def copy_table(connection):
    await connection.execute("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (a int)")
    await connection.copy_to_table("numbers", source=io.BytesIO(b"1\n2\n"))
    await connection.copy_from_table("numbers", output=io.BytesIO())


async def roll_back(connection):
    outer = connection.transaction()
    await outer.start()
    async with connection.transaction():
        pass
    await outer.rollback()


CALLS = {
    "execute": (lambda c: c.execute("SELECT 1"), {("SELECT", "ok"): 1}),
    "execute with arguments": (lambda c: c.execute("SELECT $1::int", 1), {("SELECT", "ok"): 1}),
    "fetch": (lambda c: c.fetch("SELECT 1"), {("SELECT", "ok"): 1}),
    "fetch by keyword": (lambda c: c.fetch(query="SELECT 1"), {("SELECT", "ok"): 1}),
    "fetchval": (lambda c: c.fetchval("SELECT 1", column=0), {("SELECT", "ok"): 1}),
    "fetchrow": (lambda c: c.fetchrow("SELECT 1"), {("SELECT", "ok"): 1}),
    "executemany": (insert, {("CREATE", "ok"): 1, ("INSERT", "ok"): 1}),
    "prepared": (execute_prepared, {("PREPARE", "ok"): 1, ("SELECT", "ok"): 4}),
    "iteration": (iterate, {("BEGIN", "ok"): 1, ("SELECT", "ok"): 1, ("FETCH", "ok"): 2, ("COMMIT", "ok"): 1}),
    "cursor": (
        read_cursor,
        {("BEGIN", "ok"): 1, ("SELECT", "ok"): 1, ("FETCH", "ok"): 2, ("MOVE", "ok"): 1, ("COMMIT", "ok"): 1},
    ),
    "copy_from_query with arguments": (copy_query, {("COPY", "ok"): 1}),
    "copy_records_to_table": (copy_records, {("CREATE", "ok"): 1, ("COPY", "ok"): 1}),
    "copy_to_table and copy_from_table": (copy_table, {("CREATE", "ok"): 1, ("COPY", "ok"): 2}),
    "transaction": (
        roll_back,
        {("BEGIN", "ok"): 1, ("SAVEPOINT", "ok"): 1, ("RELEASE", "ok"): 1, ("ROLLBACK", "ok"): 1},
    ),
}
ALL_CALLS = pytest.mark.parametrize("call", CALLS)


@ALL_CALLS
async def test_each_call_counts_once_and_returns_what_it_returned(call, connection, registry, counts, active):
    run, expected = CALLS[call]
    bare = await run(connection)
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        assert await run(connection) == bare
    assert counts() == expected
    assert active() == 0


@ALL_CALLS
async def test_each_call_counts_once_through_a_pool(call, pool, measured, counts):
    run, expected = CALLS[call]
    async with pool.acquire() as connection:
        await run(connection)
    assert counts() == expected


@needs_fetchmany
async def test_fetchmany_counts_once(connection, measured, counts):
    statement = await connection.prepare("VALUES ($1::int)")
    await statement.fetchmany([(1,), (2,)])
    await connection.fetchmany("SELECT $1::int", [(1,), (2,)])
    assert counts() == {("PREPARE", "ok"): 1, ("VALUES", "ok"): 1, ("SELECT", "ok"): 1}


async def test_a_pool_counts_its_shortcuts_once_and_its_reset_never(pool, measured, counts):
    for _ in range(2):
        await pool.fetch("SELECT 1")
        await pool.execute("SELECT 1")
    assert counts() == {("SELECT", "ok"): 4}


async def test_the_look_up_of_a_type_is_no_call(connection, measured, counts):
    await connection.execute("CREATE TYPE pair AS (a int, b int)")
    try:
        assert await connection.fetchval("VALUES (ROW(1, 2)::pair)") == (1, 2)
    finally:
        await connection.execute("DROP TYPE pair")
    assert counts() == {("CREATE", "ok"): 1, ("VALUES", "ok"): 1, ("DROP", "ok"): 1}


async def test_a_listener_counts_as_listen(connection, measured, counts):
    def heard(*_):
        pass

    await connection.add_listener("news", heard)
    await connection.remove_listener("news", heard)
    assert counts() == {("LISTEN", "ok"): 1, ("UNLISTEN", "ok"): 1}


async def test_the_end_of_an_empty_cursor_is_no_error(connection, measured, counts, samples):
    async with connection.transaction():
        assert [row async for row in connection.cursor("SELECT 1 WHERE false")] == []
    assert counts() == {("BEGIN", "ok"): 1, ("SELECT", "ok"): 1, ("COMMIT", "ok"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {}


async def test_a_row_that_is_there_already_is_no_call(connection, measured, counts):
    async with connection.transaction():
        async for _ in connection.cursor("SELECT generate_series(1, 40)"):
            pass
    assert counts()["SELECT", "ok"] == 1
    assert ("FETCH", "ok") not in counts()


async def iterate_wrongly(connection):
    async with connection.transaction():
        async for _ in connection.cursor("SELECT wrong"):
            pass


FAILURES = {
    "fetch": (lambda c: c.fetch("SELECT wrong"), "SELECT"),
    "execute": (lambda c: c.execute("SELECT wrong"), "SELECT"),
    "prepare": (lambda c: c.prepare("SELECT wrong"), "PREPARE"),
    "cursor": (iterate_wrongly, "SELECT"),
    "copy": (lambda c: c.copy_from_query("SELECT wrong", output=io.BytesIO()), "COPY"),
}


@pytest.mark.parametrize("call", FAILURES)
async def test_an_error_counts_by_its_type(call, connection, measured, counts, samples):
    run, operation = FAILURES[call]
    with pytest.raises(asyncpg.UndefinedColumnError):
        await run(connection)
    assert counts()[operation, "error"] == 1
    assert samples("db_client_operation_exceptions_total", "operation", "type") == {
        (operation, "UndefinedColumnError"): 1
    }


async def test_a_released_statement_raises_when_it_is_called(pool, measured, counts):
    async with pool.acquire() as connection:
        statement = await connection.prepare("SELECT 1")
    with pytest.raises(asyncpg.InterfaceError):
        statement.fetch()
    assert counts()["SELECT", "error"] == 1


@pytest.mark.parametrize("options", [{"timeout": SOON}, {}], ids=["timeout", "command_timeout"])
async def test_a_timeout_is_an_error(options, postgresql, measured, counts, samples):
    connection = await asyncpg.connect(postgresql.dsn, command_timeout=None if options else 1)
    with pytest.raises(asyncio.TimeoutError):
        await connection.fetch("SELECT pg_sleep(1000)", **options)
    await connection.close()
    assert counts() == {("SELECT", "error"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {("TimeoutError",): 1}


class CancelAt:
    """Awaits a coroutine, and cancels its task when the coroutine waits for the nth time."""

    def __init__(self, coroutine, step):
        self._coroutine = coroutine
        self._left = step

    def __await__(self):
        inner = self._coroutine.__await__()
        try:
            future = next(inner)
            while True:
                self._left -= 1
                if self._left == 0:
                    asyncio.current_task().cancel()
                try:
                    result = yield future
                except BaseException as error:  # noqa: BLE001  # the coroutine decides
                    future = inner.throw(error)
                else:
                    future = inner.send(result)
        except StopIteration as stop:
            return stop.value


async def run_cancelled(coroutine, step):
    """Return whether the coroutine was cancelled, and not finished before."""

    async def run():
        await CancelAt(coroutine, step)

    task = asyncio.create_task(run())
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    assert task.done()
    return task.cancelled()


# asyncpg itself hangs where a COPY is cancelled while a thread reads its file.
@pytest.mark.parametrize("call", [name for name in CALLS if name != "copy_to_table and copy_from_table"])
async def test_a_call_that_is_cancelled_at_any_await_ends_once(call, pool, measured, counts, active):
    run, expected = CALLS[call]

    async def use():
        async with pool.acquire() as connection:
            await run(connection)

    step = 1
    while await run_cancelled(use(), step):
        assert active() == 0
        step += 1
    assert step > 2
    outcomes = {outcome for _, outcome in counts()}
    assert outcomes <= {"ok", "cancelled"} and "cancelled" in outcomes
    assert counts()[next(iter(expected))] >= 1  # the last one has finished


async def test_one_call_that_is_cancelled_is_cancelled_and_no_error(connection, measured, counts, active, samples):
    task = asyncio.create_task(connection.fetch("SELECT pg_sleep(1000)"))
    await eventually(active, 1)
    task.cancel()
    await asyncio.wait([task])
    assert counts() == {("SELECT", "cancelled"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {}
    assert active() == 0


async def test_a_connection_that_another_library_owns_is_not_measured(connection, measured, counts):
    own(connection)
    for run, _ in CALLS.values():
        await run(connection)
    assert {operation for operation, _ in counts()} == {"COPY"}  # which no owner calls itself


async def test_a_subclass_is_measured_through_its_base(postgresql, measured, counts):
    class Noisy(asyncpg.Connection):
        async def fetch(self, *args, **kwargs):
            return await super().fetch(*args, **kwargs)

    async with asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=1, connection_class=Noisy) as pool:
        await pool.fetch("SELECT 1")
    assert counts() == {("SELECT", "ok"): 1}


async def test_one_pool_alone_can_be_measured(postgresql, pool, registry, counts, samples):
    async with asyncmetrics.instrument(asyncpg.create_pool(postgresql.dsn, min_size=1), registry=registry) as other:
        await pool.fetch("SELECT 1")
        assert counts() == {}
        await other.fetch("VALUES (1)")
        async with other.acquire() as connection:
            await (await connection.prepare("SELECT 1")).fetch()
        assert counts() == {("VALUES", "ok"): 1, ("PREPARE", "ok"): 1, ("SELECT", "ok"): 1}
        assert set(samples("db_client_connection_max", "pool")) == {("asyncpg-1",)}
        asyncmetrics.uninstrument(other)
        await other.fetch("SELECT 1")
    assert counts()["SELECT", "ok"] == 1


async def test_one_connection_alone_can_be_measured(postgresql, connection, registry, counts):
    other = await asyncpg.connect(postgresql.dsn)
    assert asyncmetrics.instrument(other, registry=registry) is other
    await connection.fetch("SELECT 1")
    await other.fetch("SELECT 1")
    asyncmetrics.uninstrument(other)
    await other.fetch("SELECT 1")
    await other.close()
    assert counts() == {("SELECT", "ok"): 1}


async def test_a_pool_that_is_measured_by_itself_too_counts_once(pool, measured, registry, counts, samples):
    await pool.fetch("SELECT 1")
    asyncmetrics.instrument(pool, name="orders", registry=registry)
    await pool.fetch("SELECT 1")
    assert counts() == {("SELECT", "ok"): 2}
    assert set(samples("db_client_connection_max", "pool")) == {("orders",)}
    asyncmetrics.uninstrument(pool)
    await pool.fetch("SELECT 1")
    assert counts() == {("SELECT", "ok"): 3}
    assert set(samples("db_client_connection_max", "pool")) == {("asyncpg-1",)}


async def test_options_name_the_metrics_and_labels(pool, registry, samples):
    asyncmetrics.instrument(pool, name="orders", namespace="shop", conventions="opentelemetry", registry=registry)
    await pool.fetch("SELECT 1")
    labels = ("db_system_name", "db_operation_name", "outcome")
    assert samples("shop_db_client_operation_duration_seconds_count", *labels) == {("postgresql", "SELECT", "ok"): 1}
    assert samples("shop_db_client_connection_max", "db_client_connection_pool_name") == {("orders",): 2}


async def test_undo_leaves_nothing_behind(pool, registry, samples):
    before = [dict(vars(kind)) for kind in CLASSES]
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry):
        await pool.fetch("SELECT 1")
        asyncmetrics.instrument(pool, registry=registry)
        await pool.fetch("SELECT 1")
        asyncmetrics.uninstrument(pool)
        await pool.fetch("SELECT 1")
        assert [dict(vars(kind)) for kind in CLASSES] != before
    assert [dict(vars(kind)) for kind in CLASSES] == before
    for name in ("count", "max", "pending_requests", "wait_time_seconds_count", "use_time_seconds_count"):
        assert samples(f"db_client_connection_{name}", "pool") == {}


@pytest.fixture
def spans():
    """OpenTelemetry's instrumentation, and the spans that have ended."""
    pytest.importorskip("opentelemetry.sdk")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.asyncpg")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    theirs = instrumentation.AsyncPGInstrumentor()
    before = [dict(vars(kind)) for kind in CLASSES]
    yield lambda: theirs.instrument(tracer_provider=provider, skip_dep_check=True), theirs.uninstrument, exporter
    if theirs.is_instrumented_by_opentelemetry:
        theirs.uninstrument()
    for kind, attributes in zip(CLASSES, before, strict=True):  # it leaves its wrappers below those of others
        for name, value in attributes.items():
            if vars(kind)[name] is not value:
                setattr(kind, name, value)


async def run_all(connection):
    for name, (run, _) in CALLS.items():
        if name != "fetch by keyword":  # which OpenTelemetry's wrapper does not allow
            await run(connection)


@pytest.mark.parametrize("is_first", [True, False], ids=["before us", "after us"])
@pytest.mark.parametrize("removed", ["ours", "theirs"])
async def test_beside_opentelemetry_no_span_is_lost_and_nothing_counts_twice(
    is_first, removed, connection, registry, counts, spans
):
    instrument, uninstrument, exporter = spans
    await run_all(connection)  # the look-ups of types, which OpenTelemetry sees
    instrument()
    await run_all(connection)
    alone = len(exporter.get_finished_spans())
    if not is_first:
        uninstrument()
    with asyncmetrics.instrument_all(only=["asyncpg"], registry=registry) as ours:
        if not is_first:
            instrument()
        exporter.clear()
        await run_all(connection)
        assert len(exporter.get_finished_spans()) == alone > 0
        expected = counts()
        assert sum(expected.values()) == sum(sum(counted.values()) for _, counted in CALLS.values()) - 1
        exporter.clear()
        if removed == "ours":
            ours.undo()
            await run_all(connection)
            assert len(exporter.get_finished_spans()) == alone
            assert counts() == expected
        else:
            uninstrument()
            await run_all(connection)
            assert counts() == {key: 2 * number for key, number in expected.items()}


@pytest.mark.parametrize("form", ["with", "await", "shortcut"])
async def test_a_pool_exposes_its_connections_and_how_they_are_lent(form, pool, measured, samples):
    if form == "with":
        async with pool.acquire():
            counts = samples("db_client_connection_count", "pool", "state")
            assert counts == {("asyncpg-1", "idle"): 0, ("asyncpg-1", "used"): 1}
    elif form == "await":
        connection = await pool.acquire()
        assert samples("db_client_connection_count", "state") == {("idle",): 0, ("used",): 1}
        await pool.release(connection)
    else:
        await pool.fetch("SELECT 1")
    assert samples("db_client_connection_count", "pool", "state") == {
        ("asyncpg-1", "idle"): 1,
        ("asyncpg-1", "used"): 0,
    }
    assert samples("db_client_connection_max", "pool") == {("asyncpg-1",): 2}
    assert samples("db_client_connection_pending_requests", "pool") == {("asyncpg-1",): 0}
    assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("asyncpg-1",): 1}
    assert samples("db_client_connection_use_time_seconds_count", "pool") == {("asyncpg-1",): 1}


async def test_a_pool_that_is_instrumented_is_exposed_at_once(pool, registry, samples):
    asyncmetrics.instrument(pool, registry=registry)
    assert samples("db_client_connection_count", "pool", "state") == {
        ("asyncpg-1", "idle"): 1,
        ("asyncpg-1", "used"): 0,
    }


async def test_an_exhausted_pool_shows_who_waits_and_counts_who_gives_up(pool, measured, samples):
    def pending():
        return samples("db_client_connection_pending_requests", "pool")

    async with pool.acquire(), pool.acquire():
        waiting = [asyncio.create_task(pool.fetch("SELECT 1")) for _ in range(3)]
        await eventually(pending, {("asyncpg-1",): 3})
        with pytest.raises(asyncio.TimeoutError):
            await pool.acquire(timeout=SOON)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert pending() == {("asyncpg-1",): 2}
        assert samples("db_client_connection_count", "state") == {("idle",): 0, ("used",): 2}
    await asyncio.gather(*waiting[1:])
    assert pending() == {("asyncpg-1",): 0}
    assert samples("db_client_connection_timeouts_total", "pool") == {("asyncpg-1",): 1}
    assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("asyncpg-1",): 6}


async def test_a_creation_is_measured_and_an_expired_connection_is_created_again(postgresql, measured, samples):
    async with asyncpg.create_pool(postgresql.dsn, min_size=2, max_size=2) as pool:
        assert samples("db_client_connection_create_time_seconds_count", "pool") == {("asyncpg-1",): 2}
        await pool.expire_connections()
        await pool.fetch("SELECT 1")
        assert samples("db_client_connection_create_time_seconds_count", "pool") == {("asyncpg-1",): 3}


@pytest.mark.parametrize("end", ["close", "terminate"])
async def test_a_use_ends_when_the_connection_is_closed(end, pool, measured, samples):
    connection = await pool.acquire()
    if end == "close":
        await connection.close()
    else:
        connection.terminate()
    assert samples("db_client_connection_use_time_seconds_count", "pool") == {("asyncpg-1",): 1}
    assert samples("db_client_connection_count", "state") == {("idle",): 0, ("used",): 0}


async def close(pool):
    await pool.close()


async def terminate(pool):
    pool.terminate()


async def leave(pool):
    await pool.__aexit__(None, None, None)


async def cancel_the_closing(pool):
    await pool.acquire()
    assert await run_cancelled(pool.close(), 1)


ENDS = pytest.mark.parametrize("end", [close, terminate, leave, cancel_the_closing], ids=lambda end: end.__name__)


@ENDS
@pytest.mark.parametrize("alone", [False, True], ids=["all", "alone"])
async def test_a_closed_pool_is_exposed_no_more(end, alone, postgresql, registry, samples):
    pool = asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=2)
    measuring = asyncmetrics.instrument_all(only=[] if alone else ["asyncpg"], registry=registry)
    with measuring:
        if alone:
            asyncmetrics.instrument(pool, registry=registry)
        await pool
        await pool.fetch("SELECT 1")
        assert samples("db_client_connection_max", "pool") != {}
        await end(pool)
        with pytest.raises(asyncpg.InterfaceError):
            await pool.fetch("SELECT 1")
        for name in ("count", "max", "pending_requests", "wait_time_seconds_count", "use_time_seconds_count"):
            assert samples(f"db_client_connection_{name}", "pool") == {}


async def test_a_pool_that_cannot_be_initialized_is_not_exposed(postgresql, measured, samples):
    async def init(_):
        raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=1, init=init)
    assert samples("db_client_connection_max", "pool") == {}


async def test_a_pool_that_another_task_initializes_stays_exposed(postgresql, measured, samples):
    async def init(_):
        with pytest.raises(asyncpg.InterfaceError):
            await pool

    pool = asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=1, init=init)
    async with pool:
        assert samples("db_client_connection_create_time_seconds_count", "pool") == {("asyncpg-1",): 1}


@pytest.mark.skipif(not PoolConnectionHolder.__weakrefoffset__, reason="asyncpg before 0.32 allows no weak references")
async def test_a_pool_that_is_abandoned_is_collected_and_exposed_no_more(postgresql, measured, samples):
    pool = await asyncpg.create_pool(postgresql.dsn, min_size=0, max_size=1, max_inactive_connection_lifetime=0)
    async with pool.acquire() as connection:
        await connection.close()  # Python warns of a connection that is open
    holder = weakref.ref(pool._holders[0])
    assert samples("db_client_connection_max", "pool") != {}
    del pool, connection
    gc.collect()
    assert holder() is None
    assert samples("db_client_connection_max", "pool") == {}


async def test_after_a_restart_of_the_server_under_load_the_numbers_are_true(
    postgresql, measured, counts, active, samples
):
    is_over = False

    async def work(pool):
        while not is_over:
            try:
                await pool.fetch("SELECT pg_sleep(0.001)")
            except Exception:  # noqa: BLE001  # asyncpg has many for a lost connection
                await asyncio.sleep(0.01)

    pool = await asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=4)
    workers = [asyncio.create_task(work(pool)) for _ in range(5)]
    await eventually(lambda: counts().get(("SELECT", "ok"), 0) > 20, True)
    await asyncio.to_thread(postgresql.stop)
    before = counts()["SELECT", "ok"]
    await asyncio.to_thread(postgresql.start)
    await eventually(lambda: counts()["SELECT", "ok"] > before + 20, True)
    is_over = True
    await asyncio.gather(*workers)
    assert active() == 0
    assert samples("db_client_connection_pending_requests", "pool") == {("asyncpg-1",): 0}
    numbers = samples("db_client_connection_count", "state")
    assert numbers == {("idle",): pool.get_size(), ("used",): 0}
    # `close` may wait forever: asyncpg loses a place of its pool if a connection is lost just as it is acquired.
    pool.terminate()


def test_two_loops_one_after_the_other_and_two_at_a_time_are_measured(postgresql, measured, counts, active):
    async def main():
        async with asyncpg.create_pool(postgresql.dsn, min_size=1, max_size=2) as pool:
            await asyncio.gather(*(pool.fetch("SELECT 1") for _ in range(50)))

    asyncio.run(main())
    asyncio.run(main())
    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert counts() == {("SELECT", "ok"): 200}
    assert active() == 0


async def test_many_calls_leave_no_objects_and_no_series(pool, measured, registry):
    async def work(number):
        for _ in range(number):
            await pool.fetch("SELECT 1")
            async with pool.acquire() as connection:
                await (await connection.prepare("SELECT 1")).fetch()
        return count_objects(), sum(len(family.samples) for family in registry.collect()), len(asyncio.all_tasks())

    await work(100)
    objects, series, tasks = zip(*[await work(300) for _ in range(4)], strict=True)
    assert find_growth(objects) < 30
    assert (len(set(series)), len(set(tasks))) == (1, 1)


@pytest.mark.parametrize("broken", ["find_operation", "is_owned"])
async def test_a_failure_of_ours_costs_a_measurement_and_no_call(broken, pool, measured, samples, counts, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(module, broken, fail)
    assert await pool.fetchval("SELECT 1") == 1
    assert counts() == {}
    assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.asyncpg",): 1}


async def test_a_failure_of_ours_in_a_pool_costs_no_connection(pool, measured, samples, monkeypatch):
    monkeypatch.setattr(pool, "_closed", None)

    def fail(_):
        raise RuntimeError

    monkeypatch.setattr(Pool, "is_closing", fail)
    assert await pool.fetchval("SELECT 1") == 1
    assert samples("db_client_connection_max", "pool") == {}
    assert samples("asyncmetrics_internal_errors_total", "where") == {("integrations.asyncpg",): 1}


async def test_a_connection_that_cannot_be_made_is_a_failed_connect(tmp_path, measured, counts, samples):
    pool = asyncpg.create_pool(host=str(tmp_path), min_size=0)
    with pytest.raises(OSError):
        async with pool:
            await pool.fetch("SELECT 1")
    assert counts() == {("CONNECT", "error"): 1}
    types = samples("db_client_operation_exceptions_total", "operation", "type")
    assert types in ({("CONNECT", "FileNotFoundError"): 1}, {("CONNECT", "ConnectionRefusedError"): 1})


async def test_the_wait_for_a_connection_is_in_the_totals_of_the_request(pool, measured):
    async def hold():
        async with pool.acquire(), pool.acquire():
            held.set()
            await release.wait()

    held, release = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(hold())
    await held.wait()
    token = TOTALS.set(totals := RequestTotals())
    fetching = asyncio.create_task(pool.fetch("SELECT 1"))
    TOTALS.reset(token)
    await asyncio.sleep(SOON)
    release.set()
    await asyncio.gather(holding, fetching)
    assert totals.counts == {"db": 1}
    assert totals.seconds["db"] > SOON / 2
