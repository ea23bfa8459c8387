"""SQLAlchemy's statements on SQLite: each is one operation of the database, by its first word and its outcome."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest
import sqlalchemy
from sqlalchemy import event, exc, orm, text
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import Pool

import asyncmetrics
from asyncmetrics.integrations.database import is_owned
from asyncmetrics.metrics.calls import Calls
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.growth import count_objects, find_growth

DURATIONS = "db_client_operation_duration_seconds_count"
ONE = text("SELECT 1")
TABLE = sqlalchemy.Table(
    "items",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("name", sqlalchemy.String),
)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def engine(url):
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def everything(registry):
    with asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry) as instrumentation:
        yield instrumentation


@pytest.fixture
def counted(samples):
    """How many operations ended, by operation and outcome."""
    return lambda: samples(DURATIONS, "operation", "outcome")


@pytest.fixture
def active(samples):
    return lambda: sum(samples("db_client_operation_active", "operation").values())


def select(engine, statement=ONE):
    with engine.connect() as connection:
        return connection.execute(statement).scalar()


async def select_async(engine):
    async with engine.connect() as connection:
        return (await connection.execute(ONE)).scalar()


def use_engine(url, use):
    """Call a coroutine function with an async engine, in an event loop of its own."""

    async def main():
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
        try:
            return await use(engine)
        finally:
            await engine.dispose()

    return asyncio.run(main())


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (lambda connection: connection.execute(ONE), {("SELECT", "ok"): 1}),
        (lambda connection: connection.exec_driver_sql("PRAGMA user_version"), {("PRAGMA", "ok"): 1}),
        (lambda connection: connection.execute(text("DELETE FROM nothing")), {("DELETE", "error"): 1}),
        (lambda connection: connection.exec_driver_sql("SELECT ?", (1,)), {("SELECT", "ok"): 1}),
        (lambda connection: connection.execution_options(no_parameters=True).execute(ONE), {("SELECT", "ok"): 1}),
        (lambda connection: connection.execution_options(stream_results=True).execute(ONE), {("SELECT", "ok"): 1}),
        (lambda connection: connection.begin_nested(), {("SAVEPOINT", "ok"): 1}),
    ],
)
def test_each_statement_is_one_operation(engine, counted, run, expected):
    with engine.connect() as connection:
        try:
            run(connection)
        except exc.OperationalError:
            pass
        assert counted() == expected


@pytest.mark.usefixtures("everything")
def test_executemany_is_one_operation(engine, counted):
    with engine.begin() as connection:
        TABLE.create(connection)
        before = counted()
        connection.execute(TABLE.insert(), [{"name": "a"}, {"name": "b"}])
    assert counted() == {**before, ("INSERT", "ok"): 1}


@pytest.mark.usefixtures("everything")
def test_each_batch_of_an_insert_with_returning_is_one_operation(engine, counted):
    with engine.connect().execution_options(insertmanyvalues_page_size=2) as connection:
        TABLE.create(connection)
        connection.execute(TABLE.insert().returning(TABLE.c.id), [{"name": "a"}] * 5)
    assert counted()["INSERT", "ok"] == 3


@pytest.mark.usefixtures("everything")
def test_the_statements_of_an_orm_session_are_operations(engine, counted):
    with orm.Session(engine) as session:
        assert session.scalar(sqlalchemy.select(1)) == 1
    assert counted() == {("SELECT", "ok"): 1}


@pytest.mark.usefixtures("everything")
def test_the_statements_of_an_async_engine_are_operations(url, counted):
    async def use(engine):
        await select_async(engine)
        async with AsyncSession(engine) as session:
            assert [row async for row in await session.stream_scalars(sqlalchemy.select(1))] == [1]

    use_engine(url, use)
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.usefixtures("everything")
def test_an_error_reaches_the_application_as_it_was_and_is_counted_by_its_type(engine, samples):
    with pytest.raises(exc.OperationalError) as raised:
        select(engine, text("SELECT nothing"))
    assert type(raised.value.orig) is sqlite3.OperationalError
    assert samples("db_client_operation_exceptions_total", "operation", "type") == {("SELECT", "OperationalError"): 1}


@pytest.mark.usefixtures("everything")
def test_an_error_that_listeners_do_not_hear_of_ends_the_operation(engine, counted, active):
    with engine.connect().execution_options(skip_user_error_events=True) as connection:
        with pytest.raises(exc.OperationalError):
            connection.exec_driver_sql("SELECT nothing")
    assert (counted(), active()) == ({("SELECT", "error"): 1}, 0)


@pytest.mark.parametrize("first", ["all", "one"])
def test_an_engine_that_is_instrumented_by_itself_as_well_is_measured_once(engine, registry, counted, first):
    instrumentation = asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry) if first == "all" else None
    asyncmetrics.instrument(engine, registry=registry, name="own")
    instrumentation = instrumentation or asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry)
    with instrumentation:
        select(engine)
        asyncmetrics.uninstrument(engine)
        select(engine)
    select(engine)
    assert counted() == {("SELECT", "ok"): 2}


def test_only_the_engine_that_is_instrumented_is_measured(engine, url, registry, counted):
    asyncmetrics.instrument(engine, registry=registry)
    other = sqlalchemy.create_engine(url)
    select(other)
    select(engine)
    select(engine.execution_options(isolation_level="AUTOCOMMIT"))
    asyncmetrics.uninstrument(engine)
    select(engine)
    other.dispose()
    assert counted() == {("SELECT", "ok"): 2}


def test_an_async_engine_may_be_instrumented_and_uninstrumented(url, registry, counted):
    async def use(engine):
        assert asyncmetrics.instrument(engine, registry=registry) is engine
        await select_async(engine)
        asyncmetrics.uninstrument(engine)
        await select_async(engine)

    use_engine(url, use)
    assert counted() == {("SELECT", "ok"): 1}


def test_an_engine_and_a_connection_from_before_are_measured(engine, registry, counted):
    with engine.connect() as connection, asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry):
        connection.execute(ONE)
        select(engine)
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("dialect", "system"), [("sqlite", "sqlite"), ("mssql", "microsoft.sql_server"), ("oracle", "oracle.db")]
)
def test_the_system_is_named_as_opentelemetry_names_it(engine, samples, dialect, system):
    engine.dialect.name = dialect
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert samples(DURATIONS, "system") == {(system,): 1}


@pytest.mark.usefixtures("everything")
def test_a_statement_of_a_listener_that_makes_a_connection_is_measured_on_another_engine(engine, url, counted):
    other = sqlalchemy.create_engine(url)
    event.listen(engine, "do_connect", lambda *_: select(other) and None)
    select(engine)
    other.dispose()
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.usefixtures("everything")
def test_a_task_that_a_listener_starts_while_a_connection_is_made_is_measured(url, counted):
    async def use(engine):
        tasks = []

        def start(*_):
            if not tasks:
                tasks.append(asyncio.get_running_loop().create_task(select_async(engine)))

        event.listen(engine.sync_engine, "checkout", start)
        await select_async(engine)
        await tasks[0]

    use_engine(url, use)
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("runs_it", [True, False])
def test_listeners_of_the_application_still_decide_whether_they_run_a_statement(engine, counted, runs_it):
    heard = []

    def execute(cursor, statement, parameters, context):
        heard.append(statement)
        if runs_it:
            cursor.execute("SELECT 2")
        return runs_it

    event.listen(engine, "do_execute", execute)
    assert select(engine) == (2 if runs_it else 1)
    assert heard == ["SELECT 1"]
    assert counted() == {("SELECT", "ok"): 1}


def test_undoing_while_a_statement_runs_lets_it_end(engine, everything, counted, active):
    event.listen(engine, "do_execute", lambda *_: everything.undo())
    assert select(engine) == 1
    assert (counted(), active()) == ({("SELECT", "ok"): 1}, 0)


def test_undoing_leaves_nothing_behind(engine, registry, samples, monkeypatch):
    monkeypatch.setattr(Dialect, "_has_events", False)  # other tests may have left it
    classes = (Engine, Dialect, Pool)
    select(engine)
    before = [dict(vars(cls)) for cls in classes]
    instrumentation = asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry)
    asyncmetrics.instrument(engine, registry=registry)
    select(engine)
    asyncmetrics.uninstrument(engine)
    assert [dict(vars(cls)) for cls in classes] != before
    instrumentation.undo()
    assert [dict(vars(cls)) for cls in classes] == before
    assert not list(engine.dialect.dispatch.do_execute) + list(engine.pool.dispatch.checkout)
    assert samples("db_client_connection_wait_time_seconds_count", "pool") == {}


def test_a_listener_of_another_tool_keeps_the_flag_that_sqlalchemy_sets(registry, monkeypatch):
    monkeypatch.setattr(Dialect, "_has_events", False)  # restored at the end: SQLAlchemy never clears it
    heard = []
    hear = heard.append
    with asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry):
        event.listen(Engine, "handle_error", hear)
    engine = sqlalchemy.create_engine("sqlite://")
    try:
        with pytest.raises(exc.OperationalError):
            select(engine, text("SELECT nothing"))
    finally:
        event.remove(Engine, "handle_error", hear)
        engine.dispose()
    assert len(heard) == 1


@pytest.mark.blocking  # `instrument_all` on a loop reads the version of the package
def test_the_connection_of_the_driver_is_left_to_sqlalchemy_until_it_is_undone(url, registry):
    async def use(engine):
        async with engine.connect() as old:
            driver = (await old.get_raw_connection()).driver_connection
            with asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry):
                assert not is_owned(driver)
                await old.execute(ONE)
                assert is_owned(driver)
                async with engine.connect() as new:
                    assert is_owned((await new.get_raw_connection()).driver_connection)
            assert not is_owned(driver)

    use_engine(url, use)


class CancelAt:
    """Awaits a coroutine, and cancels it instead of its wait number ``step``."""

    def __init__(self, coroutine, step):
        self.coroutine, self.step, self.was_cancelled = coroutine, step, False

    def __await__(self):
        waits = 0
        try:
            future = self.coroutine.send(None)
            while True:
                waits += 1
                if waits == self.step:
                    self.was_cancelled = True
                    future = self.coroutine.throw(asyncio.CancelledError())
                else:
                    yield future
                    future = self.coroutine.send(None)
        except StopIteration as stop:
            return stop.value


@pytest.mark.usefixtures("everything")
def test_a_cancellation_at_any_wait_ends_the_operation_as_cancelled(url, counted, active, samples):
    async def use(engine):
        await select_async(engine)
        ends = []
        for step in range(1, 100):
            before = counted()
            call = CancelAt(select_async(engine), step)
            try:
                await call
            except asyncio.CancelledError:
                pass
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
            assert active() == 0
            ends.append([key for key, value in counted().items() if value != before.get(key, 0)])
            if not call.was_cancelled:
                return ends
        raise AssertionError(ends)

    ends = use_engine(url, use)
    assert max(map(len, ends)) == 1
    assert [("SELECT", "cancelled")] in ends
    assert ends[-1] == [("SELECT", "ok")]
    assert samples("db_client_operation_exceptions_total", "type") == {}


@pytest.mark.usefixtures("everything")
def test_loops_of_two_threads_and_one_after_the_other_are_measured(url, counted):
    for _ in range(2):
        use_engine(url, select_async)
    threads = [threading.Thread(target=use_engine, args=(url, select_async)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted() == {("SELECT", "ok"): 4}


@pytest.mark.usefixtures("everything")
def test_objects_do_not_grow_with_calls(engine):
    def count(calls):
        for _ in range(calls):
            select(engine)
        return count_objects()

    count(10)
    assert find_growth([count(400) for _ in range(4)]) < 20  # sqlite3 frees cursors at every 200th


@pytest.mark.usefixtures("everything")
def test_a_fault_of_the_metrics_costs_no_statement(engine, registry, monkeypatch):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr(Calls, "at", fail)
    assert select(engine) == 1
    errors = registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "integrations.sqlalchemy"})
    assert errors == 1


@pytest.mark.usefixtures("everything")
def test_the_totals_of_a_request_have_the_statements_of_its_tasks_and_threads(url, engine):
    totals = RequestTotals()

    async def use(async_engine):
        token = TOTALS.set(totals)
        await select_async(async_engine)
        await asyncio.gather(*(select_async(async_engine) for _ in range(3)))
        await asyncio.to_thread(select, engine)
        await asyncio.create_task(select_async(async_engine))
        TOTALS.reset(token)
        await select_async(async_engine)

    use_engine(url, use)
    assert totals.counts == {"db": 6}
    assert totals.seconds["db"] > 0
