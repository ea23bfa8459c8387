"""One instrument that several calls share: the state of a call belongs to the call."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import AsyncExitStack, ExitStack, contextmanager

import anyio
import pytest
import trio

from asyncmetrics import CallMetrics, Gauge, Histogram, bind_labels, clear_labels
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def db(registry):
    return CallMetrics("db", "Calls.", registry=registry)


@pytest.fixture
def calls(registry):
    """How many calls were measured, and how many are active."""
    value = registry.get_sample_value
    return lambda: (value("db_duration_seconds_count", {"outcome": "ok"}), value("db_active"))


@pytest.fixture(autouse=True)
def unbound():
    """Let a test leave no context label bound for the next one."""
    yield
    clear_labels()


def _session(instrument):
    with instrument:
        yield


def _step(generator):
    """Run a generator to its next yield in a context of its own, as a thread pool does."""
    return contextvars.copy_context().run(next, generator, None)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_overlapping_generators_in_contexts_of_their_own_are_all_measured(order, db, calls):
    sessions = [_session(db) for _ in range(3)]
    for session in sessions:
        _step(session)
    assert calls() == (None, 3)
    for index in order:
        _step(sessions[index])
    assert calls() == (3, 0)


def test_an_overlapping_generator_has_its_own_time(h):
    timer, timings = h.time(), []

    def session():
        with timer as timing:
            timings.append(timing)
            yield

    first, second = session(), session()
    next(first)
    next(second)
    next(first, None)
    assert timings[0].duration > 0
    assert timings[1].duration == 0


def test_a_generator_that_is_dropped_is_measured(db, calls):
    session = _session(db)
    next(session)
    del session
    assert calls() == (1, 0)


def test_a_block_may_be_left_in_another_thread(db, calls):
    session = _session(db)
    next(session)
    thread = threading.Thread(target=next, args=(session, None))
    thread.start()
    thread.join()
    assert calls() == (1, 0)


def test_threads_that_share_an_instrument_are_all_measured(db, calls):
    barrier = threading.Barrier(4)

    def work():
        with db:
            barrier.wait(PATIENCE_SECONDS)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls() == (4, 0)


async def test_tasks_that_enter_it_by_their_exit_stacks_are_all_measured(db, calls):
    entered, leave = asyncio.Semaphore(0), asyncio.Event()

    async def work():
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(db)
            entered.release()
            await leave.wait()

    tasks = [asyncio.create_task(work()) for _ in range(3)]
    for _ in tasks:
        await entered.acquire()
    assert calls() == (None, 3)
    leave.set()
    await asyncio.gather(*tasks)
    assert calls() == (3, 0)


def test_tasks_of_trio_that_enter_it_by_their_exit_stacks_are_all_measured(db, calls):
    async def work():
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(db)
            await anyio.sleep(0.01)

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work)

    trio.run(main)
    assert calls() == (3, 0)


def test_an_exit_stack_may_be_left_by_another_thread(db, calls):
    stack = ExitStack()
    stack.enter_context(db)
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert calls() == (1, 0)


def test_entries_of_several_threads_that_another_one_leaves_all_end(db, calls):
    stacks = [ExitStack() for _ in range(3)]
    barrier = threading.Barrier(3)

    def enter(stack):
        stack.enter_context(db)
        barrier.wait(PATIENCE_SECONDS)

    threads = [threading.Thread(target=enter, args=(stack,)) for stack in stacks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stack in stacks:
        stack.close()
    assert calls() == (3, 0)


def test_a_second_entry_that_no_exit_could_be_told_from_is_an_error(db, calls):
    first, second = ExitStack(), ExitStack()
    first.enter_context(db)
    with pytest.raises(RuntimeError, match=r"CallMetrics\('db'\).*entered twice.*labels\(\)"):
        second.enter_context(db)
    first.close()
    assert calls() == (1, 0)


def test_the_remedy_for_it_works(db, calls):
    first, second = ExitStack(), ExitStack()
    first.enter_context(db.labels())
    second.enter_context(db.labels())
    first.close()
    second.close()
    assert calls() == (2, 0)


def test_callbacks_of_a_protocol_say_so_at_the_second_entry(db, calls):
    class Protocol:
        def connection_made(self):
            db.__enter__()

        def connection_lost(self):
            db.__exit__(None, None, None)

    first, second = Protocol(), Protocol()
    contextvars.copy_context().run(first.connection_made)
    with pytest.raises(RuntimeError, match="entered twice"):
        contextvars.copy_context().run(second.connection_made)
    contextvars.copy_context().run(first.connection_lost)
    assert calls() == (1, 0)


def test_an_exit_without_an_entry_hides_no_exception(db):
    assert db.__exit__(KeyError, KeyError("it"), None) is None


@pytest.fixture
def by_tenant(registry):
    gauge = Gauge("running", "Running.", context_labels=["tenant"], registry=registry)
    values = lambda: {s.labels["tenant"]: s.value for f in registry.collect() for s in f.samples if s.name == "running"}
    return gauge, values


def _bind():
    bind_labels(tenant="acme")


async def _bind_later():
    _bind()


def _bind_on_the_way():
    _bind()
    yield


async def _bind_on_the_way_later():
    _bind()
    yield


@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async generator", "task", "with", "stack"])
async def test_what_went_up_goes_down_though_a_label_is_bound_in_between(kind, by_tenant):
    gauge, values = by_tenant
    track = gauge.track_inprogress()
    match kind:
        case "function":
            track(_bind)()
        case "coroutine":
            await track(_bind_later)()
        case "generator":
            list(track(_bind_on_the_way)())
        case "async generator":
            _ = [x async for x in track(_bind_on_the_way_later)()]
        case "task":
            await track(lambda: asyncio.ensure_future(_bind_later()))()
            await asyncio.sleep(0)
        case "with":
            with track:
                _bind()
        case "stack":
            with ExitStack() as stack:
                stack.enter_context(track)
                _bind()
    assert values() == {"": 0}


def test_what_went_up_goes_down_on_a_child_with_labels_of_both_kinds(registry):
    gauge = Gauge("jobs", "Jobs.", ["kind"], context_labels=["tenant"], registry=registry)
    with gauge.labels("mail").track_inprogress():
        _bind()
    assert registry.get_sample_value("jobs", {"kind": "mail", "tenant": ""}) == 0
    assert registry.get_sample_value("jobs", {"kind": "mail", "tenant": "acme"}) is None


def test_what_went_up_goes_down_on_a_child_that_was_removed_in_between(registry):
    gauge = Gauge("jobs", "Jobs.", context_labels=["tenant"], registry=registry)
    with gauge.track_inprogress():
        gauge.remove("")
        gauge.inc()
    assert registry.get_sample_value("jobs", {"tenant": ""}) == 1


@pytest.mark.parametrize("enter", [lambda track: track, lambda track: contextmanager(_session)(track)])
def test_the_calls_of_a_tenant_that_is_bound_inside_go_up_and_down_on_one_child(enter, registry):
    track = CallMetrics("rpc", "Calls.", context_labels=["tenant"], registry=registry)
    with enter(track):
        assert registry.get_sample_value("rpc_active", {"tenant": ""}) == 1
        _bind()
    assert registry.get_sample_value("rpc_active", {"tenant": ""}) == 0
    assert registry.get_sample_value("rpc_duration_seconds_count", {"tenant": "acme", "outcome": "ok"}) == 1


@pytest.mark.parametrize("kind", ["time", "calls"])
def test_a_generator_that_is_closed_in_the_context_of_another_call_keeps_its_labels(kind, registry):
    if kind == "time":
        instrument = Histogram("h", "H.", context_labels=["tenant"], registry=registry).time()
    else:
        instrument = CallMetrics("h", "H.", context_labels=["tenant"], registry=registry)
    session = _session(instrument)
    own = contextvars.copy_context()
    own.run(bind_labels, tenant="acme")
    own.run(next, session)
    bind_labels(tenant="initech")
    session.close()
    counts = [s.labels["tenant"] for f in registry.collect() for s in f.samples if s.name.endswith("_count")]
    assert counts == ["acme"]


def test_a_long_block_belongs_to_its_frame(db, calls):
    body = "\n".join(f"        x = [depth, {number}]" for number in range(300))
    program = f"def recurse(db, depth):\n    with db:\n        if depth:\n            recurse(db, depth - 1)\n{body}\n"
    names = {}
    exec(program, names)
    names["recurse"](db, 1)
    assert calls() == (2, 0)
