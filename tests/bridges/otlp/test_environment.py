"""The variables OTEL_…: arguments win over them, and a wrong one is logged and not used."""

from __future__ import annotations

import anyio
import pytest

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.bridges.otlp import environment as module
from asyncmetrics.errors import DefinitionError
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.otlp.decoding import IDENTITY, NOW, decode, read_attributes
from tests.bridges.otlp.server import run_otlp_server

PREFIX = "OTEL_EXPORTER_OTLP_"


@pytest.fixture
def env(monkeypatch):
    """Set variables by their name without the prefix."""
    monkeypatch.setattr(module, "_logged", set())

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name if name.startswith("OTEL_") else PREFIX + name, value)

    return put


def _read_resource(**options):
    registry = CollectorRegistry()
    Counter("a", "", registry=registry).inc()
    (request,) = decode(OTLP(**options).encode(collect_within(registry), NOW, IDENTITY))
    return read_attributes(request.resource_metrics[0].resource.attributes)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://localhost:4318/v1/metrics"),
        ({"ENDPOINT": "http://c:4318"}, "http://c:4318/v1/metrics"),
        ({"ENDPOINT": "https://c/otlp/"}, "https://c/otlp/v1/metrics"),
        ({"METRICS_ENDPOINT": "http://m/push"}, "http://m/push"),
        ({"METRICS_ENDPOINT": "http://m/push", "ENDPOINT": "http://c"}, "http://m/push"),
        ({"ENDPOINT": ""}, "http://localhost:4318/v1/metrics"),
    ],
)
def test_the_url_is_that_of_the_environment(env, variables, url):
    env(**variables)
    assert OTLP().url == url


def test_arguments_win_over_the_environment(env):
    env(ENDPOINT="http://c", METRICS_TEMPORALITY_PREFERENCE="delta", OTEL_RESOURCE_ATTRIBUTES="team=x,zone=a")
    sink = OTLP("http://mine/v1/metrics", temporality="cumulative")
    assert (sink.url, sink.temporality) == ("http://mine/v1/metrics", "cumulative")
    found = _read_resource(resource={"zone": "b"})
    assert (found["team"], found["zone"]) == ("x", "b")


@pytest.mark.parametrize(
    ("text", "temporality"),
    [("delta", "delta"), ("DELTA", "delta"), ("lowmemory", "delta"), ("Cumulative", "cumulative")],
)
def test_the_temporality_is_that_of_the_environment(env, text, temporality):
    env(METRICS_TEMPORALITY_PREFERENCE=text)
    assert OTLP().temporality == temporality


def test_headers_compression_and_timeout_are_those_of_the_environment(env):
    with run_otlp_server() as server:
        env(
            METRICS_ENDPOINT=server.url,
            HEADERS="X-A=1, Authorization=Basic%20YTpi",
            COMPRESSION="gzip",
            METRICS_TIMEOUT="60000",
        )
        registry = CollectorRegistry()
        Counter("a", "", registry=registry).inc()
        sink = OTLP(headers={"X-A": "2"})

        async def send():
            await sink.send(sink.encode(collect_within(registry), NOW, IDENTITY))
            await sink.close()

        anyio.run(send)
        ((_, headers, _),) = server.requests
    assert (headers["x-a"], headers["authorization"], headers["content-encoding"]) == ("2", "Basic YTpi", "gzip")


def test_the_headers_of_metrics_replace_the_general_ones():
    found = module.Environment({f"{PREFIX}HEADERS": "a=1", f"{PREFIX}METRICS_HEADERS": "b=2"}).read_headers()
    assert found == {"b": "2"}


def test_the_timeout_is_in_milliseconds():
    assert module.Environment({f"{PREFIX}TIMEOUT": "2500"}).read_timeout() == 2.5


