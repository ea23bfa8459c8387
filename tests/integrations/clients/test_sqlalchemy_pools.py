"""SQLAlchemy's pools on SQLite: their connections, the calls that wait for one, and their series' end."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
import sqlalchemy
from sqlalchemy import event, exc, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

import asyncmetrics
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.patience import wait_until

COUNT = "db_client_connection_count"
ONE = text("SELECT 1")
RECORDED = (
    "db_client_connection_wait_time_seconds_count",
    "db_client_connection_use_time_seconds_count",
    "db_client_connection_create_time_seconds_count",
    "db_client_connection_timeouts_total",
)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def make(url, registry):
    """Make an instrumented engine with a pool: ``make(pool.QueuePool, pool_size=1)``."""
    engines = []

    def make_engine(kind, name="main", **options):
        engine = sqlalchemy.create_engine(url, poolclass=kind, **options)
        engines.append(engine)
        return asyncmetrics.instrument(engine, registry=registry, name=name)

    yield make_engine
    for engine in engines:
        asyncmetrics.uninstrument(engine)
        engine.dispose()


@pytest.fixture
def counts(samples):
    """The numbers of the one pool: idle and used connections."""

    def read():
        found = samples(COUNT, "state")
        return found["idle",], found["used",]

    return read


@pytest.fixture
def recorded(samples):
    """The recorded numbers of the pool: waits, uses, creations, timeouts."""
    return lambda: tuple(samples(name, "pool").get(("main",), 0) for name in RECORDED)


def select(engine):
    with engine.connect() as connection:
        return connection.execute(ONE).scalar()


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (pool.QueuePool, [(0, 0), (0, 1), (0, 2), (1, 1), (2, 0)]),
        (pool.NullPool, [(0, 0), (0, 1), (0, 2), (0, 1), (0, 0)]),
        (pool.StaticPool, [(0, 0), (0, 1), (0, 1)]),
        (pool.SingletonThreadPool, [(0, 0), (0, 1), (0, 1), (0, 1), (1, 0)]),
        (pool.AssertionPool, [(0, 0), (0, 1), None, (1, 0)]),
    ],
)
def test_connections_are_counted_by_state_in_every_pool(make, counts, kind, steps):
    engine = make(kind)
    found = [counts()]
    with engine.connect():
        found.append(counts())
        try:
            with engine.connect():
                found.append(counts())
        except AssertionError:
            found.append(None)
        else:
            found.append(counts())
    found.append(counts())
    assert found[: len(steps)] == steps


@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, {("main",): 15}), ({"pool_size": 2, "max_overflow": 0}, {("main",): 2}), ({"max_overflow": -1}, {})],
)
def test_the_limit_has_the_overflow_and_a_pool_without_limit_has_none(make, samples, options, limit):
    make(pool.QueuePool, **options)
    assert samples("db_client_connection_max", "pool") == limit


def test_a_pool_is_called_by_a_number_if_it_has_no_name(make, samples):
    first, second = make(pool.QueuePool, name=""), make(pool.QueuePool, name="")
    assert set(samples(COUNT, "pool")) == {("SQLAlchemy-1",), ("SQLAlchemy-2",)}
    assert select(first) == select(second) == 1


def test_waits_uses_and_creations_are_recorded(make, recorded):
    engine = make(pool.QueuePool)
    for _ in range(3):
        select(engine)
    assert recorded() == (3, 3, 1, 0)


def test_a_connection_that_is_made_while_another_is_made_is_recorded_for_its_own_pool(make, samples, recorded):
    engine, other = make(pool.QueuePool), make(pool.QueuePool, name="other")
    event.listen(engine, "do_connect", lambda *_: select(other) and None)
    select(engine)
    assert recorded() == (1, 1, 1, 0)
    assert samples(RECORDED[2], "pool") == {("main",): 1, ("other",): 1}


def test_the_use_of_a_detached_connection_ends(make, recorded, counts):
    connection = make(pool.QueuePool).connect()
    connection.detach()
    assert recorded() == (1, 1, 1, 0)
    connection.close()
    assert counts()[1] == 0


def test_an_invalidated_connection_is_made_anew(make, recorded):
    engine = make(pool.QueuePool)
    with engine.connect() as connection:
        connection.invalidate()
        connection.rollback()
        assert connection.execute(ONE).scalar() == 1
    assert recorded() == (2, 2, 2, 0)


def test_an_invalidated_connection_of_a_static_pool_is_none(make, counts):
    with make(pool.StaticPool).connect() as connection:
        connection.invalidate()
        assert counts() == (0, 0)


def test_a_connection_that_returns_to_a_pool_disposed_of_is_not_used(make, counts):
    engine = make(pool.QueuePool)
    with engine.connect():
        engine.pool.dispose()
    assert counts() == (1, 0)


def test_a_call_that_waits_too_long_is_a_timeout(make, recorded, samples):
    engine = make(pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect(), pytest.raises(exc.TimeoutError):
        engine.connect()
    assert recorded() == (2, 1, 1, 1)
    assert samples("db_client_connection_pending_requests", "pool") == {("main",): 0}


def test_calls_that_wait_are_pending(make, samples):
    def pending():
        return samples("db_client_connection_pending_requests", "pool")["main",]

    engine = make(pool.QueuePool, pool_size=1, max_overflow=0)
    threads = [threading.Thread(target=select, args=(engine,)) for _ in range(2)]
    with engine.connect():
        for thread in threads:
            thread.start()
        wait_until(lambda: pending() == 2)
    for thread in threads:
        thread.join()
    assert pending() == 0


def test_a_cancelled_wait_is_pending_no_more_and_no_timeout(url, registry, samples):
    async def main():
        options = {"poolclass": pool.AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"), **options)
        asyncmetrics.instrument(engine, registry=registry, name="main")
        async with engine.connect():
            waiting = asyncio.ensure_future(engine.connect().start())
            while samples("db_client_connection_pending_requests", "pool") != {("main",): 1}:
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        pending = samples("db_client_connection_pending_requests", "pool")
        await engine.dispose()
        asyncmetrics.uninstrument(engine)
        return pending

    assert asyncio.run(main()) == {("main",): 0}
    assert samples("db_client_connection_timeouts_total", "pool") == {}


def test_a_connection_that_cannot_be_made_leaves_nothing_pending_nor_used(registry, samples, counts):
    engine = sqlalchemy.create_engine("sqlite:////nowhere/at/all.db", poolclass=pool.QueuePool)
    asyncmetrics.instrument(engine, registry=registry, name="main")
    with pytest.raises(exc.OperationalError):
        engine.connect()
    assert counts() == (0, 0)
    assert samples("db_client_connection_pending_requests", "pool") == {("main",): 0}
    asyncmetrics.uninstrument(engine)


def test_the_new_pool_after_dispose_has_the_name_and_none_of_the_old_numbers(make, counts, samples, recorded):
    engine = make(pool.QueuePool)
    kept, former = engine.connect(), engine.pool
    select(engine)
    engine.dispose()
    assert counts() == (0, 0)
    kept.close()
    assert counts() == (0, 0)
    former.dispose()  # it has the connection again
    select(engine)
    assert counts() == (1, 0)
    assert set(samples(COUNT, "pool")) == {("main",)}
    assert recorded() == (3, 3, 3, 0)


def test_a_pool_that_replaces_that_of_an_engine_is_read(make, counts):
    engine = make(pool.QueuePool)
    select(engine)
    former, engine.pool = engine.pool, engine.pool.recreate()
    former.dispose()
    with engine.connect():
        assert counts() == (0, 1)


def test_the_series_of_an_engine_that_is_collected_disappear(url, registry, samples):
    engine = sqlalchemy.create_engine(url)
    asyncmetrics.instrument(engine, registry=registry)
    select(engine)
    engine.dispose()
    del engine
    gc.collect()
    assert {name: samples(name, "pool") for name in (COUNT, *RECORDED)} == dict.fromkeys((COUNT, *RECORDED), {})


def test_an_engine_that_is_instrumented_by_itself_later_has_its_own_name(url, registry, samples):
    engine = sqlalchemy.create_engine(url)
    with asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry):
        select(engine)
        asyncmetrics.instrument(engine, registry=registry, name="own")
        assert set(samples(COUNT, "pool")) == {("own",)}
        asyncmetrics.uninstrument(engine)
    engine.dispose()


def test_undoing_removes_the_pools_of_all_engines_but_those_instrumented_by_themselves(make, url, registry, samples):
    own = make(pool.QueuePool)
    other = sqlalchemy.create_engine(url)
    with asyncmetrics.instrument_all(only=["sqlalchemy"], registry=registry):
        select(other)
        select(own)
        used = other.connect()
        assert len({*samples(COUNT, "pool")}) == 2
    used.close()
    other.dispose()
    for name in (COUNT, *RECORDED[:3]):
        assert set(samples(name, "pool")) == {("main",)}


def test_a_connection_that_is_released_after_uninstrumenting_brings_no_series_back(make, samples):
    engine = make(pool.QueuePool)
    with engine.connect():
        asyncmetrics.uninstrument(engine)
    assert samples(RECORDED[1], "pool") == {}


def test_an_async_engine_has_its_pool_measured(url, registry, counts, recorded):
    async def main():
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"), poolclass=pool.AsyncAdaptedQueuePool)
        asyncmetrics.instrument(engine, registry=registry, name="main")
        async with engine.connect() as first, engine.connect():
            await first.execute(ONE)
            assert counts() == (0, 2)
        assert counts() == (2, 0)
        found = recorded()
        await engine.dispose()
        asyncmetrics.uninstrument(engine)
        return found

    assert asyncio.run(main()) == (2, 2, 2, 0)


def test_a_connection_that_cannot_be_made_is_a_failed_connect(registry, samples, tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/absent/test.db")
    asyncmetrics.instrument(engine, registry=registry)
    with pytest.raises(exc.OperationalError):
        engine.connect()
    asyncmetrics.uninstrument(engine)
    assert samples("db_client_operation_duration_seconds_count", "operation", "outcome") == {("CONNECT", "error"): 1}
    assert samples("db_client_operation_exceptions_total", "operation", "type") == {("CONNECT", "OperationalError"): 1}
    assert samples("db_client_operation_active", "operation") == {("CONNECT",): 0}


def test_the_wait_for_a_connection_is_in_the_totals_of_the_request(make):
    engine = make(pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01)
    token = TOTALS.set(totals := RequestTotals())
    try:
        with engine.connect(), pytest.raises(exc.TimeoutError):
            engine.connect()
    finally:
        TOTALS.reset(token)
    assert totals.counts == {}
    assert totals.seconds["db"] >= 0.01
