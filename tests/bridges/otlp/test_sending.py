"""Sending over a real socket: what arrives, and what the answers of the server mean."""

from __future__ import annotations

import logging

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.bridges import Pusher
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.errors import PushError
from asyncmetrics.formats.protobuf import encode_block, encode_integer, encode_text
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.otlp.decoding import IDENTITY, NOW
from tests.bridges.otlp.server import run_otlp_server


@pytest.fixture(scope="module")
def running():
    with run_otlp_server() as server:
        yield server


@pytest.fixture
def server(running):
    running.answers.clear()
    running.requests.clear()
    return running


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    Counter("a", "", registry=registry).inc(3)
    return registry


def _send(sink, registry, backend="asyncio"):
    async def send():
        try:
            await sink.send(sink.encode(collect_within(registry), NOW, IDENTITY))
        finally:
            await sink.close()

    anyio.run(send, backend=backend)


def _refuse(sink, registry):
    with pytest.raises(PushError) as raised:
        _send(sink, registry)
    return raised.value


def _partial(rejected, message):
    inner = encode_integer(1, rejected) + encode_text(2, message)
    return 200, {"Content-Type": "application/x-protobuf"}, encode_block(1, inner)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_request_arrives_with_its_headers(server, registry, backend, compression):
    _send(OTLP(server.url, compression=compression, headers={"X-Tenant": "t"}, auth="secret"), registry, backend)
    ((path, headers, message),) = server.requests
    assert path == "/v1/metrics"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers.get("content-encoding", "none") == compression
    assert (headers["x-tenant"], headers["authorization"]) == ("t", "Bearer secret")
    (metric,) = message.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.sum.data_points[0].as_double) == ("a_total", 3.0)


def test_a_pusher_sends_a_registry(server, registry):
    async def push():
        async with Pusher(OTLP(server.url), registry) as pusher:
            await pusher.push()

    anyio.run(push)
    assert len(server.requests) >= 1


def test_a_pusher_counts_what_is_left_out_in_its_registry(server, registry):
    family = Counter("b", "", registry=registry)
    family.inc()
    sink = OTLP(server.url)
    Pusher(sink, registry)
    sink.find_omission_handler()("b_total", "otlp", "a test")
    labels = {"family": "b_total", "format": "otlp"}
    assert registry.get_sample_value("asyncmetrics_omitted_samples_total", labels) == 1


@pytest.mark.parametrize(
    ("status", "is_permanent"),
    [(429, False), (500, False), (502, False), (503, False), (504, False), (400, True), (401, True), (413, True)],
)
def test_a_status_says_whether_another_attempt_may_help(server, registry, status, is_permanent):
    server.answers.append((status, {"Retry-After": "7"}, b""))
    error = _refuse(OTLP(server.url), registry)
    assert (error.is_permanent, error.retry_after) == (is_permanent, 7.0)


def test_the_message_of_an_error_is_that_of_its_status(server, registry):
    body = encode_integer(1, 3) + encode_text(2, "bad metric name")
    server.answers.append((400, {"Content-Type": "application/x-protobuf"}, body))
    assert "400 Bad Request: bad metric name" in str(_refuse(OTLP(server.url), registry))


@pytest.mark.parametrize("body", [b"no protobuf", b"\xff" * 20, b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_the_body_of_an_error_may_be_anything(server, registry, body):
    server.answers.append((400, {}, body))
    assert "400 Bad Request" in str(_refuse(OTLP(server.url), registry))


def test_rejected_points_are_a_permanent_error_with_the_message_of_the_server(server, registry):
    server.answers.append(_partial(1, "too old\x1b[31m"))
    error = _refuse(OTLP(server.url), registry)
    assert error.is_permanent
    assert error.problem == "the server has rejected 1 of 1 data points: too old\\x1b[31m"


def test_what_was_sent_in_a_request_with_rejected_points_is_not_sent_again(server, registry):
    sink = OTLP(server.url, temporality="delta")
    server.answers.append(_partial(1, ""))
    _refuse(sink, registry)
    _send(sink, registry)
    values = [
        message.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_double
        for _, _, message in server.requests
    ]
    assert values == [3.0, 0.0]


def test_a_warning_of_the_server_is_logged_once(server, registry, caplog):
    caplog.set_level(logging.WARNING, "asyncmetrics")
    server.answers += [_partial(0, "use another name"), _partial(0, "use another name")]
    sink = OTLP(server.url)
    _send(sink, registry)
    _send(sink, registry)
    assert [record.getMessage() for record in caplog.records] == [
        "the OTLP server took all data points, and warns: use another name; later warnings are not logged"
    ]


@pytest.mark.parametrize("body", [b"{}", b"ok", b"\x0a\x05\x08", b"\x0a\xff", _partial((1 << 64) - 1, "")[2]])
def test_an_answer_that_is_none_of_the_protocol_means_success(server, registry, body):
    server.answers.append((200, {}, body))
    _send(OTLP(server.url), registry)
    assert len(server.requests) == 1


def test_no_server_is_an_error_that_another_attempt_may_end(registry):
    with run_otlp_server() as ended:
        url = ended.url
    assert not _refuse(OTLP(url), registry).is_permanent
