"""`RemoteWrite` against a receiver that answers as it is told: the fallback to 1.0, refusals and losses."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import asyncmetrics
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.core import BucketSpan, Metric, NativeHistogram
from asyncmetrics.errors import DefinitionError, PushError
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.remote_write.oracle import decode

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.25
IDENTITY = Identity("shop", "host:0")
SAMPLES, HISTOGRAMS = "X-Prometheus-Remote-Write-Samples-Written", "X-Prometheus-Remote-Write-Histograms-Written"
Answer = tuple[int, dict[str, str], bytes]


class Receiver(ThreadingHTTPServer):
    """Keeps version and body of each request; ``answer`` decides by the version."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[int, bytes, dict[str, str]]] = []
        self.answer: Callable[[int], Answer] = lambda version: (204, {}, b"")
        self.url = f"http://127.0.0.1:{self.server_port}/api/v1/write"

    @property
    def versions(self) -> list[int]:
        return [version for version, _, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]  # no other server has it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        version = 2 if "io.prometheus.write.v2.Request" in self.headers["Content-Type"] else 1
        self.server.requests.append((version, body, dict(self.headers)))
        status, headers, text = self.server.answer(version)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def families(registry):
    """All that a request can hold; the native histogram is in a second one."""
    counter = asyncmetrics.Counter("orders", "Orders.", ["Zone", "a.b"], registry=registry)
    counter.labels("eu", "größe").inc(3, exemplar={"trace_id": "abc"})
    asyncmetrics.Histogram("taken", "T.", unit="seconds", registry=registry).observe(2)
    native = Metric("sizes", "Sizes.", "histogram", "bytes")
    native.add_sample(
        "sizes_bytes", {}, 0, None, None, NativeHistogram(2, 3.5, 0, 0.5, 0, [BucketSpan(0, 1)], None, [2])
    )
    return [*collect_within(registry), native]


async def send(sink: RemoteWrite, families) -> None:
    await sink.send(sink.encode(families, NOW, IDENTITY))
    await sink.close()


UNSUPPORTED = (415, {}, b"unsupported proto message")
IGNORED = (204, {}, b"")


@pytest.mark.parametrize("refusal", [UNSUPPORTED, IGNORED], ids=["415", "no header"])
async def test_a_receiver_of_1_gets_the_same_request_as_1_and_no_other_one_as_2(receiver, families, refusal, caplog):
    receiver.answer = lambda version: refusal if version == 2 else (204, {}, b"")
    sink = RemoteWrite(receiver.url)
    waiting = sink.encode(families, NOW, IDENTITY)
    await send(sink, families)
    await sink.send(waiting)
    await send(sink, families)
    assert receiver.versions == [2, 1, 1, 1, 1, 1, 1]
    assert sink.version == 1
    direct = RemoteWrite(receiver.url, version=1).encode(families, NOW, IDENTITY).parts
    expected = [decode(part.data, 1) for part in direct]
    assert [decode(body, 1) for _, body, _ in receiver.requests[1:]] == 3 * expected
    messages = [record.message for record in caplog.records if record.name == "asyncmetrics"]
    assert len(messages) == 1
    assert "does not take remote write 2.0" in messages[0]


async def test_series_that_end_after_the_fallback_are_marked_under_names_that_were_written(receiver, registry):
    receiver.answer = lambda version: UNSUPPORTED if version == 2 else (204, {}, b"")
    sink = RemoteWrite(receiver.url)
    gauge = asyncmetrics.Gauge("a.b", "", ["kind.of"], registry=registry)
    plain = asyncmetrics.Gauge("plain", "", ["kind"], registry=registry)
    for metric in (gauge, plain):
        metric.labels("one").set(1)
        metric.labels("other").set(1)
    await send(sink, collect_within(registry))
    gauge.remove("other")
    plain.remove("other")
    await send(sink, collect_within(registry))
    found, _ = decode(receiver.requests[-1][1], 1)
    ended = {dict(series.labels)["__name__"] for series in found if series.samples[0][1] != 1}
    assert ended == {"plain"}
    assert len(found) == 3


