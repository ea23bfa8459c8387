"""Queues of asyncio and of threads: their length, the waits on both sides, and the time of items in them."""

from __future__ import annotations

import asyncio
import gc
import queue
import sys
import threading
import time

import pytest

from asyncmetrics import generate_latest, instrument, uninstrument
from asyncmetrics.errors import DefinitionError
from tests.forks import run_forked
from tests.patience import PATIENCE_SECONDS, pause, wait_for

SHORT = 0.02
KINDS = [asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue]
THREAD_KINDS = [queue.Queue, queue.LifoQueue, queue.PriorityQueue]


def count(registry, what, name="jobs"):
    return registry.get_sample_value(f"queue_{what}_seconds_count", {"queue": name})


def total(registry, what, name="jobs"):
    return registry.get_sample_value(f"queue_{what}_seconds_sum", {"queue": name})


def read(registry, what, name="jobs"):
    return registry.get_sample_value(f"queue_{what}", {"queue": name})


@pytest.mark.parametrize("kind", [*KINDS, *THREAD_KINDS])
def test_a_queue_exposes_its_length_its_limit_and_its_unfinished_items(registry, kind):
    jobs = instrument(kind(3), name="jobs", registry=registry)
    jobs.put_nowait(1)
    jobs.put_nowait(2)
    jobs.get_nowait()
    assert read(registry, "length") == 1
    assert read(registry, "max") == 3
    assert read(registry, "unfinished_items") == 2
    jobs.task_done()
    assert read(registry, "unfinished_items") == 1


