"""Context labels: which code sees them, and for how long."""

from __future__ import annotations

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest

from asyncmetrics import (
    Counter,
    Gauge,
    Histogram,
    bind_labels,
    bound_labels,
    clear_labels,
    get_labels,
    reset_labels,
    unbind_labels,
)
from asyncmetrics.errors import LabelError


@pytest.fixture(autouse=True)
def nothing_bound():
    clear_labels()
    yield
    clear_labels()


@pytest.fixture
def jobs(registry):
    return Counter("jobs", "Jobs.", ["kind"], context_labels=["tenant"], registry=registry)


@pytest.fixture
def series(registry):
    return lambda: {tuple(s.labels.values()): s.value for f in registry.collect() for s in f.samples}


def test_a_bound_value_is_read(jobs, series):
    with bound_labels(tenant="acme", unread="x"):
        jobs.labels("mail").inc()
    assert series() == {("mail", "acme"): 1}


def test_a_name_that_is_not_bound_is_empty(jobs, series):
    jobs.labels("mail").inc()
    assert series() == {("mail", ""): 1}


def test_what_was_bound_before_comes_back(jobs):
    with bound_labels(tenant="outer", a=1):
        with bound_labels(tenant="inner"):
            assert get_labels() == {"tenant": "inner", "a": 1}
        assert get_labels() == {"tenant": "outer", "a": 1}
    assert get_labels() == {}


def test_a_block_that_raises_unbinds():
    with pytest.raises(ValueError), bound_labels(a=1):
        raise ValueError
    assert get_labels() == {}


def test_a_manager_can_be_used_again_inside_itself():
    manager = bound_labels(a=1)
    with manager, manager:
        assert get_labels() == {"a": 1}
    assert get_labels() == {}


def test_managers_may_end_in_another_order_than_they_began():
    first, second, third = bound_labels(a=1), bound_labels(b=2), bound_labels(c=3)
    for manager in (first, second, third):
        manager.__enter__()
    second.__exit__(None, None, None)
    assert get_labels() == {"a": 1, "c": 3}
    first.__exit__(None, None, None)
    third.__exit__(None, None, None)
    assert get_labels() == {}


def test_a_manager_that_was_not_entered_ends_nothing():
    with bound_labels(a=1):
        bound_labels(a=2).__exit__(None, None, None)
        assert get_labels() == {"a": 1}


async def test_tasks_that_share_a_manager_get_back_what_was_theirs():
    manager = bound_labels(tenant="shared")

    async def work(tenant, seconds):
        bind_labels(tenant=tenant)
        with manager:
            await asyncio.sleep(seconds)
        return get_labels()["tenant"]

    assert await asyncio.gather(work("a", 0.01), work("b", 0.02)) == ["a", "b"]


def test_tokens_undo_one_binding_and_leave_the_others():
    first = bind_labels(a=1, b=1)
    bind_labels(c=3)
    reset_labels(first)
    assert get_labels() == {"c": 3}


def test_labels_are_unbound_by_name():
    bind_labels(a=1, b=2)
    unbind_labels("a", "never bound")
    assert get_labels() == {"b": 2}


def test_what_is_bound_cannot_be_changed_from_outside():
    bind_labels(a=1)
    with pytest.raises(TypeError):
        get_labels()["a"] = 2


def test_a_callable_is_asked_when_a_metric_reads(jobs, series):
    route = ["<pending>"]
    with bound_labels(tenant=lambda: route[0]):
        jobs.labels("mail").inc()
        route[0] = "/x"
        jobs.labels("mail").inc()
    assert series() == {("mail", "<pending>"): 1, ("mail", "/x"): 1}


def test_a_callable_that_raises_is_empty_and_counted(jobs, registry):
    with bound_labels(tenant=lambda: 1 / 0):
        jobs.labels("mail").inc()
    assert registry.get_sample_value("jobs_total", {"kind": "mail", "tenant": ""}) == 1
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "context_labels"}) == 1


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (None, "None"), ("\udfff", "\ufffd")])
def test_a_bound_value_is_its_text(value, text, jobs, series):
    with bound_labels(tenant=value):
        jobs.labels("mail").inc()
    assert series() == {("mail", text): 1}


def test_a_child_that_is_kept_reads_the_context_of_each_use(jobs, series):
    mail = jobs.labels("mail")
    for tenant in ("a", "b"):
        with bound_labels(tenant=tenant):
            mail.inc()
    assert series() == {("mail", "a"): 1, ("mail", "b"): 1}


def test_a_metric_with_context_labels_alone_needs_no_labels(registry, series):
    gauge = Gauge("g", "G.", context_labels=["tenant"], registry=registry)
    with bound_labels(tenant="a"):
        gauge.set(5)
        gauge.dec()
    assert series() == {("a",): 4}


@pytest.mark.parametrize(("values", "named"), [((), {}), (("a", "b"), {}), ((), {"tenant": "x"})])
def test_labels_takes_the_explicit_names_alone(values, named, jobs):
    with pytest.raises(LabelError, match="kind"):
        jobs.labels(*values, **named)


async def test_tasks_inherit_and_siblings_do_not_see_each_other(jobs, series):
    async def work(tenant):
        with bound_labels(tenant=tenant):
            await asyncio.sleep(0.01)
            jobs.labels("mail").inc()

    with bound_labels(tenant="outer"):
        await asyncio.gather(work("a"), work("b"), asyncio.create_task(_inc(jobs)))
    assert series() == {("mail", "a"): 1, ("mail", "b"): 1, ("mail", "outer"): 1}


async def _inc(jobs):
    jobs.labels("mail").inc()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_threads_of_to_thread_inherit(backend, jobs, series):
    async def main():
        with bound_labels(tenant="a"):
            await anyio.to_thread.run_sync(jobs.labels("mail").inc)

    anyio.run(main, backend=backend)
    assert series() == {("mail", "a"): 1}


def test_a_thread_of_its_own_starts_with_nothing_bound(jobs, series):
    with bound_labels(tenant="a"):
        thread = threading.Thread(target=jobs.labels("mail").inc)
        thread.start()
        thread.join()
    assert series() == {("mail", ""): 1}


def test_generators_see_the_context_of_the_code_that_runs_them(jobs, series):
    def counting():
        while True:
            jobs.labels("mail").inc()
            yield

    running = counting()
    for tenant in ("a", "b"):
        with bound_labels(tenant=tenant):
            next(running)
    assert series() == {("mail", "a"): 1, ("mail", "b"): 1}


async def test_an_async_generator_closed_in_another_context_unbinds_without_an_error():
    async def holding():
        with bound_labels(a=1):
            yield

    running = holding()
    await running.__anext__()
    await asyncio.create_task(running.aclose())


def test_timers_read_the_context_at_their_end(registry):
    histogram = Histogram("h", "H.", context_labels=["tenant"], registry=registry)
    with histogram.time():
        bind_labels(tenant="late")
    assert registry.get_sample_value("h_count", {"tenant": "late"}) == 1