async def test_a_receiver_of_2_gets_2(receiver, families):
    receiver.answer = lambda version: (204, {SAMPLES: "100"}, b"")
    sink = RemoteWrite(receiver.url)
    await send(sink, families)
    await send(sink, families)
    assert receiver.versions == [2, 2, 2, 2]
    headers = receiver.requests[0][2]
    assert headers["Content-Encoding"] == "snappy"
    assert headers["X-Prometheus-Remote-Write-Version"] == "2.0.0"
    assert headers["User-Agent"].startswith("asyncmetrics")


async def test_version_1_asks_for_no_header(receiver, families):
    await send(RemoteWrite(receiver.url, version=1), families)
    assert receiver.versions == [1, 1]
    headers = receiver.requests[0][2]
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"


async def test_a_refusal_has_the_text_of_the_server_and_what_was_written(receiver, families):
    receiver.answer = lambda version: (400, {SAMPLES: "3", HISTOGRAMS: "1"}, b"out of order sample")
    sink = RemoteWrite(receiver.url)
    with pytest.raises(PushError, match=r"out of order sample \(4 samples of the request were written\)") as caught:
        await send(sink, families)
    assert caught.value.is_permanent
    assert sink.version == 2
    await sink.close()


async def test_a_receiver_without_native_histograms_is_not_asked_again(receiver, families):
    """Prometheus answers 500; the request holds nothing else."""
    receiver.answer = lambda version: (500, {}, b"native histograms are disabled\n")
    sink = RemoteWrite(receiver.url, version=1)
    with pytest.raises(PushError, match="native histograms are disabled") as caught:
        await send(sink, families)
    assert caught.value.is_permanent
    await sink.close()


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_can_be_asked_again_when_it_says(receiver, families, status):
    receiver.answer = lambda version: (status, {"Retry-After": "7", SAMPLES: "1"}, b"")
    sink = RemoteWrite(receiver.url)
    with pytest.raises(PushError) as caught:
        await send(sink, families)
    assert (caught.value.is_permanent, caught.value.retry_after) == (False, 7.0)
    await sink.close()


async def test_a_415_to_version_1_is_permanent(receiver, families):
    receiver.answer = lambda version: UNSUPPORTED
    sink = RemoteWrite(receiver.url)
    with pytest.raises(PushError, match="unsupported proto message") as caught:
        await send(sink, families)
    assert caught.value.is_permanent
    await sink.close()


async def test_a_loss_behind_a_success_is_logged_once(receiver, families, caplog):
    receiver.answer = lambda version: (200, {SAMPLES: "1"}, b"")
    sink = RemoteWrite(receiver.url)
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        await send(sink, families)
        await send(sink, families)
    assert [record.message.partition(" wrote ")[2][:4] for record in caplog.records if "wrote" in record.message] == [
        "1 of"
    ]


def test_nothing_that_is_shown_has_credentials():
    sink = RemoteWrite("https://host/write?token=secret", auth="secret", headers={"X-Key": "secret"})
    assert repr(sink) == "RemoteWrite('https://host/write', version=2)"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"version": 3}, "version: expected 1 or 2, got 3"),
        ({"escaping": "all"}, "escaping: expected one of"),
        ({"stale_markers": 1}, "stale_markers: expected True or False"),
        ({"labels": {"__name__": "x"}}, "labels: bad label name '__name__'"),
    ],
)
def test_a_wrong_option_is_refused(options, problem):
    with pytest.raises(DefinitionError, match=problem):
        RemoteWrite("http://localhost/write", **options)


def test_a_sample_that_is_left_out_is_counted(caplog):
    family = Metric("broken_by_a_test", "B.", "gauge")
    family.add_sample("broken_by_a_test", {}, "x")  # pyright: ignore[reportArgumentType]  # what is tested
    before = _count_omitted()
    RemoteWrite("http://localhost/write").encode([family], NOW, IDENTITY)
    assert _count_omitted() == before + 1


def _count_omitted() -> float:
    value = asyncmetrics.REGISTRY.get_sample_value(
        "asyncmetrics_omitted_samples_total", {"family": "broken_by_a_test", "format": "remote_write"}
    )
    return value or 0.0


def test_a_sink_has_loaded_what_compresses_before_it_encodes():
    """The import would hold a loop for longer than a step may take, and would hang in a forked process."""
    code = (
        "import sys; from asyncmetrics.bridges.remote_write import RemoteWrite; "
        "RemoteWrite('http://localhost/write'); print('cramjam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
