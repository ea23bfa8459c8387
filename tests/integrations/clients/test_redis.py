"""redis-py without a server: names of operations, pools that have no connection, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncmetrics import instrument, instrument_all, uninstrument

pytestmark = pytest.mark.blocking  # redis-py looks for its own version when it makes a connection

DURATIONS = "db_client_operation_duration_seconds_count"
NOWHERE = "redis://127.0.0.1:1"  # a reserved port that no server of a test has


def make_client(**options) -> redis.Redis:
    """Return a client whose commands fail at once, as it finds no server."""
    return redis.Redis.from_url(NOWHERE, retry=Retry(NoBackoff(), 0), **options)


def make_async_client(**options) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(NOWHERE, retry=AsyncRetry(NoBackoff(), 0), **options)


def execute(registry, *args) -> dict[str, float]:
    """Return the failed commands by operation after one of them."""
    with instrument_all(only=["redis"], registry=registry), make_client() as client:
        with pytest.raises(redis.ConnectionError):
            client.execute_command(*args)
    return count(registry)


def count(registry, outcome: str = "error") -> dict[str, float]:
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == DURATIONS]
    return {sample.labels["operation"]: sample.value for sample in samples if sample.labels["outcome"] == outcome}


def read_classes() -> list[dict[str, object]]:
    modules = (redis.client, redis.cluster, redis.connection, redis.asyncio.client, redis.asyncio.cluster)
    modules += (redis.asyncio.connection,)
    return [dict(vars(kind)) for module in modules for kind in vars(module).values() if isinstance(kind, type)]


@pytest.mark.parametrize(
    ("args", "operation"),
    [
        (("GET", "key"), "GET"),
        (("get", "key"), "GET"),
        ((b"GET", "key"), "GET"),
        (("CONFIG GET", "*"), "CONFIG"),
        (("config", "get", "*"), "CONFIG"),
        (("GET key",), "GET"),
        (("JSON.GET", "key"), "JSON.GET"),
        (("FT.SEARCH", "index", "query"), "FT.SEARCH"),
        (("FT._LIST",), "FT._LIST"),
        (("HGETEX", "key"), "HGETEX"),
        (("VSIM", "key"), "VSIM"),
        (("XREAD", "COUNT", 1, "STREAMS", "BLOCK", "0"), "XREAD"),
        (("XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "key", ">"), "XREADGROUP"),
        (("JSON.SECRET", "key"), "_OTHER"),
        (("SECRET", "key"), "_OTHER"),
        (("", "key"), "_OTHER"),
        ((" ",), "_OTHER"),
    ],
)
def test_the_operation_is_the_first_word_of_a_known_command(registry, args, operation):
    assert execute(registry, *args) == {operation: 1}


@pytest.mark.parametrize(
    "args",
    [
        *((name, "key", 0) for name in ("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BZPOPMIN", "BZPOPMAX")),
        ("blpop", "key", 0),
        ("BLMPOP", 0, 1, "key", "LEFT"),
        ("BZMPOP", 0, 1, "key", "MIN"),
        ("WAIT", 1, 0),
        ("WAITAOF", 1, 1, 0),
        ("SUBSCRIBE", "channel"),
        ("PSUBSCRIBE", "channel"),
        ("SSUBSCRIBE", "channel"),
        ("MONITOR",),
        ("XREAD", b"COUNT", 1, b"BLOCK", 0, b"STREAMS", "key", "$"),
        ("XREAD block 0 streams key $",),
        ("XREADGROUP", "GROUP", "group", "consumer", "NOACK", "BLOCK", 0, "STREAMS", "key", ">"),
        ("xreadgroup", "group", "count", "count", "block", 0, "streams", "key", ">"),
    ],
)
def test_a_command_that_waits_by_design_is_not_measured(registry, args):
    assert execute(registry, *args) == {}


def test_names_without_end_make_no_series_without_end(registry):
    with instrument_all(only=["redis"], registry=registry), make_client() as client:
        for number in range(3000):
            with pytest.raises(redis.ConnectionError):
                client.execute_command(f"GET key{number}")
            with pytest.raises(redis.ConnectionError):
                client.execute_command(f"SECRET{number}")
    assert count(registry) == {"GET": 3000, "_OTHER": 3000}


def test_an_error_counts_by_its_type(registry):
    execute(registry, "GET", "key")
    labels = {"system": "redis", "operation": "GET", "type": "ConnectionError"}
    assert registry.get_sample_value("db_client_operation_exceptions_total", labels) == 1


def test_a_call_without_a_command_raises_what_redis_raises(registry):
    with instrument_all(only=["redis"], registry=registry), make_client() as client, pytest.raises(IndexError):
        client.execute_command()


def test_a_queued_command_counts_as_nothing_and_a_pipeline_as_one_call(registry):
    with instrument_all(only=["redis"], registry=registry), make_client() as client:
        pipeline = client.pipeline().set("key", 1).get("key")
        assert count(registry) == {}
        with pytest.raises(redis.ConnectionError):
            pipeline.execute()
    assert count(registry) == {"PIPELINE": 1}


def test_a_pipeline_without_commands_counts_as_nothing(registry):
    async def execute_async():
        async with make_async_client() as client:
            assert await client.pipeline().execute() == []

    with instrument_all(only=["redis"], registry=registry), make_client() as client:
        assert client.pipeline().execute() == []
        asyncio.run(execute_async())
    assert count(registry, "ok") == {}


def test_an_async_command_that_fails_is_an_error(registry):
    async def main():
        async with make_async_client() as client:
            with pytest.raises(redis.ConnectionError):
                await client.get("key")

    with instrument_all(only=["redis"], registry=registry):
        asyncio.run(main())
    assert count(registry) == {"GET": 1}


def test_an_instrumented_client_is_measured_and_another_is_not(registry):
    with make_client() as client, make_client() as other:
        assert instrument(client, registry=registry) is client
        for one in (client, other):
            with pytest.raises(redis.ConnectionError):
                one.get("key")
        uninstrument(client)
        with pytest.raises(redis.ConnectionError):
            client.get("key")
    assert count(registry) == {"GET": 1}


def test_a_client_that_is_measured_twice_counts_once(registry):
    with instrument_all(only=["redis"], registry=registry), make_client() as client:
        instrument(client, registry=registry)
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        uninstrument(client)
    assert count(registry) == {"GET": 1}


def test_a_pool_is_called_by_its_name(registry):
    with make_client(max_connections=7) as client:
        instrument(client, registry=registry, name="cache")
        assert registry.get_sample_value("db_client_connection_max", {"pool": "cache"}) == 7
        uninstrument(client)
        assert registry.get_sample_value("db_client_connection_max", {"pool": "cache"}) is None


def test_a_pool_without_a_limit_has_no_maximum(registry):
    with make_client(max_connections=2**31) as client:
        instrument(client, registry=registry, name="cache")
        assert registry.get_sample_value("db_client_connection_count", {"pool": "cache", "state": "idle"}) == 0
        assert registry.get_sample_value("db_client_connection_max", {"pool": "cache"}) is None
        uninstrument(client)


def test_a_pool_that_is_measured_already_takes_the_name_of_its_instrumented_client(registry):
    with instrument_all(only=["redis"], registry=registry), make_client(max_connections=7) as client:
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        instrument(client, registry=registry, name="cache")
        assert registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"}) is None
        assert registry.get_sample_value("db_client_connection_max", {"pool": "cache"}) == 7
        uninstrument(client)


def test_the_end_of_measuring_all_leaves_the_pool_of_an_instrumented_client(registry):
    with make_client(max_connections=7) as client:
        with instrument_all(only=["redis"], registry=registry):
            with pytest.raises(redis.ConnectionError):
                client.get("key")
            instrument(client, registry=registry, name="cache")
        assert registry.get_sample_value("db_client_connection_max", {"pool": "cache"}) == 7
        uninstrument(client)


def test_undo_removes_the_series_of_pools(registry):
    client = make_client(max_connections=7)
    with instrument_all(only=["redis"], registry=registry):
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        assert registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"}) == 7
    assert registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"}) is None
    client.close()


def test_a_closed_client_has_no_series_of_a_pool_until_it_is_used_again(registry):
    read = lambda: registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"})  # noqa: E731
    with instrument_all(only=["redis"], registry=registry):
        client = make_client(max_connections=7)
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                client.get("key")
            assert read() == 7
            client.close()
            assert read() is None


def test_a_closed_async_client_has_no_series_of_a_pool(registry):
    read = lambda: registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"})  # noqa: E731

    async def main():
        async with make_async_client(max_connections=7) as client:
            with pytest.raises(redis.ConnectionError):
                await client.get("key")
            assert read() == 7

    with instrument_all(only=["redis"], registry=registry):
        asyncio.run(main())
        assert read() is None


def test_a_closed_client_leaves_the_pool_that_it_was_given(registry):
    pool = redis.ConnectionPool.from_url(NOWHERE, max_connections=7, retry=Retry(NoBackoff(), 0))
    with instrument_all(only=["redis"], registry=registry):
        with redis.Redis(connection_pool=pool) as client, pytest.raises(redis.ConnectionError):
            client.get("key")
        assert registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"}) == 7
        pool.close()
        assert registry.get_sample_value("db_client_connection_max", {"pool": "redis-1"}) is None


def test_a_measured_client_is_collected(registry):
    with instrument_all(only=["redis"], registry=registry):
        client = make_client()
        instrument(client, registry=registry)
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        pool = weakref.ref(client.connection_pool)
        del client
        gc.collect()
        assert pool() is None


def test_undo_leaves_the_classes_as_they_were(registry):
    before = read_classes()
    with instrument_all(only=["redis"], registry=registry):
        assert read_classes() != before
    assert read_classes() == before


def test_a_connection_that_fails_is_no_timeout_of_a_blocking_pool(registry):
    pool = redis.BlockingConnectionPool.from_url(NOWHERE, max_connections=1, retry=Retry(NoBackoff(), 0))
    with instrument_all(only=["redis"], registry=registry):
        with redis.Redis(connection_pool=pool) as client, pytest.raises(redis.ConnectionError):
            client.get("key")
        assert not registry.get_sample_value("db_client_connection_timeouts_total", {"pool": "redis-1"})
    pool.disconnect()


def test_conventions_and_namespace_name_the_metrics(registry):
    with make_client() as client:
        instrument(client, registry=registry, conventions="opentelemetry", namespace="shop")
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        uninstrument(client)
    labels = {"db_system_name": "redis", "db_operation_name": "GET", "outcome": "error"}
    assert registry.get_sample_value(f"shop_{DURATIONS}", labels) == 1
