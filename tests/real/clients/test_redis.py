"""redis-py against a real Redis: outcomes, cancellation, pools, restarts, event loops and neighbours."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import subprocess
import sys
import threading
import types
import weakref

import pytest
import redis
import redis.asyncio
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncmetrics import instrument, instrument_all, uninstrument
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

DURATIONS = "db_client_operation_duration_seconds_count"
ACTIVE = "db_client_operation_active"
COUNT = "db_client_connection_count"
SHORT_SECONDS = 0.05


@pytest.fixture
def url(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
    return redis_server.url


@pytest.fixture
def count(samples):
    """Read the number of calls by operation and outcome."""
    return lambda: samples(DURATIONS, "operation", "outcome")


@pytest.fixture
def measured(registry, url):
    """Measure redis-py for the time of the test, once the server is empty."""
    with instrument_all(only=["redis"], registry=registry):
        yield
    for where in ("integrations.redis", "pools"):
        assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": where}) is None


@types.coroutine
def cancel_at(coroutine, step):
    """Run a coroutine, and cancel it at one of its suspensions."""
    resume = lambda: coroutine.send(None)  # noqa: E731
    for number in itertools.count(1):
        try:
            waited = resume()
        except StopIteration as stop:
            return stop.value
        if number == step:
            resume = lambda: coroutine.throw(asyncio.CancelledError())  # noqa: E731
            continue
        resume = lambda: coroutine.send(None)  # noqa: E731
        yield waited


async def cancel_everywhere(make_call) -> int:
    """Cancel a call at its first suspension, another at its second, until one finishes; return their number."""
    for step in itertools.count(1):
        async with make_call() as call:
            try:
                await cancel_at(call, step)
            except asyncio.CancelledError:
                continue
            return step
    raise AssertionError


class Call:
    """A call of a client of its own, which has no connection yet."""

    def __init__(self, url, make):
        self._client = redis.asyncio.Redis.from_url(url)
        self._make = make

    async def __aenter__(self):
        return self._make(self._client)

    async def __aexit__(self, *_):
        await self._client.aclose()


@pytest.mark.usefixtures("measured")
def test_a_sync_command_counts_once_by_its_outcome(url, count, samples):
    with redis.Redis.from_url(url) as client:
        client.set("key", "text")
        client.get("key")
        with pytest.raises(redis.ResponseError):
            client.incr("key")
    assert count() == {("SET", "ok"): 1, ("GET", "ok"): 1, ("INCRBY", "error"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {("ResponseError",): 1}


@pytest.mark.usefixtures("measured")
def test_an_async_command_counts_once_by_its_outcome(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client:
            await client.set("key", "text")
            assert await client.get("key") == b"text"
            with pytest.raises(redis.ResponseError):
                await client.incr("key")

    asyncio.run(main())
    assert count() == {("SET", "ok"): 1, ("GET", "ok"): 1, ("INCRBY", "error"): 1}
    assert samples("db_client_operation_exceptions_total", "type") == {("ResponseError",): 1}


@pytest.mark.usefixtures("measured")
def test_a_command_is_active_while_it_runs(url, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client:
            await client.client_pause(PATIENCE_SECONDS * 1000, all=False)
            call = asyncio.create_task(client.set("key", 1))
            await eventually(lambda: samples(ACTIVE, "operation").get(("SET",)), 1)
            await client.client_unpause()
            await call

    asyncio.run(main())
    assert set(samples(ACTIVE, "operation").values()) == {0}


@pytest.mark.usefixtures("measured")
def test_a_pipeline_is_one_call_and_its_immediate_commands_are_calls(url, count):
    def increment(pipeline):
        pipeline.get("key")
        pipeline.multi()
        pipeline.incr("key")

    with redis.Redis.from_url(url) as client:
        client.transaction(increment, "key")
    assert count() == {("WATCH", "ok"): 1, ("GET", "ok"): 1, ("PIPELINE", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_an_async_pipeline_is_one_call_and_its_immediate_commands_are_calls(url, count):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client, client.pipeline() as pipeline:
            await pipeline.watch("key")
            assert await pipeline.get("key") is None
            pipeline.multi()
            pipeline.incr("key").incr("key")
            assert await pipeline.execute() == [1, 2]

    asyncio.run(main())
    assert count() == {("WATCH", "ok"): 1, ("GET", "ok"): 1, ("PIPELINE", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_the_scripts_that_a_pipeline_loads_are_inside_of_it(url, count):
    with redis.Redis.from_url(url) as client:
        script = client.register_script("return 1")
        pipeline = client.pipeline()
        script(client=pipeline)
        assert pipeline.execute() == [1]
    assert count() == {("PIPELINE", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_a_lock_and_a_script_count_by_their_commands(url, count):
    with redis.Redis.from_url(url) as client:
        with client.lock("lock"):
            pass
        assert client.register_script("return 2")() == 2
    found = count()
    assert found["SET", "ok"] == 1
    assert {operation for operation, _ in found} <= {"SET", "EVALSHA", "SCRIPT"}


@pytest.mark.usefixtures("measured")
def test_a_client_of_one_connection_is_measured(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url, single_connection_client=True) as client:
            await asyncio.gather(*(client.ping() for _ in range(5)))
            assert samples(COUNT, "state") == {("idle",): 0, ("used",): 1}

    asyncio.run(main())
    assert count() == {("PING", "ok"): 5}


@pytest.mark.usefixtures("measured")
def test_a_message_of_a_channel_is_no_command(url, count):
    with redis.Redis.from_url(url) as client, client.pubsub() as channel:
        channel.subscribe("news")
        wait_until(lambda: channel.get_message(timeout=PATIENCE_SECONDS))
        client.publish("news", "text")
        assert channel.get_message(timeout=PATIENCE_SECONDS)["data"] == b"text"
    assert count() == {("PUBLISH", "ok"): 1}


@pytest.mark.usefixtures("measured")
def test_a_command_that_waits_by_design_uses_a_connection_and_counts_as_nothing(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client, redis.asyncio.Redis.from_url(url) as other:
            call = asyncio.create_task(client.blpop(["list"], 0))
            await eventually(lambda: samples(COUNT, "pool", "state").get(("redis-1", "used")), 1)
            await other.lpush("list", "text")
            assert await call == (b"list", b"text")

    asyncio.run(main())
    assert count() == {("LPUSH", "ok"): 1}


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("operation", "make"),
    [("GET", lambda client: client.get("key")), ("PIPELINE", lambda client: client.pipeline().incr("key").execute())],
    ids=["command", "pipeline"],
)
def test_a_call_that_is_cancelled_at_any_await_is_cancelled_and_leaves_nothing_active(
    url, count, samples, operation, make
):
    calls = asyncio.run(cancel_everywhere(lambda: Call(url, make)))
    assert calls > 2
    assert count() == {(operation, "cancelled"): calls - 1, (operation, "ok"): 1}
    assert samples(ACTIVE, "operation") == {(operation,): 0}
    assert samples("db_client_operation_exceptions_total", "type") == {}


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
            assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("redis-1",): 2}
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
        assert samples("db_client_connection_wait_time_seconds_count", "pool") == {("redis-1",): 2}
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
def test_two_event_loops_one_after_the_other_and_at_the_same_time_are_measured(url, count, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client:
            await asyncio.gather(*(client.get("key") for _ in range(5)))

    asyncio.run(main())
    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count() == {("GET", "ok"): 15}
    assert samples(ACTIVE, "operation") == {("GET",): 0}


def begin_with(client, call):
    """Let ``client`` await ``call()`` inside of each command, as a pool of Sentinel asks for its master."""
    get_connection = client.connection_pool.get_connection

    async def call_before(*args, **kwargs):
        await call()
        return await get_connection(*args, **kwargs)

    client.connection_pool.get_connection = call_before


@pytest.mark.usefixtures("measured")
def test_a_call_inside_of_a_call_is_none_of_its_own(url, count):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client, redis.asyncio.Redis.from_url(url) as inner:
            begin_with(client, inner.ping)
            await client.get("key")
            assert count() == {("GET", "ok"): 1}
            await inner.ping()
            assert count() == {("GET", "ok"): 1, ("PING", "ok"): 1}

    asyncio.run(main())


@pytest.mark.usefixtures("measured")
def test_the_calls_of_a_task_that_a_call_begins_are_its_own(url, count):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client, redis.asyncio.Redis.from_url(url) as inner:
            begin_with(client, lambda: asyncio.create_task(inner.ping()))
            await client.get("key")

    asyncio.run(main())
    assert count() == {("GET", "ok"): 1, ("PING", "ok"): 1}


@pytest.mark.usefixtures("measured")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks share no context before Python 3.11")
def test_the_calls_of_tasks_that_share_a_context_count_each(url, count):
    async def main():
        context = contextvars.copy_context()
        async with redis.asyncio.Redis.from_url(url) as client:
            calls = [asyncio.create_task(client.get("key"), context=context) for _ in range(5)]
            await asyncio.gather(*calls)

    asyncio.run(main())
    assert count() == {("GET", "ok"): 5}


@pytest.mark.usefixtures("measured")
def test_nothing_grows_with_the_number_of_calls(url, samples):
    async def main():
        async with redis.asyncio.Redis.from_url(url) as client:

            async def call(number):
                for _ in range(number):
                    await client.get("key")
                    await client.pipeline().get("key").execute()
                gc.collect()
                return len(gc.get_objects()), len(asyncio.all_tasks())

            await call(100)
            objects, tasks = await call(100)
            more_objects, more_tasks = await call(1000)
            assert more_objects - objects < 100
            assert more_tasks == tasks

    asyncio.run(main())
    assert len(samples(ACTIVE, "operation")) == 2


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


@pytest.fixture
def spans(monkeypatch):
    """Return OpenTelemetry's instrumentation of redis-py as two functions and the spans; remove all of it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    wrapped = [(kind, name) for module in (redis.client, redis.asyncio.client) for kind, name in _list_wrapped(module)]
    yield lambda: RedisInstrumentor().instrument(tracer_provider=provider), exporter
    RedisInstrumentor().uninstrument()
    for kind, name in wrapped:  # uninstrument() leaves a wrapper that is below another one
        unwrap(kind, name)


