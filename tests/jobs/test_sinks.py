"""The sinks of batch jobs: what is sent, what stays of the last success, and that no sink fails or holds up a job."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from pathlib import Path

import anyio
import pytest

from asyncmetrics import Counter
from asyncmetrics.bridges.pushgateway import default_handler
from asyncmetrics.errors import DefinitionError
from asyncmetrics.jobs import Pushgateway, TextFile, batch_job
from tests.jobs.gateways import run_gateway
from tests.patience import wait_until

AT_ONCE = 0.01  # seconds until what would last for ever is cancelled or given up

SUCCESS = "batch_job_last_success_timestamp_seconds"


@pytest.fixture
def gateway():
    with run_gateway() as gateway:
        yield gateway


class Memory:
    """A sink that keeps what it is sent, in the threads that sent it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[set[str]] = []
        self.threads: list[threading.Thread] = []
        self.error = error

    def recall_success(self, job, metric, known):
        return None

    def send(self, job, metrics):
        self.threads.append(threading.current_thread())
        self.sent.append({family.name for family in metrics.collect()})
        if self.error is not None:
            raise self.error


def fail(job):
    with pytest.raises(ValueError, match="no"), job:
        raise ValueError("no")


def read_file(path):
    """Return the values of a file by their names."""
    lines = [line.rpartition(" ") for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    return {name.partition("{")[0]: float(value) for name, _, value in lines}


# ---- what is sent


def test_a_job_with_a_sink_sends_its_own_metrics_and_no_others():
    sink = Memory()
    with batch_job("import", sink=sink):
        pass
    assert sink.sent == [
        {
            SUCCESS,
            "batch_job_last_run_timestamp_seconds",
            "batch_job_last_duration_seconds",
            "batch_job_last_records",
            "batch_job_last_succeeded",
        }
    ]


def test_what_is_in_the_registry_of_the_job_is_sent_too(registry):
    Counter("invoices", "Invoices.", registry=registry).inc()
    sink = Memory()
    with batch_job("import", sink=sink, registry=registry):
        pass
    assert "invoices" in sink.sent[0]


def test_a_failed_run_sends_no_time_of_a_success_that_the_sink_keeps():
    sink = Memory()
    job = batch_job("import", sink=sink)
    with job:
        pass
    fail(job)
    assert [SUCCESS in names for names in sink.sent] == [True, False]


def test_a_run_that_succeeds_while_another_one_fails_keeps_its_time():
    class Slow(Memory):
        def recall_success(self, job, metric, known):
            with running:
                pass
            return known

        def send(self, job, metrics):
            times.extend(s.value for family in metrics.collect() for s in family.samples if s.name == SUCCESS)

    times = []
    running = batch_job("import", sink=Slow())
    with running:
        pass
    time.sleep(AT_ONCE)
    fail(running)
    first, second, sent_by_the_failed_one = times
    assert first < second == sent_by_the_failed_one


def test_each_run_is_sent():
    sink = Memory()

    @batch_job("import", sink=sink)
    def work():
        pass

    work()
    work()
    assert len(sink.sent) == 2


# ---- a sink that fails


@pytest.mark.parametrize("method", ["send", "recall_success"])
def test_a_sink_that_fails_is_logged(method, caplog, monkeypatch):
    def refuse(*_):
        raise OSError("no route")

    sink = Memory()
    monkeypatch.setattr(sink, method, refuse)
    fail(batch_job("import", sink=sink))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("batch_job import: its metrics were not sent to <")
    assert record.getMessage().endswith(": no route")


def test_a_sink_that_cannot_recall_is_sent_the_other_metrics(monkeypatch):
    sink = Memory()
    monkeypatch.setattr(sink, "recall_success", lambda *_: 1 / 0)
    fail(batch_job("import", sink=sink))
    assert "batch_job_last_succeeded" in sink.sent[0]


def test_the_result_of_a_job_comes_back_although_its_sink_fails():
    @batch_job("import", sink=Memory(OSError()))
    def work():
        return 5

    assert work() == 5


def test_the_exception_of_a_job_wins_over_that_of_its_sink(run):
    job = batch_job("import", sink=Memory(OSError()))
    fail(job)

    async def main():
        async with job:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(main)


def test_a_gateway_that_is_not_there_is_logged(run, caplog):
    async def main():
        async with batch_job("import", sink=Pushgateway("127.0.0.1:1")):
            pass

    run(main)
    assert "batch_job import: its metrics were not sent to Pushgateway('127.0.0.1:1'): " in caplog.text
    assert "refused" in caplog.text


def test_a_gateway_that_refuses_is_logged(gateway, caplog):
    gateway.status = 500
    with batch_job("import", sink=gateway.url):
        pass
    assert "the answer was 500" in caplog.text


def test_a_gateway_that_hangs_is_given_up(gateway, caplog):
    gateway.may_answer.clear()
    with batch_job("import", sink=Pushgateway(gateway.url, timeout=AT_ONCE)):
        pass
    assert "timed out" in caplog.text


def test_a_folder_that_is_not_there_is_logged(tmp_path, caplog):
    with batch_job("import", sink=TextFile(tmp_path / "missing")):
        pass
    assert "batch_job import: its metrics were not sent to TextFile(" in caplog.text


# ---- event loops


def test_sending_does_not_block_the_loop(run, gateway):
    gateway.may_answer.clear()

    async def main():
        async with anyio.create_task_group() as group:

            async def answer_later():
                await anyio.sleep(0.02)
                gateway.may_answer.set()  # the loop runs while the gateway hangs

            async with batch_job("import", sink=gateway.url):
                group.start_soon(answer_later)

    run(main)
    assert len(gateway.requests) == 1


def test_a_cancelled_job_is_sent(run):
    sink = Memory()

    async def main():
        with anyio.move_on_after(AT_ONCE):
            async with batch_job("import", sink=sink):
                await anyio.sleep_forever()

    run(main)
    assert len(sink.sent) == 1


async def test_a_task_that_is_cancelled_again_while_it_sends_ends_with_its_own_exception(gateway):
    gateway.may_answer.clear()
    sending = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(Memory):
        def send(self, job, metrics):
            loop.call_soon_threadsafe(sending.set)
            gateway.may_answer.wait()

    async def work():
        async with batch_job("import", sink=Slow()):
            raise ValueError("no")

    task = asyncio.create_task(work())
    await sending.wait()
    task.cancel()
    with pytest.raises(ValueError, match="no"):
        await task
    gateway.may_answer.set()


async def test_a_task_that_is_cancelled_while_it_sends_is_cancelled():
    may_end = threading.Event()
    sending = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(Memory):
        def send(self, job, metrics):
            loop.call_soon_threadsafe(sending.set)
            may_end.wait()

    async def work():
        async with batch_job("import", sink=Slow()):
            pass

    task = asyncio.create_task(work())
    await sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_end.set()


def test_a_sync_job_on_a_loop_does_not_wait_for_its_sink(run, gateway):
    gateway.may_answer.clear()

    async def main():
        with batch_job("import", sink=gateway.url):
            pass
        gateway.may_answer.set()

    run(main)
    wait_until(lambda: gateway.requests)


def test_the_end_of_the_program_waits_for_what_a_sync_job_on_a_loop_sends(run):
    sink = Memory()

    async def main():
        with batch_job("import", sink=sink):
            pass

    run(main)
    wait_until(lambda: sink.threads)
    assert not sink.threads[0].daemon


def test_a_sync_job_without_a_loop_sends_in_its_own_thread():
    sink = Memory()
    with batch_job("import", sink=sink):
        pass
    assert sink.threads == [threading.current_thread()]


@pytest.mark.parametrize("is_async", [True, False])
def test_a_system_without_a_thread_left_does_not_fail_the_job(monkeypatch, caplog, is_async):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    job = batch_job("import", sink=Memory())

    async def main():
        monkeypatch.setattr(threading.Thread, "start", refuse)
        if is_async:
            async with job:
                pass
        else:
            with job:
                pass

    asyncio.run(main())  # trio would use a thread that it has kept
    assert "can't start new thread" in caplog.text


# ---- the Pushgateway


def test_a_job_is_pushed_into_a_group_of_its_own(gateway):
    for name in ("import", "export"):
        with batch_job(name, sink=gateway.url):
            pass
    assert [request[:2] for request in gateway.requests] == [
        ("POST", "/metrics/job/import/batch_job/import"),
        ("POST", "/metrics/job/export/batch_job/export"),
    ]


def test_jobs_that_share_the_label_job_have_groups_of_their_own(gateway):
    sink = Pushgateway(gateway.url, job="nightly", grouping_key={"instance": "host-1"})
    for name in ("import", "export"):
        with batch_job(name, sink=sink):
            pass
    assert [request[1] for request in gateway.requests] == [
        "/metrics/job/nightly/batch_job/import/instance/host-1",
        "/metrics/job/nightly/batch_job/export/instance/host-1",
    ]


def test_a_failed_push_has_no_line_about_the_last_success(gateway):
    fail(batch_job("import", sink=gateway.url))
    body = gateway.requests[0][3]
    assert 'batch_job_last_succeeded{batch_job="import"} 0.0' in body
    assert SUCCESS not in body


def test_credentials_are_sent_and_not_shown(gateway):
    sink = Pushgateway(gateway.url, username="me", password="secret")
    with batch_job("import", sink=sink):
        pass
    assert gateway.requests[0][2]["Authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
    assert "secret" not in repr(sink)


def test_a_handler_of_the_program_sends(gateway):
    def handler(url, method, timeout, headers, data):
        return default_handler(url, method, timeout, [*headers, ("X-Scope-OrgID", "team")], data)

    with batch_job("import", sink=Pushgateway(gateway.url, handler=handler)):
        pass
    assert gateway.requests[0][2]["X-Scope-Orgid"] == "team"  # as urllib writes it


def test_a_push_can_be_compressed(gateway):
    sent = []

    def handler(url, method, timeout, headers, data):
        return lambda: sent.append((dict(headers), data))

    with batch_job("import", sink=Pushgateway(gateway.url, handler=handler, compression="gzip")):
        pass
    assert sent[0][0]["Content-Encoding"] == "gzip"


# ---- text files


def test_a_job_writes_a_file_of_its_own_into_a_folder(tmp_path):
    for name in ("import", "export"):
        with batch_job(name, sink=TextFile(tmp_path)):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"import.prom", "export.prom"}


@pytest.mark.parametrize("name", ["a/b", "../x", "ä", "a b", "%2F"])
def test_every_name_of_a_job_is_a_file_in_the_folder(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    with batch_job(name, sink=TextFile(folder)):
        pass
    assert len(list(folder.glob("*.prom"))) == len(list(tmp_path.rglob("*.prom"))) == 1


def test_long_names_of_jobs_are_files_of_their_own(tmp_path):
    for name in ("é" * 200, "é" * 201):
        with batch_job(name, sink=TextFile(tmp_path)) as run:
            run.records(len(name))
    assert sorted(read_file(path)["batch_job_last_records"] for path in tmp_path.iterdir()) == [200, 201]


@pytest.mark.parametrize("make", [str, Path, TextFile])
def test_a_path_that_ends_in_prom_is_the_file(tmp_path, make):
    path = tmp_path / "job.prom"
    with batch_job("import", sink=make(path)) as run:
        run.records(7)
    assert read_file(path)["batch_job_last_records"] == 7


@pytest.mark.parametrize("name", ["import", 'a"b\\c\nd'])
def test_the_last_success_of_an_earlier_process_survives_a_failed_run(tmp_path, name):
    path = tmp_path / "job.prom"
    with batch_job(name, sink=path):
        pass
    success = read_file(path)[SUCCESS]
    fail(batch_job(name, sink=path))
    values = read_file(path)
    assert (values[SUCCESS], values["batch_job_last_succeeded"]) == (success, 0)


def test_the_later_one_of_two_successes_survives_a_failed_run(tmp_path):
    path = tmp_path / "job.prom"
    jobs = [batch_job("import", sink=path) for _ in range(2)]
    for job in jobs:
        with job:
            pass
    success = read_file(path)[SUCCESS]
    fail(jobs[0])
    assert read_file(path)[SUCCESS] == success


def test_the_last_success_survives_a_file_that_was_removed(tmp_path):
    path = tmp_path / "job.prom"
    job = batch_job("import", sink=path)
    with job:
        pass
    success = read_file(path)[SUCCESS]
    path.unlink()
    fail(job)
    assert read_file(path)[SUCCESS] == success


def test_a_failed_first_run_writes_no_time_of_a_success(tmp_path):
    path = tmp_path / "job.prom"
    fail(batch_job("import", sink=path))
    assert SUCCESS not in path.read_text()


@pytest.mark.parametrize("content", [b"\xff\xfe", f'{SUCCESS}{{batch_job="import"}} x\n'.encode(), b""])
def test_a_damaged_file_is_replaced(tmp_path, content, caplog):
    path = tmp_path / "job.prom"
    path.write_bytes(content)
    fail(batch_job("import", sink=path))
    assert read_file(path)["batch_job_last_succeeded"] == 0
    assert caplog.records == []


def test_the_namespace_is_that_of_the_time_that_is_kept(tmp_path):
    path = tmp_path / "job.prom"
    begun = time.time()
    with batch_job("import", sink=path, namespace="shop"):
        pass
    fail(batch_job("import", sink=path, namespace="shop"))
    assert read_file(path)[f"shop_{SUCCESS}"] >= begun


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((5,), {}, "gateway: expected a str such as 'localhost:9091', got 5"),
        (("",), {}, "gateway: expected a host and port, or a URL"),
        (("g",), {"job": 5}, "job: expected a str"),
        (("g",), {"grouping_key": "a"}, "grouping_key: expected a mapping"),
        (("g",), {"grouping_key": {"job": "a"}}, "grouping_key: expected labels beside 'job' and 'batch_job'"),
        (("g",), {"timeout": 0}, "timeout: expected more than 0 seconds"),
        (("g",), {"username": "me"}, "password: expected a str, as there is username=, got None"),
        (("g",), {"password": "secret"}, "username: expected a str, as there is password=, got None"),
        (("g",), {"grouping_key": {"a b": "c"}}, "grouping_key: bad label name 'a b'"),
        (("g",), {"handler": 5}, "handler: expected a function"),
        (("g",), {"compression": "zstd"}, "compression: expected None or 'gzip', got 'zstd'"),
    ],
)
def test_a_wrong_argument_of_a_gateway_is_named(arguments, options, message):
    with pytest.raises(DefinitionError, match=message):
        Pushgateway(*arguments, **options)


@pytest.mark.parametrize("path", [5, ""])
def test_a_wrong_path_is_named(path):
    with pytest.raises(DefinitionError, match="path: expected a path as a str or an os.PathLike"):
        TextFile(path)


def test_the_class_of_a_sink_is_no_sink():
    with pytest.raises(DefinitionError, match=r"got the class TextFile: write Pushgateway\('host:9091'\) or TextFile"):
        batch_job("import", sink=TextFile)
