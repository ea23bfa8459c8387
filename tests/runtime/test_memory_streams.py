"""Memory streams of anyio and memory channels of trio."""

from __future__ import annotations

import gc
import time
from collections import OrderedDict, deque

import anyio
import pytest
import trio

from asyncmetrics import generate_latest, instrument, uninstrument
from asyncmetrics.errors import DefinitionError
from tests.patience import eventually, pause


def count(registry, what):
    return registry.get_sample_value(f"queue_{what}_seconds_count", {"queue": "jobs"})


def total(registry, what):
    return registry.get_sample_value(f"queue_{what}_seconds_sum", {"queue": "jobs"})


def read(registry, what):
    return registry.get_sample_value(f"queue_{what}", {"queue": "jobs"})


@pytest.mark.parametrize("end", [0, 1], ids=["send", "receive"])
def test_either_end_measures_both(registry, run, end):
    async def main():
        ends = anyio.create_memory_object_stream(3)
        instrument(ends[end], name="jobs", registry=registry)
        send, receive = ends
        with send, receive:
            await send.send(1)
            await send.send(2)
            assert [read(registry, "length"), read(registry, "max")] == [2, 3]
            assert await receive.receive() == 1
        assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [2, 1, 1]
        assert [total(registry, what) for what in ("put_wait", "get_wait")] == [0, 0]

    run(main)


def test_clones_are_measured_as_well(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(3)
        instrument(send, name="jobs", registry=registry)
        with send, receive, send.clone() as other, receive.clone() as reader:
            await other.send(1)
            await reader.receive()
            assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [1, 1, 1]

    run(main)


def test_the_time_of_an_item_in_the_buffer(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(3)
        instrument(send, name="jobs", registry=registry)
        with send, receive:
            await send.send(1)
            passed = await pause()
            await receive.receive()
        assert total(registry, "item") >= passed

    run(main)


def test_a_receiver_that_waits_gets_its_item_after_0_seconds_in_the_queue(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(3)
        instrument(send, name="jobs", registry=registry)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive.receive)
                await eventually(lambda: receive.statistics().tasks_waiting_receive, 1)
                passed = await pause()
                await send.send(1)
            assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [1, 1, 1]
            assert total(registry, "item") == 0
            assert total(registry, "get_wait") >= passed

    run(main)


def test_a_sender_waits_for_room(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(0)
        instrument(receive, name="jobs", registry=registry)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send.send, 1)
                await eventually(lambda: send.statistics().tasks_waiting_send, 1)
                passed = await pause()
                assert await receive.receive() == 1
            assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [1, 1, 1]
            assert total(registry, "put_wait") >= passed

    run(main)


def test_calls_that_are_cancelled_have_waited_once(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(0)
        instrument(receive, name="jobs", registry=registry)
        with send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send.send, 1)
                await eventually(lambda: send.statistics().tasks_waiting_send, 1)
                tasks.cancel_scope.cancel()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive.receive)
                await eventually(lambda: receive.statistics().tasks_waiting_receive, 1)
                tasks.cancel_scope.cancel()
            assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [1, 1, None]
            with pytest.raises(anyio.WouldBlock):
                receive.receive_nowait()

    run(main)


def test_a_receiver_that_is_cancelled_gets_no_item(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(1)
        scope = anyio.CancelScope()

        async def wait():
            with scope:
                await receive.receive()

        with send, receive:
            async with anyio.create_task_group() as group:
                instrument(send, name="jobs", registry=registry)
                group.start_soon(wait)
                await eventually(lambda: receive.statistics().tasks_waiting_receive, 1)
                scope.cancel()
                send.send_nowait(1)
            assert receive.receive_nowait() == 1
            assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [1, 2, 1]

    run(main)


def test_a_loop_over_the_items_ends_when_all_senders_are_closed(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(2)
        instrument(send, name="jobs", registry=registry)
        items = []

        async def read_all():
            async for item in receive:
                items.append(item)

        with receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_all)
                async with send:
                    for item in range(5):
                        await send.send(item)
        assert items == [*range(5)]
        assert [count(registry, what) for what in ("put_wait", "item")] == [5, 5]

    run(main)


def test_a_sender_learns_that_all_receivers_are_closed(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(0)
        instrument(send, name="jobs", registry=registry)
        with send:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(close_when_waiting, send, receive)
                with pytest.raises(anyio.BrokenResourceError):
                    await send.send(1)
            assert count(registry, "put_wait") == 1

    async def close_when_waiting(send, receive):
        await eventually(lambda: send.statistics().tasks_waiting_send, 1)
        receive.close()

    run(main)


def test_uninstrument_restores_the_stream_with_its_items_and_waiters(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(1)
        instrument(send, name="jobs", registry=registry)
        with send, receive:
            await send.send(1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send.send, 2)
                await eventually(lambda: send.statistics().tasks_waiting_send, 1)
                uninstrument(receive)
                assert [await receive.receive(), await receive.receive()] == [1, 2]
            kinds = [type(value) for value in vars(send._state).values()]
            assert kinds.count(deque) == 1
            assert kinds.count(OrderedDict) == 2
        assert "jobs" not in generate_latest(registry).decode()

    run(main)


def test_a_stream_without_a_name_is_called_memory_stream(registry):
    send, receive = anyio.create_memory_object_stream(3)
    with send, receive:
        instrument(send, registry=registry)
        assert registry.get_sample_value("queue_max", {"queue": "MemoryStream-1"}) == 3


def test_the_series_of_a_stream_that_is_gone_disappear(registry, run):
    async def main():
        send, receive = anyio.create_memory_object_stream(1)
        instrument(send, name="jobs", registry=registry)
        send.close()
        receive.close()

    run(main)
    gc.collect()
    assert "jobs" not in generate_latest(registry).decode()


def test_the_channels_of_trio_are_measured_as_well(registry):
    async def main():
        send, receive = trio.open_memory_channel(1)
        instrument(send, name="jobs", registry=registry)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive.receive)
            await trio.testing.wait_all_tasks_blocked()
            await send.send(1)
        began = time.perf_counter()
        await send.send(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send.send, 3)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await receive.receive() == 2
        assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [3, 2, 2]
        assert 0 < total(registry, "item") <= time.perf_counter() - began
        uninstrument(receive)
        send.close()
        receive.close()

    trio.run(main)
    assert "jobs" not in generate_latest(registry).decode()


@pytest.mark.parametrize("make", [anyio.create_memory_object_stream, trio.open_memory_channel])
def test_both_ends_at_once_are_refused_with_advice(make):
    with pytest.raises(DefinitionError, match="of the two ends of a memory stream, instrument one"):
        instrument(make(1))