def test_a_queue_without_a_limit_has_an_infinite_one(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    assert jobs.maxsize == 0
    assert read(registry, "max") == float("inf")


@pytest.mark.parametrize("kind", [*KINDS, *THREAD_KINDS])
def test_items_keep_the_order_of_their_queue(registry, kind):
    bare, jobs = kind(), instrument(kind(), registry=registry)
    for item in (3, 1, 2):
        bare.put_nowait(item)
        jobs.put_nowait(item)
    assert [jobs.get_nowait() for _ in range(3)] == [bare.get_nowait() for _ in range(3)]


@pytest.mark.parametrize(("kind", "first"), [(asyncio.Queue, "old"), (asyncio.LifoQueue, "new")])
async def test_the_time_of_an_item_is_its_own(registry, kind, first):
    jobs = instrument(kind(), name="jobs", registry=registry)
    jobs.put_nowait("old")
    passed = await pause()
    put_at = time.perf_counter()
    jobs.put_nowait("new")
    assert jobs.get_nowait() == first
    since_new = time.perf_counter() - put_at
    seconds = total(registry, "item")
    assert seconds >= passed if first == "old" else seconds <= since_new


async def test_items_of_a_priority_queue_have_their_own_times(registry):
    jobs = instrument(asyncio.PriorityQueue(), name="jobs", registry=registry)
    jobs.put_nowait((2, "late"))
    await asyncio.sleep(SHORT)
    put_at = time.perf_counter()
    jobs.put_nowait((1, "early"))
    assert jobs.get_nowait() == (1, "early")
    assert total(registry, "item") <= time.perf_counter() - put_at


def test_items_from_before_have_no_time(registry):
    jobs = asyncio.Queue()
    jobs.put_nowait(1)
    instrument(jobs, name="jobs", registry=registry)
    jobs.put_nowait(2)
    jobs.get_nowait()
    assert count(registry, "item") is None
    jobs.get_nowait()
    assert count(registry, "item") == 1


@pytest.mark.parametrize("kind", THREAD_KINDS)
def test_a_queue_that_is_cleared_from_outside_gets_right_times_again(registry, kind):
    jobs = instrument(kind(), name="jobs", registry=registry)
    for item in range(3):
        jobs.put(item)
    time.sleep(SHORT)
    with jobs.mutex:
        jobs.queue.clear()
    put_at = time.perf_counter()
    jobs.put(9)
    jobs.get()
    assert count(registry, "item") == 1
    assert total(registry, "item") <= time.perf_counter() - put_at


@pytest.mark.parametrize("kind", KINDS)
async def test_a_put_into_a_full_queue_waits(registry, kind):
    jobs = instrument(kind(1), name="jobs", registry=registry)
    await jobs.put(1)
    waiting = asyncio.create_task(jobs.put(2))
    await asyncio.sleep(0)
    passed = await pause()
    await jobs.get()
    await waiting
    assert count(registry, "put_wait") == 2
    assert total(registry, "put_wait") >= passed


@pytest.mark.parametrize("kind", KINDS)
async def test_a_get_from_an_empty_queue_waits(registry, kind):
    jobs = instrument(kind(), name="jobs", registry=registry)
    waiting = asyncio.create_task(jobs.get())
    await asyncio.sleep(0)
    passed = await pause()
    await jobs.put(1)
    assert await waiting == 1
    assert count(registry, "get_wait") == 1
    assert total(registry, "get_wait") >= passed


async def test_calls_that_need_not_wait_have_waited_0_seconds(registry):
    jobs = instrument(asyncio.Queue(2), name="jobs", registry=registry)
    await jobs.put(1)
    jobs.put_nowait(2)
    await jobs.get()
    jobs.get_nowait()
    assert [count(registry, "put_wait"), total(registry, "put_wait")] == [2, 0]
    assert [count(registry, "get_wait"), total(registry, "get_wait")] == [2, 0]


async def test_a_get_that_is_cancelled_has_waited_once_and_takes_no_item(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(jobs.get(), SHORT)
    jobs.put_nowait(2)
    assert jobs.get_nowait() == 2
    assert count(registry, "get_wait") == 2
    assert total(registry, "get_wait") > 0


async def test_a_put_that_is_cancelled_has_waited_once_and_puts_no_item(registry):
    jobs = instrument(asyncio.Queue(1), name="jobs", registry=registry)
    jobs.put_nowait(1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(jobs.put(2), SHORT)
    assert jobs.qsize() == 1
    assert count(registry, "put_wait") == 2
    assert total(registry, "put_wait") > 0


def test_a_refusal_is_no_wait(registry):
    jobs = instrument(asyncio.Queue(1), name="jobs", registry=registry)
    with pytest.raises(asyncio.QueueEmpty):
        jobs.get_nowait()
    jobs.put_nowait(1)
    with pytest.raises(asyncio.QueueFull):
        jobs.put_nowait(2)
    assert [count(registry, "put_wait"), count(registry, "get_wait")] == [1, None]


def test_a_refusal_of_a_queue_of_threads_is_no_wait(registry):
    jobs = instrument(queue.Queue(1), name="jobs", registry=registry)
    with pytest.raises(queue.Empty):
        jobs.get(block=False)
    jobs.put(1)
    with pytest.raises(queue.Full):
        jobs.put(2, False)
    assert [count(registry, "put_wait"), count(registry, "get_wait")] == [1, None]


def test_a_thread_that_waits_for_an_item_is_measured(registry):
    jobs = instrument(queue.Queue(), name="jobs", registry=registry)
    thread = threading.Thread(target=jobs.get, kwargs={"timeout": PATIENCE_SECONDS})
    thread.start()
    time.sleep(SHORT)
    jobs.put(1)
    thread.join(PATIENCE_SECONDS)
    assert count(registry, "get_wait") == 1


def test_a_thread_that_gives_up_has_waited(registry):
    jobs = instrument(queue.Queue(1), name="jobs", registry=registry)
    with pytest.raises(queue.Empty):
        jobs.get(timeout=SHORT)
    jobs.put(1)
    with pytest.raises(queue.Full):
        jobs.put(2, True, SHORT)
    assert total(registry, "get_wait") >= SHORT
    assert total(registry, "put_wait") >= SHORT


def test_many_threads_lose_no_item_and_no_count(registry):
    jobs = instrument(queue.Queue(2), name="jobs", registry=registry)

    def put() -> None:
        for item in range(200):
            jobs.put(item)

    threads = [threading.Thread(target=put) for _ in range(3)]
    for thread in threads:
        thread.start()
    items = [jobs.get(timeout=PATIENCE_SECONDS) for _ in range(600)]
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(items) == sorted([*range(200)] * 3)
    assert [count(registry, what) for what in ("put_wait", "get_wait", "item")] == [600] * 3


async def test_join_waits_for_the_items(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    await jobs.put(1)
    joining = asyncio.create_task(jobs.join())
    await jobs.get()
    await asyncio.sleep(0)
    assert not joining.done()
    jobs.task_done()
    await joining


@pytest.mark.skipif(sys.version_info < (3, 13), reason="queues can be shut down from Python 3.13 on")
async def test_a_shutdown_ends_the_wait(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    waiting = asyncio.create_task(jobs.get())
    await asyncio.sleep(0)
    jobs.shutdown()
    with pytest.raises(asyncio.QueueShutDown):
        await waiting
    with pytest.raises(asyncio.QueueShutDown):
        jobs.put_nowait(1)
    assert count(registry, "get_wait") == 1


async def test_a_queue_class_of_the_program_keeps_what_it_does(registry):
    class Unique(asyncio.Queue):
        def _init(self, maxsize):
            self._queue = set()

        def _put(self, item):
            self._queue.add(item)

        def _get(self):
            return self._queue.pop()

        async def put(self, item, *, twice=False):
            await super().put(item)
            return twice

    jobs = instrument(Unique(), name="jobs", registry=registry)
    assert await jobs.put(1, twice=True) is True
    assert await jobs.get() == 1
    assert [count(registry, "put_wait"), count(registry, "get_wait")] == [1, 1]
    assert count(registry, "item") is None


async def test_uninstrument_leaves_nothing(registry):
    jobs = asyncio.Queue(2)
    before = vars(jobs).keys()
    uninstrument(instrument(jobs, name="jobs", registry=registry))
    await jobs.put(1)
    assert type(jobs) is asyncio.Queue
    assert vars(jobs).keys() == before
    assert "jobs" not in generate_latest(registry).decode()


async def test_uninstrument_during_a_wait_disturbs_nobody(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    waiting = asyncio.create_task(jobs.get())
    await asyncio.sleep(0)
    uninstrument(jobs)
    jobs.put_nowait(1)
    assert await waiting == 1
    assert "jobs" not in generate_latest(registry).decode()


def test_the_series_of_a_queue_that_is_gone_disappear(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    jobs.put_nowait(1)
    assert "jobs" in generate_latest(registry).decode()
    del jobs
    gc.collect()
    assert "jobs" not in generate_latest(registry).decode()


def test_a_second_call_measures_nothing_twice_and_logs_its_options(registry, caplog):
    jobs = instrument(instrument(asyncio.Queue(), name="jobs", registry=registry), name="other", registry=registry)
    jobs.put_nowait(1)
    assert count(registry, "put_wait") == 1
    assert "these are ignored: name." in caplog.text


def test_a_second_call_with_the_same_options_logs_nothing(registry, caplog):
    options = {"name": "jobs", "registry": registry}
    instrument(instrument(asyncio.Queue(), **options), **options)
    assert caplog.text == ""


def test_queues_without_names_have_their_class_and_a_number(registry):
    queues = [instrument(kind(), registry=registry) for kind in (asyncio.Queue, asyncio.LifoQueue, queue.Queue)]
    assert len(queues) == 3
    for name in ("Queue-1", "LifoQueue-1", "Queue-2"):
        assert read(registry, "length", name) == 0


def test_a_namespace_is_the_prefix_of_all_names(registry):
    jobs = instrument(asyncio.Queue(), name="jobs", namespace="shop", registry=registry)
    jobs.put_nowait(1)
    assert registry.get_sample_value("shop_queue_put_wait_seconds_count", {"queue": "jobs"}) == 1


def test_a_wrong_name_is_refused_and_changes_nothing(registry):
    jobs = asyncio.Queue()
    with pytest.raises(DefinitionError, match="name: expected a str such as 'jobs'"):
        instrument(jobs, name=7, registry=registry)
    assert type(jobs) is asyncio.Queue


def test_an_object_whose_class_cannot_be_derived_from_is_refused_and_not_exposed(registry):
    class Final(asyncio.Queue):
        def __init_subclass__(cls):
            raise TypeError("final")

    jobs = Final()
    with pytest.raises(DefinitionError, match="an object whose class can be derived from"):
        instrument(jobs, name="jobs", registry=registry)
    assert "jobs" not in generate_latest(registry).decode()


def test_a_forked_process_goes_on_measuring(registry):
    def work() -> None:
        jobs.put_nowait(2)
        assert [jobs.get_nowait(), jobs.get_nowait()] == [1, 2]
        assert [count(registry, "put_wait"), count(registry, "get_wait")] == [2, 2]
        uninstrument(jobs)
        assert "jobs" not in generate_latest(registry).decode()

    jobs = instrument(asyncio.Queue(), name="jobs", registry=registry)
    jobs.put_nowait(1)
    run_forked(work)
    assert [count(registry, "put_wait"), count(registry, "get_wait")] == [1, None]


def test_a_simple_queue_is_refused_with_advice():
    with pytest.raises(DefinitionError, match="use a queue.Queue or an asyncio.Queue"):
        instrument(queue.SimpleQueue())


def test_two_loops_in_two_threads_use_their_own_queues(registry):
    def run(name: str) -> None:
        async def main() -> None:
            jobs = instrument(asyncio.Queue(1), name=name, registry=registry)
            waiting = asyncio.create_task(jobs.get())
            await asyncio.sleep(0)
            await jobs.put(1)
            await waiting
            kept.append(jobs)

        asyncio.run(main())

    kept = []
    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    wait_for(lambda: [count(registry, "get_wait", name) for name in ("a", "b")], [1, 1])
