"""redis-py against a real Redis: what counts, how it ends, cancellation and event loops."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import sys
import threading
import types

import pytest
import redis
import redis.asyncio

from tests.growth import count_objects, find_growth
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

# redis-py looks for its own version when it makes a connection.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

DURATIONS = "db_client_operation_duration_seconds_count"
ACTIVE = "db_client_operation_active"
COUNT = "db_client_connection_count"


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
                return count_objects(), len(asyncio.all_tasks())

            await call(100)
            objects, tasks = zip(*[await call(300) for _ in range(4)], strict=True)
            assert find_growth(objects) < 30
            assert len(set(tasks)) == 1

    asyncio.run(main())
    assert len(samples(ACTIVE, "operation")) == 2
