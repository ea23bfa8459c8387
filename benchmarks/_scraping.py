"""Scrape one contender on an event loop, in its own process: ``python -m benchmarks._scraping '{"contender": …}'``.

A ticker on the same loop sleeps for a millisecond at a time, and a small request begins every two milliseconds. The
delay of the ticker is the time for which the loop was blocked. The delay of requests without a scrape is measured
first, and is subtracted from that with a scrape. Memory is the highest resident size during the scrape minus that
before it (Linux only).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeAlias

from benchmarks._registries import make_native_registry, make_our_registry, make_their_registry

__all__ = ("CONTENDERS", "NATIVE", "OPENMETRICS", "PROTOBUF", "probe")

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
NATIVE = "Native histogram"
TICK = 0.001
REQUEST_EVERY = 0.002
STEPS = 4  # iterations of the loop that a small request needs


def _asyncmetrics(kind: str, children: int) -> App:
    import asyncmetrics

    registry = make_native_registry(children) if kind == NATIVE else make_our_registry(kind, children)
    return asyncmetrics.make_asgi_app(registry)


def _prometheus_client(kind: str, children: int) -> App:
    import prometheus_client

    return prometheus_client.make_asgi_app(make_their_registry(kind, children))


def _prometheus_client_in_a_thread(kind: str, children: int) -> App:
    import prometheus_client

    registry = make_their_registry(kind, children)
    return _make_app(lambda: asyncio.to_thread(prometheus_client.generate_latest, registry))


def _prometheus_async(kind: str, children: int) -> App:
    from prometheus_async.aio import web
    from prometheus_client import REGISTRY

    REGISTRY.register(make_their_registry(kind, children))

    async def stats() -> bytes:
        return (await web.server_stats(_Request())).body  # type: ignore[no-any-return]

    return _make_app(stats)


class _Request:
    """The part of aiohttp's request that prometheus-async reads."""

    headers = {"Accept": "text/plain"}


def _aioprometheus(kind: str, children: int) -> App:
    from aioprometheus import Counter, Histogram, Registry, render

    registry = Registry()
    metric = {"Counter": Counter, "Histogram": Histogram}[kind]("requests", "Requests.", registry=registry)
    for index in range(children):
        labels = {"handler": f"/items/{index}", "kind": "GET"}
        metric.observe(labels, index / 8) if kind == "Histogram" else metric.add(labels, index / 8)

    async def render_all() -> bytes:
        return render(registry, ["text/plain"])[0]  # type: ignore[no-any-return]

    return _make_app(render_all)


def _opentelemetry(kind: str, children: int) -> App:
    import prometheus_client
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    meter = MeterProvider(metric_readers=[PrometheusMetricReader()]).get_meter("benchmark")
    instrument: Any = meter.create_counter("requests") if kind == "Counter" else meter.create_histogram("requests")
    use = instrument.add if kind == "Counter" else instrument.record
    for index in range(children):
        use(index / 8, {"handler": f"/items/{index}", "kind": "GET"})
    return prometheus_client.make_asgi_app()


def _make_app(render: Callable[[], Awaitable[bytes]]) -> App:
    """Return an application that sends the result of ``render`` all at once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await render()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


CONTENDERS: dict[str, Callable[[str, int], App]] = {
    "asyncmetrics": _asyncmetrics,
    "prometheus_client": _prometheus_client,
    "prometheus_client, in a thread": _prometheus_client_in_a_thread,
    "prometheus-async": _prometheus_async,
    "aioprometheus": _aioprometheus,
    "OpenTelemetry's exporter": _opentelemetry,
}


def _read_memory(field: str) -> int:
    """Return a field of /proc/self/status in bytes, or 0 if there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


async def _tick(interval: float, delays: list[float], work: Callable[[], Awaitable[None]] | None = None) -> None:
    """Sleep for ``interval`` again and again, and append how late each sleep and its ``work`` end."""
    while True:
        due = perf_counter() + interval
        await asyncio.sleep(interval)
        if work is not None:
            await work()
        delays.append(perf_counter() - due)


async def _small_request() -> None:
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def _measure_delays(work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Run ``work`` beside a ticker and small requests, and return how late they are."""
    ticks: list[float] = []
    requests: list[float] = []
    tasks = [
        asyncio.create_task(_tick(TICK, ticks)),
        asyncio.create_task(_tick(REQUEST_EVERY, requests, _small_request)),
    ]
    await asyncio.sleep(0.05)
    ticks.clear()
    requests.clear()
    await work()
    await asyncio.sleep(3 * REQUEST_EVERY)  # until delayed requests have ended
    for task in tasks:
        task.cancel()
    return {
        "blocking": max(ticks),
        "blocking_999": _compute_quantile(ticks, 0.999),
        "request_99": _compute_quantile(requests, 0.99),
    }


def _compute_quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


async def _scrape(app: App, headers: list[tuple[bytes, bytes]], scrapes: int) -> list[dict[str, float]]:
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": headers}
    results = []
    for _ in range(scrapes):
        size = 0

        async def send(message: dict[str, Any]) -> None:
            nonlocal size
            size += len(message.get("body", b""))

        async def scrape() -> None:
            await app(dict(scope), _make_receive(), send)

        _reset_peak()
        before, cpu, started = _read_memory("VmRSS"), process_time(), perf_counter()
        await scrape()  # without the ticker, which needs processor time itself
        result = {"seconds": perf_counter() - started, "cpu": process_time() - cpu, "bytes": size}
        memory = max(0, _read_memory("VmHWM") - before)
        results.append({**result, "memory": memory, **await _measure_delays(scrape)})
    return results


def _make_receive() -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return an ASGI ``receive``: a request without a body, from a client that then stays connected."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    return receive


async def _count_lines(app: App) -> int:
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
    lines = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal lines
        lines += message.get("body", b"").count(b"\n")

    await app(scope, _make_receive(), send)
    return lines


async def probe(contender: str, kind: str, children: int, accept: str, gzip: bool, scrapes: int) -> dict[str, Any]:
    """Return the figures of each of ``scrapes`` of one contender, in order."""
    app = CONTENDERS[contender](kind, children)
    headers = [(b"accept", accept.encode())] + ([(b"accept-encoding", b"gzip")] if gzip else [])

    async def pause() -> None:
        await asyncio.sleep(0.5)

    noise = await _measure_delays(pause)
    results = await _scrape(app, headers, scrapes)
    return {"noise": noise, "scrapes": results, "lines": await _count_lines(app)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(probe(**json.loads(sys.argv[1])))))
