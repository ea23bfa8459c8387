"""The sink `Pushgateway` and a real one: every value is read back from its exposition."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.pushgateway import Pushgateway
from asyncmetrics.errors import PushError
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.registry.collectables import collect_within
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers.requirements import find_program

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("pushgateway")]

IDENTITY = Identity("shop", "host:0")
LISTENING = re.compile(r'msg="Listening on"[^\n]*? address=127\.0\.0\.1:(\d+)')

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextmanager
def run_gateway(folder: Path, port: int = 0) -> Iterator[int]:
    """Run a gateway; yield its port."""
    # Debian's keeps its metrics in a file of the machine, which any other one there reads and writes too.
    options = ["--persistence.file=", f"--web.listen-address=127.0.0.1:{port}"]
    log = folder / f"log{port}"
    with log.open("w") as output:
        command = [find_program("prometheus-pushgateway"), *options]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        found = wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None)
        assert isinstance(found, re.Match), log.read_text()
        yield int(found[1])
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with run_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def read(port: int, job: str) -> Samples:
    """Return what the gateway has of a job, without its own metrics about pushes."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    samples = (sample for family in parse_prometheus(text) for sample in family.samples)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for sample in samples
        if sample.labels.get("job") == job and not sample.name.startswith("push_")
    }


def _write(name: str, value: str) -> str:
    return f"{float(value):g}".replace("inf", "+Inf") if name == "le" else value  # as the gateway writes bounds


def expect(registry: CollectorRegistry, **group: str) -> Samples:
    return {
        (
            sample.name,
            tuple(sorted((name, _write(name, value)) for name, value in {**sample.labels, **group}.items())),
        ): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def push(sink: Pushgateway, registry: CollectorRegistry) -> None:
    async def run() -> None:
        try:
            await sink.send(sink.encode(collect_within(registry), 1.0, IDENTITY))
        finally:
            await sink.close()

    anyio.run(run)


def fill() -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("odd", "", ["text"], registry=registry)
    for number, text in enumerate(["", "a b", "a/b", "ü", '"', "\\", "\n", "job"]):
        gauge.labels(text).set(number / 3)
    Counter("orders", "", registry=registry).inc(2**53)
    Histogram("h", "", registry=registry).observe(0.3)
    return registry


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_every_value_is_in_the_group(port, compression):
    registry, job = fill(), f"job/{compression}"
    push(Pushgateway(f"127.0.0.1:{port}", job, compression=compression), registry)
    assert read(port, job) == expect(registry, job=job, instance="host:0")


def test_a_push_replaces_the_group_and_deletes_it_at_the_end(port):
    first, second = CollectorRegistry(), CollectorRegistry()
    Gauge("first", "", registry=first).set(1)
    Gauge("second", "", registry=second).set(2)
    group = {"zone": "a b"}
    sink = Pushgateway(f"127.0.0.1:{port}", "deleted", grouping_key=group, delete_on_close=True)

    async def run() -> None:
        for registry in (first, second):
            await sink.send(sink.encode(collect_within(registry), 1.0, IDENTITY))
        assert await anyio.to_thread.run_sync(read, port, "deleted") == expect(
            second, job="deleted", instance="", **group
        )
        await sink.close()

    anyio.run(run)
    assert read(port, "deleted") == {}


def test_a_post_keeps_the_other_metrics_of_the_group(port):
    first, second = CollectorRegistry(), CollectorRegistry()
    Gauge("first", "", registry=first).set(1)
    Gauge("second", "", registry=second).set(2)
    for registry in (first, second):
        push(Pushgateway(f"127.0.0.1:{port}", "added", method="POST"), registry)
    group = {"job": "added", "instance": "host:0"}
    assert read(port, "added") == {**expect(first, **group), **expect(second, **group)}


def test_a_gateway_that_comes_back_gets_everything(tmp_path):
    registry = CollectorRegistry()
    counter = Counter("c", "", registry=registry)
    with run_gateway(tmp_path) as port:
        sink = Pushgateway(f"127.0.0.1:{port}", "back")
        counter.inc()
        push(sink, registry)
    counter.inc()
    with pytest.raises(PushError):
        push(sink, registry)
    with run_gateway(tmp_path, port):
        push(sink, registry)
        assert read(port, "back") == expect(registry, job="back", instance="host:0")