def test_the_name_of_the_service_wins_over_that_of_the_attributes(env):
    env(OTEL_SERVICE_NAME="shop2", OTEL_RESOURCE_ATTRIBUTES="service.name=other,note=a%2Cb%20%C3%BC")
    found = _read_resource()
    assert (found["service.name"], found["note"]) == ("shop2", "a,b ü")


def test_the_resource_has_the_identity_of_the_process(monkeypatch):
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    found = _read_resource()
    assert (found["service.name"], found["service.instance.id"]) == ("shop", "host:0")
    assert (found["telemetry.sdk.name"], found["telemetry.sdk.language"]) == ("asyncmetrics", "python")
    assert found["host.name"]
    assert "process.pid" not in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{PREFIX}ENDPOINT", "localhost:4318"),
        (f"{PREFIX}METRICS_ENDPOINT", "grpc://x"),
        (f"{PREFIX}ENDPOINT", "http://host:99999"),
        (f"{PREFIX}ENDPOINT", "http://user:secret@host"),
        (f"{PREFIX}HEADERS", "a b=secret"),
        (f"{PREFIX}HEADERS", "x=secret%C3%BC"),
        (f"{PREFIX}HEADERS", "novalue"),
        (f"{PREFIX}TIMEOUT", "10s"),
        (f"{PREFIX}TIMEOUT", "0"),
        (f"{PREFIX}TIMEOUT", "9" * 5000),
        (f"{PREFIX}COMPRESSION", "zstd"),
        (f"{PREFIX}METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        (f"{PREFIX}PROTOCOL", "grpc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
    ],
)
def test_a_value_that_cannot_be_used_is_logged_once_and_the_default_is_used(env, caplog, name, value):
    env(**{name: value})
    sinks = [OTLP(), OTLP()]
    assert [(sink.url, sink.temporality) for sink in sinks] == [("http://localhost:4318/v1/metrics", "cumulative")] * 2
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"the environment variable {name} is not used: expected ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADERS", "secret"),
        ("HEADERS", "x=secret%0A"),
        ("ENDPOINT", "http://user:secret@host"),
        ("ENDPOINT", "http://user:secret@host:99999"),
    ],
)
def test_credentials_of_the_environment_are_not_logged(env, caplog, name, value):
    env(**{name: value})
    OTLP()
    assert f"{PREFIX}{name} is not used" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("name", ["CERTIFICATE", "METRICS_CLIENT_CERTIFICATE"])
def test_a_certificate_that_cannot_be_read_is_an_error(env, tmp_path, name):
    env(**{name: str(tmp_path / "missing.pem")})
    with pytest.raises(DefinitionError, match=f"{PREFIX}{name}: expected the path of a readable PEM file"):
        OTLP()


def test_a_file_that_is_no_certificate_is_an_error(env, tmp_path):
    path = tmp_path / "no.pem"
    path.write_text("no certificate")
    env(CERTIFICATE=str(path))
    with pytest.raises(DefinitionError, match="readable PEM file"):
        OTLP()


def test_a_key_without_its_certificate_is_an_error(env):
    env(CLIENT_KEY="key.pem")
    with pytest.raises(DefinitionError, match="CLIENT_KEY: expected a certificate beside the key"):
        OTLP()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": 5}, "url"),
        ({"url": "collector:4318"}, "write 'http://collector:4318'"),
        ({"temporality": "deltas"}, "temporality"),
        ({"compression": "zstd"}, "compression"),
        ({"resource": ["x"]}, "resource"),
        ({"headers": "x"}, "headers"),
        ({"timeout": 0}, "timeout"),
        ({"labels": "x"}, "labels"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_it(options, message):
    with pytest.raises(DefinitionError, match=message):
        OTLP(**options)


def test_the_representation_shows_no_credentials():
    sink = OTLP("http://host/v1/metrics?token=x", auth=("a", "b"), headers={"X-Key": "k"})
    assert repr(sink) == "OTLP('http://host/v1/metrics', temporality='cumulative')"