def _list_wrapped(module):
    for kind, names in (
        (module.Redis, ("execute_command",)),
        (module.Pipeline, ("execute", "immediate_execute_command")),
    ):
        for name in names:
            yield kind, name


@pytest.mark.parametrize("removed_first", ["ours", "theirs"])
@pytest.mark.parametrize("installed_first", ["ours", "theirs"])
def test_opentelemetry_beside_loses_no_span_and_counts_nothing_twice(
    url, registry, count, spans, installed_first, removed_first
):
    begin_spans, exporter = spans

    def call():
        exporter.clear()
        before = count().get(("GET", "ok"), 0)
        with redis.Redis.from_url(url) as client:
            client.get("key")

        async def main():
            async with redis.asyncio.Redis.from_url(url) as client:
                await client.get("key")

        asyncio.run(main())
        return len(exporter.get_finished_spans()), count().get(("GET", "ok"), 0) - before

    if installed_first == "theirs":
        begin_spans()
    measuring = instrument_all(only=["redis"], registry=registry)
    try:
        if installed_first == "ours":
            begin_spans()
        assert call() == (2, 2)
        if removed_first == "ours":
            measuring.undo()
            assert call() == (2, 0)
        else:
            RedisInstrumentor().uninstrument()
            assert call()[1] == 2
    finally:
        measuring.undo()
    RedisInstrumentor().uninstrument()
    assert call()[1] == 0


PROGRAM = """
import redis, sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry import metrics
from redis.observability.config import MetricGroup, OTelConfig
from redis.observability.providers import get_observability_instance
from asyncmetrics import CollectorRegistry, instrument_all

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
get_observability_instance().init(OTelConfig(metric_groups=[MetricGroup.COMMAND]))
registry = CollectorRegistry()
with instrument_all(only=["redis"], registry=registry), redis.Redis.from_url(sys.argv[1]) as client:
    for _ in range(3):
        client.ping()
found = [m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics]
theirs = [p.count for m in found if m.name == "db.client.operation.duration" for p in m.data.data_points]
labels = {"system": "redis", "operation": "PING", "outcome": "ok"}
print(theirs, registry.get_sample_value("db_client_operation_duration_seconds_count", labels))
"""


def test_the_metrics_that_redis_py_has_itself_stay_as_they_are(url):
    pytest.importorskip("redis.observability")
    found = subprocess.run([sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, check=True)
    assert found.stdout == "[3] 3.0\n"
