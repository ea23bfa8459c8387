"""batch_job: the numbers of a run, on success, failure and cancellation, in every way to use it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.jobs import BatchJob, BatchRun, batch_job
from asyncmetrics.storage import SharedStorage
from tests.forks import run_forked

AT_ONCE = 0.01  # seconds until what would last for ever is cancelled or given up


@pytest.fixture
def read(registry):
    """Return the value of a metric of a job."""
    return lambda name, job="import": registry.get_sample_value(f"batch_job_{name}", {"batch_job": job})


@pytest.fixture
def job(registry):
    return batch_job("import", registry=registry)


def fail(job):
    """Run a job that fails."""
    with pytest.raises(ValueError, match="no"), job:
        raise ValueError("no")


def test_a_run_that_succeeds_sets_the_time_of_the_last_success(job, read):
    begun = time.time()
    with job:
        pass
    assert begun <= read("last_success_timestamp_seconds") <= time.time()
    assert read("last_success_timestamp_seconds") == read("last_run_timestamp_seconds")
    assert read("last_succeeded") == 1


def test_a_run_that_fails_leaves_the_time_of_the_last_success(job, read):
    with job:
        pass
    success = read("last_success_timestamp_seconds")
    fail(job)
    assert read("last_success_timestamp_seconds") == success
    assert read("last_succeeded") == 0


def test_a_run_that_fails_sets_the_time_of_the_last_run(job, read):
    begun = time.time()
    fail(job)
    assert read("last_run_timestamp_seconds") >= begun


def test_without_a_success_there_is_no_time_of_one(job, read):
    fail(job)
    assert read("last_success_timestamp_seconds") is None


def test_the_duration_is_that_of_the_block(job, read):
    begun = time.perf_counter()
    with job:
        time.sleep(0.02)
    assert 0.02 <= read("last_duration_seconds") <= time.perf_counter() - begun


def test_records_are_added_up(job, read):
    with job as run:
        run.records(10)
        run.records()
    assert read("last_records") == 11


def test_records_begin_at_zero_in_each_run(job, read):
    with job as run:
        run.records(10)
    with job:
        pass
    assert read("last_records") == 0


def test_the_records_of_a_run_that_fails_are_kept(job, read):
    with pytest.raises(ValueError), job as run:  # noqa: PT011, PT012
        run.records(3)
        raise ValueError
    assert read("last_records") == 3


@pytest.mark.parametrize("number", [1j, "7", None])
def test_records_that_are_no_number_do_not_fail_the_job(job, read, caplog, number):
    with job as run:
        run.records(2)
        run.records(number)
    assert (read("last_succeeded"), read("last_records")) == (1, 2)
    assert f"batch_job import: records({number!r}): expected a number" in caplog.text


def test_a_decimal_is_a_number_of_records(job, read):
    with job as run:
        run.records(Decimal("2.5"))
    assert read("last_records") == 2.5


def test_metrics_that_cannot_be_set_do_not_fail_the_job(job, caplog, monkeypatch):
    def refuse(*_):
        raise ValueError("no")

    monkeypatch.setattr(Gauge, "labels", refuse)
    with job:
        pass
    assert "batch_job import: its metrics are not complete: no" in caplog.text


@pytest.mark.parametrize(("code", "succeeded"), [(None, 1), (0, 1), (1, 0), ("an error", 0)])
def test_sys_exit_succeeds_without_a_code_or_with_zero(job, read, code, succeeded):
    with pytest.raises(SystemExit), job:
        sys.exit(code)
    assert read("last_succeeded") == succeeded


def test_ctrl_c_is_no_success(job, read):
    with pytest.raises(KeyboardInterrupt), job:
        raise KeyboardInterrupt
    assert read("last_succeeded") == 0


def test_async_with_measures_a_block(run, job, read):
    async def main():
        async with job as one:
            await anyio.sleep(0.01)
            one.records(4)

    run(main)
    assert (read("last_succeeded"), read("last_records")) == (1, 4)
    assert read("last_duration_seconds") >= 0.01


def test_cancellation_is_no_success(run, job, read):
    async def main():
        with anyio.move_on_after(AT_ONCE):
            async with job:
                await anyio.sleep_forever()

    run(main)
    assert read("last_succeeded") == 0


def test_a_decorated_function_is_measured_at_each_call(registry, read):
    importing = batch_job("import", registry=registry)

    @importing
    def work(number):
        importing.records(number)
        return number

    assert work(5) == 5
    assert read("last_records") == 5


def test_a_decorated_coroutine_function_is_measured_to_its_end(run, registry, read):
    importing = batch_job("import", registry=registry)

    @importing
    async def work(number):
        await anyio.sleep(0.01)
        importing.records(number)
        return number

    async def main():
        return await work(number=7)

    assert run(main) == 7
    assert read("last_records") == 7
    assert read("last_duration_seconds") >= 0.01


def test_a_decorated_function_keeps_its_name_and_signature(job):
    async def work(number: int, *, fast: bool = False) -> str:
        """Do the work."""

    measured = job(work)
    assert inspect.iscoroutinefunction(measured)
    assert inspect.signature(measured) == inspect.signature(work)
    assert (measured.__name__, measured.__doc__) == ("work", "Do the work.")


@pytest.mark.parametrize("is_async", [True, False])
def test_a_decorated_function_raises_what_it_raises(run, job, read, is_async):
    error = ValueError()

    @job
    async def work_later():
        raise error

    @job
    def work():
        raise error

    async def main():
        await work_later() if is_async else work()

    with pytest.raises(ValueError) as raised:  # noqa: PT011
        run(main)
    assert raised.value is error
    assert read("last_succeeded") == 0


def test_the_coroutine_that_a_function_returns_is_measured_to_its_end(run, job, read):
    async def work():
        await anyio.sleep(0.01)

    measured = job(lambda: work())

    async def main():
        pending = measured()
        assert read("last_run_timestamp_seconds") is None
        await pending

    run(main)
    assert read("last_duration_seconds") >= 0.01


def test_calls_at_the_same_time_count_their_own_records(run, registry):
    seen = {}
    importing = batch_job("import", registry=registry)

    @importing
    async def work(number):
        for _ in range(number):
            importing.records()
            await anyio.sleep(0)
        seen[number] = True

    async def main():
        async with anyio.create_task_group() as group:
            for number in (10, 20):
                group.start_soon(work, number)

    run(main)
    assert registry.get_sample_value("batch_job_last_records", {"batch_job": "import"}) == 20


def test_a_thread_that_a_run_starts_counts_records(job, read):
    @job
    def work():
        thread = threading.Thread(target=job.records, args=(3,))
        thread.start()
        thread.join()

    work()
    assert read("last_records") == 3


def test_records_outside_of_a_run_are_logged(job, caplog):
    job.records(5)
    assert "batch_job import: records(5) was called outside of a run" in caplog.text


def test_a_job_inside_of_another_one_counts_for_itself(registry, read):
    outer, inner = (batch_job(name, registry=registry) for name in ("outer", "inner"))
    with outer, inner:
        outer.records(1)
        inner.records(2)
    assert (read("last_records", "outer"), read("last_records", "inner")) == (1, 2)


def test_a_block_may_end_in_another_context_than_it_began(job, read):
    begun = contextvars.copy_context().run(job.__enter__)
    begun.records(5)
    job.__exit__(None, None, None)
    assert read("last_records") == 5


def test_the_same_job_may_run_in_threads_at_the_same_time(job, read):
    barrier = threading.Barrier(4)

    def work(_):
        with job as run:
            barrier.wait()
            run.records(2)
            barrier.wait()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert read("last_records") == 2


def test_two_jobs_have_their_own_series(registry, read):
    for number, name in enumerate(("import", "export"), 1):
        with batch_job(name, registry=registry) as run:
            run.records(number)
    assert (read("last_records"), read("last_records", "export")) == (1, 2)


def test_a_job_of_a_worker_that_has_ended_keeps_the_time_of_its_success(tmp_path):
    make = lambda: CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics")))  # noqa: E731
    first = make()
    Counter("other", "Takes slot 0.", registry=first).inc()

    def work():
        with batch_job("import", registry=make()):
            pass

    run_forked(work)
    batch_job("another", registry=first)
    assert first.get_sample_value("batch_job_last_success_timestamp_seconds", {"batch_job": "import"}) is not None


def test_a_job_without_a_sink_needs_no_thread(run, job, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))

    async def main():
        async with job:
            pass
        with job:
            pass

    run(main)


def test_a_namespace_begins_the_names_of_the_metrics(registry):
    with batch_job("import", registry=registry, namespace="shop"):
        pass
    assert registry.get_sample_value("shop_batch_job_last_succeeded", {"batch_job": "import"}) == 1


def test_another_metric_of_one_of_the_names_is_an_error(registry):
    Counter("batch_job_last_records", "Another.", registry=registry)
    with pytest.raises(DuplicateMetricError, match="batch_job_last_records"):
        batch_job("import", registry=registry)


def test_batch_job_returns_a_batch_job_and_its_block_a_run(job):
    assert isinstance(job, BatchJob)
    with job as run:
        assert isinstance(run, BatchRun)


def _generator():
    yield


async def _async_generator():
    yield


@pytest.mark.parametrize("function", [5, _generator, _async_generator])
def test_what_cannot_be_decorated_is_named(job, function):
    with pytest.raises(DefinitionError, match="function: expected a function or a coroutine function"):
        job(function)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (5, {}, "name: expected a str such as 'import', got 5$"),
        (_generator, {}, r"name: expected a str such as 'import', got <function .*>: write @batch_job\('import'\)"),
        ("", {}, "name: expected a str that is not empty, such as 'import'"),
        ("a", {"namespace": "a b"}, "namespace"),
        ("a", {"registry": 5}, "registry"),
        ("a", {"sink": 5}, "sink: expected a Pushgateway, a TextFile, .*, got 5"),
        ("a", {"sink": "gateway:9091"}, r"sink: .*: write Pushgateway\('host:9091'\) or TextFile\('folder'\)"),
    ],
)
def test_a_wrong_argument_is_named(name, options, message):
    with pytest.raises(DefinitionError, match=message):
        batch_job(name, **options)


def test_partial_functions_can_be_decorated(job, read):
    async def work(number):
        job.records(number)

    asyncio.run(job(partial(work, 3))())
    assert read("last_records") == 3
