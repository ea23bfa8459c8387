"""Code written for prometheus_client is typed alike by the drop-in. Checked by mypy --strict and pyright, never run."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from asyncmetrics.prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    install,
    start_http_server,
)
from asyncmetrics.prometheus_client.core import GaugeMetricFamily, Sample
from asyncmetrics.prometheus_client.exposition import choose_encoder
from asyncmetrics.prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from typing_extensions import assert_type

install()
requests = Counter("requests", "Requests.", ["method"], registry=REGISTRY)
assert_type(requests.labels("GET"), Counter)
requests.labels(method="GET").inc(2, {"trace_id": "1"})
requests.labels("GET").inc("2")  # type: ignore[arg-type]
latency = Histogram("latency", "Latency.", buckets=(0.1, 1.0))


@latency.time()
async def work(x: int) -> str:
    return str(x)


@requests.labels("GET").count_exceptions(ValueError)
@Gauge("active", "Active.").track_inprogress()
def tracked(x: int) -> str:
    return str(x)


assert_type(tracked(1), str)


async def use() -> str:
    await work("1")  # type: ignore[arg-type]
    return await work(1)


Gauge("size", "Size.", multiprocess_mode="livesum").set_function(lambda: 1.0)
assert_type(generate_latest(CollectorRegistry(auto_describe=True)), bytes)
assert_type(GaugeMetricFamily("g", "G.", value=1).samples, list[Sample])
server, thread = start_http_server(8000, "127.0.0.1", REGISTRY)
assert_type(thread, threading.Thread)
encode, content_type = choose_encoder("text/plain")
assert_type(encode(REGISTRY), bytes)
MultiProcessCollector(CollectorRegistry(), path="/tmp")
