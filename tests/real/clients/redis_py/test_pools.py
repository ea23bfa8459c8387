"""redis-py against a real Redis: pools of connections, exhausted, closed, dropped and without a server."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncmetrics import instrument, uninstrument
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

DURATIONS = "db_client_operation_duration_seconds_count"
ACTIVE = "db_client_operation_active"
COUNT = "db_client_connection_count"
SHORT_SECONDS = 0.05


@pytest.mark.usefixtures("measured")
def test_a_client_of_one_connection_is_measured(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url, single_connection_client=True) as client:
            await asyncio.gather(*(client.ping() for _ in range(5)))
            assert samples(COUNT, "state") == {("idle",): 0, ("used",): 1}

    asyncio.run(main())
    assert count() == {("PING", "ok"): 5}


@pytest.mark.usefixtures("measured")
def test_a_wait_that_is_cancelled_leaves_nothing_pending(url, samples):
    async def main():
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1, timeout=None)
        async with redis.asyncio.Redis.from_pool(pool) as client:
            await client.ping()
            held = await client.client()
            waiting = asyncio.create_task(client.ping())
            await eventually(lambda: samples("db_client_connection_pending_requests", "pool"), {("redis-1",): 1})
            waiting.cancel()
            await asyncio.wait([waiting])
            assert samples("db_client_connection_pending_requests", "pool") == {("redis-1",): 0}
            await held.aclose()
            assert await client.ping()
            assert not any(samples("db_client_connection_timeouts_total", "pool").values())

    asyncio.run(main())


@pytest.mark.usefixtures("measured")
def test_a_wait_that_ends_after_its_pool_was_closed_leaves_no_series(url, samples):
    async def main():
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1, timeout=None)
        async with redis.asyncio.Redis.from_pool(pool) as client:
            held = client.client()
            await held.initialize()
            waiting = asyncio.create_task(client.ping())
            await eventually(lambda: samples("db_client_connection_pending_requests", "pool"), {("redis-1",): 1})
            await client.aclose()
            await held.aclose()
            await waiting
            assert samples("db_client_connection_wait_time_seconds_count", "pool") == {}

    asyncio.run(main())


@pytest.mark.usefixtures("measured")
def test_an_exhausted_async_pool_counts_a_timeout_and_the_waits(url, count, samples):
    async def main():
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1, timeout=SHORT_SECONDS)
        async with redis.asyncio.Redis.from_pool(pool) as client:
            await client.ping()
            held = await client.client()
            with pytest.raises(redis.ConnectionError):
                await client.ping()
            await held.aclose()
            assert samples("db_client_connection_timeouts_total", "pool") == {("redis-1",): 1}
            assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("redis-1",): 3}
            assert samples("db_client_connection_create_time_seconds_count", "pool") == {("redis-1",): 1}
            assert samples(COUNT, "state") == {("idle",): 1, ("used",): 0}

    asyncio.run(main())
    assert count() == {("PING", "ok"): 1, ("PING", "error"): 1}


@pytest.mark.usefixtures("measured")
def test_an_exhausted_sync_pool_counts_a_timeout_and_the_waits(url, count, samples):
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=1, timeout=SHORT_SECONDS)
    with redis.Redis.from_pool(pool) as client:
        client.ping()
        held = client.client()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        held.close()
        assert samples("db_client_connection_timeouts_total", "pool") == {("redis-1",): 1}
        assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("redis-1",): 3}
        assert samples("db_client_connection_create_time_seconds_count", "pool") == {("redis-1",): 1}
        assert samples("db_client_connection_max", "pool") == {("redis-1",): 1}
        assert samples(COUNT, "state") == {("idle",): 1, ("used",): 0}
    assert count() == {("PING", "ok"): 1, ("PING", "error"): 1}


@pytest.mark.usefixtures("measured")
def test_a_thread_that_waits_for_a_connection_is_pending(url, samples):
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=1, timeout=PATIENCE_SECONDS)
    with redis.Redis.from_pool(pool) as client:
        client.ping()
        held = client.client()
        thread = threading.Thread(target=client.ping)
        thread.start()
        wait_until(lambda: samples("db_client_connection_pending_requests", "pool") == {("redis-1",): 1})
        held.close()
        thread.join()
        assert samples("db_client_connection_pending_requests", "pool") == {("redis-1",): 0}


@pytest.mark.usefixtures("measured")
def test_a_pool_that_refuses_a_connection_at_once_counts_no_timeout(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url, max_connections=1) as client:
            held = client.client()
            await held.initialize()
            with pytest.raises(redis.ConnectionError):
                await client.ping()
            await held.aclose()

    asyncio.run(main())
    assert count() == {("PING", "error"): 1}
    assert not samples("db_client_connection_timeouts_total", "pool")


@pytest.mark.usefixtures("measured")
def test_a_server_that_stops_and_starts_under_load_leaves_calls_and_pools_true(redis_server, url, count, samples):
    async def call(client, is_over):
        while not is_over():
            try:
                await client.incr("key")
            except redis.RedisError:
                await asyncio.sleep(0)

    async def main():
        ended = False
        async with redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0)) as client:
            calls = [asyncio.create_task(call(client, lambda: ended)) for _ in range(5)]
            try:
                await eventually(lambda: count().get(("INCRBY", "ok"), 0) > 10, True)
                await asyncio.to_thread(redis_server.stop)
                try:
                    await eventually(lambda: count().get(("INCRBY", "error"), 0) > 10, True)
                    assert samples(COUNT, "state")["idle",] == 0
                finally:
                    await asyncio.to_thread(redis_server.start)
                before = count()["INCRBY", "ok"]
                await eventually(lambda: count()["INCRBY", "ok"] > before + 10, True)
            finally:
                ended = True
                await asyncio.gather(*calls)
            assert samples(ACTIVE, "operation") == {("INCRBY",): 0}
            found = samples(COUNT, "state")
            assert found["used",] == 0
            assert 1 <= found["idle",] <= 5

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # redis 5.0 drops the socket that failed
@pytest.mark.usefixtures("measured")
def test_a_sync_client_is_measured_before_and_after_a_restart(redis_server, url, count, samples):
    with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        client.ping()
        redis_server.stop()
        try:
            with pytest.raises(redis.ConnectionError):
                client.ping()
            assert samples(COUNT, "state") == {("idle",): 0, ("used",): 0}
        finally:
            redis_server.start()
        client.ping()
        assert samples(COUNT, "state") == {("idle",): 1, ("used",): 0}
        assert samples("db_client_connection_create_time_seconds_count", "pool") == {("redis-1",): 1}
    assert count() == {("PING", "ok"): 2, ("PING", "error"): 1}


@pytest.mark.usefixtures("measured")
def test_a_timeout_is_an_error_and_its_connection_is_closed(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as other:
            await other.client_pause(PATIENCE_SECONDS * 1000, all=False)
            retry = AsyncRetry(NoBackoff(), 0)
            async with redis.asyncio.Redis.from_url(url, socket_timeout=SHORT_SECONDS, retry=retry) as client:
                with pytest.raises(redis.TimeoutError):
                    await client.set("key", 1)
                assert samples(COUNT, "pool", "state")["redis-2", "idle"] == 0
            await other.client_unpause()

    asyncio.run(main())
    assert count()["SET", "error"] == 1
    assert samples("db_client_operation_exceptions_total", "operation", "type") == {("SET", "TimeoutError"): 1}


@pytest.mark.usefixtures("measured")
def test_a_client_that_is_dropped_takes_its_pool_along(url, samples):
    client = redis.Redis.from_url(url)
    client.ping()
    pool = weakref.ref(client.connection_pool)
    del client
    gc.collect()
    assert pool() is None
    assert samples(COUNT, "pool", "state") == {}


def test_clients_of_their_own_are_measured_by_their_own_names(url, registry, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as cache, redis.asyncio.Redis.from_url(url) as other:
            instrument(cache, registry=registry, name="cache")
            await asyncio.gather(cache.ping(), other.ping())
            await cache.pipeline().ping().execute()
            assert samples(COUNT, "pool", "state") == {("cache", "idle"): 1, ("cache", "used"): 0}
            uninstrument(cache)
            await cache.ping()

    asyncio.run(main())
    assert count() == {("PING", "ok"): 1, ("PIPELINE", "ok"): 1}
    assert samples(COUNT, "pool", "state") == {}
