"""One contender scraped on an event loop, in a process of its own: ``python -m benchmarks._scraping '{"who": …}'``.

Beside the scrape, a ticker asks to be woken every millisecond, and a small request begins every two. How late the
ticker is woken is how long the loop was held; what the machine itself delays is taken off, by the same without a
scrape. Memory is the highest resident size during the scrape beyond that before it (Linux only).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeAlias

from benchmarks._registries import ours, theirs

__all__ = ("CONTENDERS", "OPENMETRICS", "probe")

App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TICK = 0.001
REQUEST_EVERY = 0.002
STEPS = 4  # of a small request: goes of the loop that it needs


def _asyncmetrics(kind: str, children: int) -> App:
    import asyncmetrics

    return asyncmetrics.make_asgi_app(ours(kind, children))


def _prometheus_client(kind: str, children: int) -> App:
    import prometheus_client

    return prometheus_client.make_asgi_app(theirs(kind, children))


def _prometheus_client_in_a_thread(kind: str, children: int) -> App:
    import prometheus_client

    registry = theirs(kind, children)
    return _whole(lambda: asyncio.to_thread(prometheus_client.generate_latest, registry))


def _prometheus_async(kind: str, children: int) -> App:
    from prometheus_async.aio import web
    from prometheus_client import REGISTRY

    REGISTRY.register(theirs(kind, children))

    async def stats() -> bytes:
        return (await web.server_stats(_Request())).body  # type: ignore[no-any-return]

    return _whole(stats)


class _Request:
    """What prometheus-async reads of a request of aiohttp."""

    headers = {"Accept": "text/plain"}


def _aioprometheus(kind: str, children: int) -> App:
    from aioprometheus import Counter, Histogram, Registry, render

    registry = Registry()
    metric = {"Counter": Counter, "Histogram": Histogram}[kind]("requests", "Requests.", registry=registry)
    for index in range(children):
        labels = {"handler": f"/items/{index}", "kind": "GET"}
        metric.observe(labels, index / 8) if kind == "Histogram" else metric.add(labels, index / 8)

    async def rendered() -> bytes:
        return render(registry, ["text/plain"])[0]  # type: ignore[no-any-return]

    return _whole(rendered)


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


def _whole(render: Callable[[], Awaitable[bytes]]) -> App:
    """Return an application around what renders everything at once."""

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


def _memory(field: str) -> int:
    """Return a field of /proc/self/status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _forget_the_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


async def _late(every: float, note: list[float], work: Callable[[], Awaitable[None]] | None = None) -> None:
    while True:
        due = perf_counter() + every
        await asyncio.sleep(every)
        if work is not None:
            await work()
        note.append(perf_counter() - due)


async def _small_request() -> None:
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def _beside(work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    """Do ``work`` with a ticker and small requests beside it."""
    ticks: list[float] = []
    requests: list[float] = []
    tasks = [
        asyncio.create_task(_late(TICK, ticks)),
        asyncio.create_task(_late(REQUEST_EVERY, requests, _small_request)),
    ]
    await asyncio.sleep(0.05)
    ticks.clear()
    requests.clear()
    await work()
    await asyncio.sleep(3 * REQUEST_EVERY)  # those that were held are through then
    for task in tasks:
        task.cancel()
    return {"hold": max(ticks), "hold_999": _quantile(ticks, 0.999), "request_99": _quantile(requests, 0.99)}


def _quantile(values: list[float], q: float) -> float:
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
            await app(dict(scope), _receiving(), send)

        _forget_the_peak()
        before, cpu, started = _memory("VmRSS"), process_time(), perf_counter()
        await scrape()  # alone: the ticker costs time as well
        result = {"seconds": perf_counter() - started, "cpu": process_time() - cpu, "bytes": size}
        memory = max(0, _memory("VmHWM") - before)
        results.append({**result, "memory": memory, **await _beside(scrape)})
    return results


def _receiving() -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return what a server gives an application: a request without a body, and then a client that stays."""
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

    await app(scope, _receiving(), send)
    return lines


async def probe(who: str, kind: str, children: int, accept: str, gzip: bool, scrapes: int) -> dict[str, Any]:
    """Return what ``scrapes`` of one contender cost, each: the first one first."""
    app = CONTENDERS[who](kind, children)
    headers = [(b"accept", accept.encode())] + ([(b"accept-encoding", b"gzip")] if gzip else [])

    async def pause() -> None:
        await asyncio.sleep(0.5)

    noise = await _beside(pause)
    results = await _scrape(app, headers, scrapes)
    return {"noise": noise, "scrapes": results, "lines": await _count_lines(app)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(probe(**json.loads(sys.argv[1])))))
