"""SQLAlchemy over asyncpg and psycopg on a real PostgreSQL: once counted, cancelled, exhausted and restarted."""

from __future__ import annotations

import asyncio

import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy import event, exc, text
from sqlalchemy.ext.asyncio import create_async_engine

import asyncmetrics
from asyncmetrics.integrations.database import is_owned
from asyncmetrics.metrics.totals import TOTALS, RequestTotals

pytestmark = [pytest.mark.real, pytest.mark.blocking]  # the driver psycopg looks for libpq on a loop

ONE = text("SELECT 1")
DRIVERS = ["asyncpg", "psycopg"]


@pytest.fixture(autouse=True)
def _everything(registry):
    """Measure the drivers as well: what both count would be counted twice."""
    with asyncmetrics.instrument_all(only=["sqlalchemy", "asyncpg", "psycopg"], registry=registry):
        yield


@pytest.fixture
def use(postgresql):
    """Call a coroutine function with an async engine of PostgreSQL: ``use("asyncpg", main, pool_size=1)``."""

    def run(driver, main, **options):
        async def using():
            engine = create_async_engine(postgresql.dsn.replace("postgresql:", f"postgresql+{driver}:"), **options)
            try:
                return await main(engine)
            finally:
                await engine.dispose()

        return asyncio.run(using())

    return run


@pytest.fixture
def counted(samples):
    def read():
        found = samples("db_client_operation_duration_seconds_count", "system", "operation", "outcome")
        return {key[1:]: value for key, value in found.items() if key[0] == "postgresql"}

    return read


@pytest.fixture
def gauges(samples):
    """The gauges that return to 0: running operations, used connections, waiting calls."""

    def read():
        used = samples("db_client_connection_count", "pool", "state")
        return (
            sum(samples("db_client_operation_active", "operation").values()),
            sum(value for (_, state), value in used.items() if state == "used"),
            sum(samples("db_client_connection_pending_requests", "pool").values()),
        )

    return read


async def select(engine, statement=ONE):
    async with engine.connect() as connection:
        return (await connection.execute(statement)).scalar()


@pytest.mark.parametrize("driver", DRIVERS)
def test_only_the_statements_of_the_application_are_operations(use, counted, driver):
    async def main(engine):
        await select(engine)
        assert counted() == {("SELECT", "ok"): 1}
        await select(engine)  # after a ping
        await engine.dispose()
        await select(engine)
        async with engine.connect() as connection:
            assert [row async for row in await connection.stream_scalars(text("SELECT generate_series(1, 3)"))]

    use(driver, main, pool_pre_ping=True)
    assert counted() == {("SELECT", "ok"): 4}


