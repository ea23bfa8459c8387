"""Batch jobs and a real Pushgateway, and a real node exporter that reads their files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from asyncmetrics.jobs import Pushgateway, TextFile, batch_job
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.real

LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=(127\.0\.0\.1:\d+)')
# Debian's gateway keeps its metrics in a file of the machine, which any other gateway there reads and writes too.
IN_MEMORY = "--persistence.file="
AT_ONCE = 0.01  # seconds until what would last for ever is cancelled
SUCCESS = "batch_job_last_success_timestamp_seconds"


@contextmanager
def run_program(folder: Path, *command: str) -> Iterator[str]:
    """Run a Go server on a free port; yield its URL."""
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stdout=output, stderr=output)
    try:
        found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        yield f"http://{found[1]}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def gateway(binary, tmp_path_factory):
    with run_program(tmp_path_factory.mktemp("gateway"), binary("prometheus-pushgateway"), IN_MEMORY) as base:
        yield base


@pytest.fixture
def read_gateway(gateway):
    """Return the values of a metric by the name of the job; and forget all groups at the end."""
    yield lambda metric: read(gateway, metric)
    for group in httpx.get(f"{gateway}/api/v1/metrics").json()["data"]:
        labels = dict(group["labels"])
        path = "/".join([f"job/{labels.pop('job')}", *(f"{name}/{value}" for name, value in labels.items())])
        httpx.delete(f"{gateway}/metrics/{path}").raise_for_status()


def read(base, metric):
    """Return the values of a metric that a server exposes, by the name of the job."""
    lines = httpx.get(f"{base}/metrics").text.splitlines()
    found = [re.fullmatch(rf'{metric}{{.*?batch_job="((?:[^"\\]|\\.)*)".*}} (\S+)', line) for line in lines]
    return {match[1]: float(match[2]) for match in found if match}


def fail(job):
    with pytest.raises(ValueError, match="no"), job:
        raise ValueError("no")


def test_a_gateway_takes_what_a_job_sends(gateway, read_gateway):
    with batch_job("import", sink=gateway) as run:
        run.records(10)
    assert read_gateway("batch_job_last_records") == {"import": 10}
    assert read_gateway("batch_job_last_succeeded") == {"import": 1}


def test_a_gateway_keeps_the_last_success_of_a_job_that_fails_in_another_process(gateway, read_gateway):
    with batch_job("import", sink=gateway):
        pass
    success = read_gateway(SUCCESS)
    fail(batch_job("import", sink=gateway))
    assert read_gateway(SUCCESS) == success != {}
    assert read_gateway("batch_job_last_succeeded") == {"import": 0}


def test_a_job_leaves_the_metrics_of_another_one_in_the_gateway(gateway, read_gateway):
    sink = Pushgateway(gateway, job="nightly")
    for number, name in enumerate(("import", "export"), 1):
        with batch_job(name, sink=sink) as run:
            run.records(number)
    assert read_gateway("batch_job_last_records") == {"import": 1, "export": 2}


def test_a_cancelled_job_is_in_the_gateway(run, gateway, read_gateway):
    async def main():
        with anyio.move_on_after(AT_ONCE):
            async with batch_job("import", sink=gateway):
                await anyio.sleep_forever()

    run(main)
    assert read_gateway("batch_job_last_succeeded") == {"import": 0}


def test_a_gateway_that_has_ended_does_not_fail_the_job(binary, tmp_path, caplog):
    with run_program(tmp_path, binary("prometheus-pushgateway"), IN_MEMORY) as base:
        pass
    with batch_job("import", sink=base) as run:
        run.records(10)
    assert "batch_job import: its metrics were not sent" in caplog.text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("text files")


@pytest.fixture(scope="module")
def exporter(binary, tmp_path_factory, folder):
    """A node exporter, which reads the folder at each scrape."""
    flags = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={folder}"]
    command = [binary("prometheus-node-exporter"), *flags]
    with run_program(tmp_path_factory.mktemp("exporter"), *command) as base:
        yield base


def test_a_node_exporter_exposes_the_files_of_all_jobs(exporter, folder):
    for number, name in enumerate(("import", 'a"b/c'), 1):
        with batch_job(name, sink=TextFile(folder)) as run:
            run.records(number)
    assert read(exporter, "batch_job_last_records") == {"import": 1, r"a\"b/c": 2}
    assert "node_textfile_scrape_error 0" in httpx.get(f"{exporter}/metrics").text


def test_a_node_exporter_exposes_the_last_success_of_a_job_that_fails_now(exporter, folder):
    with batch_job("fails", sink=TextFile(folder)):
        pass
    success = read(exporter, SUCCESS)["fails"]
    fail(batch_job("fails", sink=TextFile(folder)))
    assert read(exporter, SUCCESS)["fails"] == success
    assert read(exporter, "batch_job_last_succeeded")["fails"] == 0
