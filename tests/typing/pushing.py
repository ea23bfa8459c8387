"""The sinks, the pushers and the sources have types, and `instrument` takes a sink or a pusher."""

import ssl
from collections.abc import Generator, Iterable
from pathlib import Path

from opentelemetry.metrics import set_meter_provider
from starlette.applications import Starlette
from typing_extensions import assert_type

from asyncmetrics import CollectorRegistry, Metric, instrument
from asyncmetrics.bridges import Identity, Part, Payload, Pusher, PusherThread, Sink
from asyncmetrics.bridges.graphite import Graphite
from asyncmetrics.bridges.opentelemetry import MeterProvider
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.bridges.pushgateway import Pushgateway
from asyncmetrics.bridges.remote_write import RemoteWrite
from asyncmetrics.bridges.statsd import StatsD
from asyncmetrics.bridges.statsd_server import StatsDServer

URL = "https://metrics.example.com/api/v1/write"


class Printer(Sink):
    name = "printer"

    def encode_in_steps(
        self, families: Iterable[Metric], now: float, identity: Identity
    ) -> Generator[None, None, Payload]:
        parts: list[Part] = []
        for family in families:
            parts.append(Part(family.name.encode(), samples=len(family.samples)))
            yield
        return Payload(now, parts)

    async def send_part(self, part: Part) -> None:
        print(part.data)


async def right(registry: CollectorRegistry) -> None:
    assert_type(instrument(Starlette(), push=Printer()), Starlette)
    assert_type(instrument(Starlette(), push=RemoteWrite(URL, auth=("123456", "token"))), Starlette)
    assert_type(instrument(Starlette(), push=Pusher(OTLP(), interval=60)), Starlette)
    sinks: list[Sink] = [
        RemoteWrite(URL, version=1, auth="token", headers={"X-Scope-OrgID": "shop"}, tls="ca.pem", labels={"a": "b"}),
        OTLP(URL, temporality="delta", compression="gzip", resource={"service.name": "shop"}, tls=Path("ca.pem")),
        Pushgateway("gateway:9091", "job", grouping_key={"shard": 3}, method="POST", tls=ssl.create_default_context()),
        Graphite("graphite", 2003, tags=False, prefix="shop", tls="ca.pem"),
        StatsD(path="/run/dsd.socket", tags="datadog"),
    ]
    async with Pusher(sinks[0], registry, families=["http_*"], shutdown_timeout=2, job="shop") as pusher:
        assert_type(pusher, Pusher)
        await pusher.push()
    with PusherThread(sinks[1], families=lambda family: family.type == "counter", max_pending=3) as thread:
        assert_type(thread, PusherThread)
        thread.push()
    assert_type(sinks[2].encode(registry.collect(), 0.0), Payload)
    async with StatsDServer(8125, mapping=[{"match": "a.*", "name": "a", "labels": {"b": "$1"}}]) as server:
        assert_type(server.port, int)
    set_meter_provider(MeterProvider(registry=registry, namespace="", scope_labels=False))


async def wrong() -> None:
    instrument(Starlette(), push=RemoteWrite)  # type: ignore[call-overload]
    instrument(Starlette(), push=URL)  # type: ignore[call-overload]
    Pusher(URL)  # type: ignore[arg-type]
    Pusher(Printer(), families="http_*", interval="15s")  # type: ignore[arg-type]
    RemoteWrite(URL, version=3)  # type: ignore[arg-type]
    RemoteWrite(URL, auth=b"token")  # type: ignore[arg-type]
    OTLP(URL, temporality="deltas")  # type: ignore[arg-type]
    Graphite("graphite", "2003")  # type: ignore[arg-type]
    StatsD("statsd", tags=["a:b"])  # type: ignore[arg-type]
    Pushgateway("gateway", "job", method="DELETE")  # type: ignore[arg-type]
    StatsDServer("8125")  # type: ignore[arg-type]