def test_a_sync_engine_over_psycopg_counts_once(postgresql, counted):
    engine = sqlalchemy.create_engine(postgresql.dsn.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        connection.execute(ONE)
        connection.execute(text("SELECT :x"), [{"x": 1}, {"x": 2}])
    engine.dispose()
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_new_connection_is_left_to_sqlalchemy_before_its_first_query(use, driver):
    owned = []

    async def main(engine):
        event.listen(
            engine.sync_engine,
            "connect",
            lambda _, record: owned.append(is_owned(record.driver_connection)),
            insert=True,
        )
        await select(engine)

    use(driver, main)
    assert owned == [True]


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_error_of_the_server_is_an_error(use, counted, driver):
    async def main(engine):
        with pytest.raises(exc.ProgrammingError):
            await select(engine, text("SELECT nothing"))

    use(driver, main)
    assert counted() == {("SELECT", "error"): 1}


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_statement_of_a_cancelled_task_is_cancelled(use, counted, gauges, driver):
    async def main(engine):
        task = asyncio.create_task(select(engine, text("SELECT pg_sleep(3600)")))
        while gauges()[0] != 1:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gauges() == (0, 0, 0)
        assert await select(engine) == 1

    use(driver, main)
    assert counted() == {("SELECT", "cancelled"): 1, ("SELECT", "ok"): 1}


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


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncpg leaves a socket open that it was making
@pytest.mark.parametrize("is_new", [True, False], ids=["new connection", "pooled connection"])
def test_a_cancellation_at_any_wait_ends_the_operation_once(use, counted, gauges, is_new):
    async def main(engine):
        ends = []
        for step in range(1, 200):
            if is_new:
                await engine.dispose()
            else:
                await select(engine)
            before = counted()
            call = CancelAt(select(engine), step)
            try:
                await call
            except (asyncio.CancelledError, exc.InterfaceError):  # SQLAlchemy 2.0 rolls a cancelled first query back
                pass
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
            assert gauges() == (0, 0, 0)
            ends.append([key for key, value in counted().items() if value != before.get(key, 0)])
            if not call.was_cancelled:
                return ends
        raise AssertionError(ends)

    ends = use("asyncpg", main)
    assert max(map(len, ends)) == 1
    assert [("SELECT", "cancelled")] in ends
    assert ends[-1] == [("SELECT", "ok")]


def test_an_exhausted_pool_counts_its_timeouts(use, samples, gauges):
    async def main(engine):
        async with engine.connect():
            results = await asyncio.gather(*(select(engine) for _ in range(3)), return_exceptions=True)
        assert {type(result) for result in results} == {exc.TimeoutError}
        assert await select(engine) == 1
        assert gauges() == (0, 0, 0)
        return samples("db_client_connection_timeouts_total", "pool")

    found = use("asyncpg", main, pool_size=1, max_overflow=0, pool_timeout=0.05)
    assert list(found.values()) == [3]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_restart_of_the_server_under_load_leaves_no_call_and_no_connection_behind(
    use, postgresql, counted, gauges, driver
):
    async def main(engine):
        failures = []
        is_over = asyncio.Event()

        async def load():
            while not is_over.is_set():
                try:
                    await select(engine)
                except Exception as error:  # noqa: BLE001  # SQLAlchemy 2.0 raises those of asyncpg as they are
                    failures.append(error)
                    await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(load()) for _ in range(8)]
        while not counted():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(postgresql.stop)
        while not failures:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(postgresql.start)
        done = counted()["SELECT", "ok"]
        while counted()["SELECT", "ok"] == done:
            await asyncio.sleep(0.01)
        is_over.set()
        await asyncio.gather(*tasks)
        assert gauges() == (0, 0, 0)
        assert await select(engine) == 1

    use(driver, main, pool_size=4, max_overflow=0, pool_pre_ping=True)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_totals_of_a_request_have_the_statements_of_its_tasks(use, driver):
    totals = RequestTotals()

    async def main(engine):
        TOTALS.set(totals)
        await select(engine)
        await asyncio.gather(*(select(engine) for _ in range(4)))

    use(driver, main)
    assert totals.counts == {"db": 5}
    assert totals.seconds["db"] > 0


def test_an_engine_that_is_used_in_one_loop_after_another_is_measured(postgresql, counted):
    engine = create_async_engine(postgresql.dsn.replace("postgresql:", "postgresql+asyncpg:"))

    async def main():
        await select(engine)
        await engine.dispose()

    for _ in range(2):
        asyncio.run(main())
    assert counted() == {("SELECT", "ok"): 2}


@pytest.mark.parametrize(
    ("statement", "kind"), [("SELECT 1 / 0", "Division"), ("SELECT nothing()", "Undefined"), ("SELEKT", "Syntax")]
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_exception_has_the_type_that_the_driver_gives_it(use, samples, driver, statement, kind):
    async def main(engine):
        with pytest.raises(exc.DBAPIError):
            await select(engine, text(statement))

    use(driver, main)
    ((found,),) = samples("db_client_operation_exceptions_total", "type")
    assert kind in found


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_database_that_is_missing_is_a_failed_connect(use, counted, driver):
    async def main(engine):
        missing = create_async_engine(engine.url.set(database="missing"))
        with pytest.raises(Exception, match="missing"):
            await select(missing)
        await missing.dispose()

    use(driver, main)
    assert counted() == {("CONNECT", "error"): 1}


def test_a_connection_that_goes_back_to_a_pool_of_the_driver_is_the_drivers_again(postgresql, counted):
    with psycopg_pool.ConnectionPool(
        postgresql.dsn, min_size=1, max_size=1, kwargs={"autocommit": True}
    ) as connections:

        def close(connection):
            connections.putconn(connection)

        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=connections.getconn, poolclass=sqlalchemy.NullPool
        )
        engine.dialect.do_close = close
        with engine.connect() as connection:
            connection.execute(ONE)
        assert counted() == {("SELECT", "ok"): 1}
        with connections.connection() as connection:
            connection.execute("SELECT 1")
    assert counted() == {("SELECT", "ok"): 2}
