"""Several workers that share their metrics: one receives, each of them exposes all, and another one takes over."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer
from asyncmetrics.storage import SharedStorage
from tests.patience import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[3]
LINES = b"a:1|c\nb:5|g\nc:20|ms|@0.1"

WORKER = """
import sys, anyio
from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.statsd_server import StatsDServer
from asyncmetrics.storage import SharedStorage

async def main():
    async with StatsDServer(0, registry=CollectorRegistry(storage=SharedStorage(sys.argv[1]))) as server:
        print(server.port, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.blocking  # a new metric of shared storage makes files in memory
def test_what_a_killed_worker_has_received_stays_and_another_one_goes_on(tmp_path):
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    registry = CollectorRegistry(storage=SharedStorage(str(tmp_path)))
    read = registry.get_sample_value

    def send(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(LINES, ("127.0.0.1", port))

    async def main(port):
        with anyio.fail_after(PATIENCE_SECONDS):
            async with StatsDServer(port, registry=registry) as server:
                send(port)
                await eventually(lambda: read("asyncmetrics_statsd_lines_total", {"outcome": "ok"}), 3)
                assert read("asyncmetrics_statsd_listening") == 1
                assert read("a_total") == 1  # of a metric that only the other worker has
                worker.kill()
                await anyio.to_thread.run_sync(worker.wait)
                await eventually(lambda: server.is_listening, True)
                send(port)
                await eventually(lambda: read("asyncmetrics_statsd_lines_total", {"outcome": "ok"}), 6)
                assert (read("a_total"), read("b"), read("c_count")) == (2, 5, 20)
                assert read("asyncmetrics_statsd_listening") == 1

    try:
        anyio.run(main, int(worker.stdout.readline()))
    finally:
        worker.kill()
        worker.wait(PATIENCE_SECONDS)
        worker.stdout.close()
