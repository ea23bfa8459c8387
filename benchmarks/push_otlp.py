"""The cost of a push by OTLP: processor time per series of counters with three labels, and of histograms.

A push is all that a library does each time: collect, encode, and send the same series to a server in another process,
over a connection that stays open. The longest step is what a push holds the event loop for at once, in processor time;
the SDK encodes all at once, in a thread that competes for the interpreter. The memory is the peak of one push beside
the metrics themselves.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import process_time, thread_time, time
from typing import Any, TypeAlias

from benchmarks._measure import Effort, Figures, Outcomes, Run, describe_problem, measure, scale
from benchmarks._rows import OURS, Row, Target, divide_by_ours, make_rows

__all__ = ("RATIO", "run")

RATIO = "the SDK's figure ÷ ours"

SDK = "opentelemetry-sdk"
TARGET = Target(SDK, "≥", 5)
SIZES = (("Counter", 10_000), ("Counter", 100_000), ("Histogram", 10_000))
# A round is at least one push, and the SDK's longest takes seconds.
ROUNDS = 5

Push: TypeAlias = Callable[[], None]
Library: TypeAlias = Callable[[str, int, str], Push]

_SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def _serve() -> Iterator[str]:
    """Run a server that takes everything, and yield its URL."""
    with subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1/metrics"
        finally:
            server.kill()


def _label(index: int) -> tuple[str, str, str]:
    return "GET" if index % 2 else "POST", f"/items/{index // 10}", str(200 + index % 10)


def _make_our_metrics(kind: str, count: int) -> Any:
    import asyncmetrics

    registry = asyncmetrics.CollectorRegistry()
    labelnames = ["method", "route", "status"]
    metric = getattr(asyncmetrics, kind)("requests", "Requests.", labelnames, registry=registry, max_children=None)
    for index in range(count):
        getattr(metric.labels(*_label(index)), "inc" if kind == "Counter" else "observe")(index / 8)
    return registry


def _asyncmetrics(kind: str, count: int, url: str) -> Push:
    from asyncmetrics.bridges import Pusher
    from asyncmetrics.bridges.otlp import OTLP

    registry = _make_our_metrics(kind, count)

    loop = asyncio.new_event_loop()
    pusher = Pusher(OTLP(url), registry)
    return lambda: loop.run_until_complete(pusher.push())


def _opentelemetry(kind: str, count: int, url: str) -> Push:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    from asyncmetrics import Histogram

    reader = PeriodicExportingMetricReader(OTLPMetricExporter(url), float("inf"))
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("benchmark")
    record: Callable[..., None] = meter.create_counter("requests").add
    if kind == "Histogram":
        bounds = list(Histogram.DEFAULT_BUCKETS[:-1])
        record = meter.create_histogram("requests", explicit_bucket_boundaries_advisory=bounds).record
    for index in range(count):
        method, route, status = _label(index)
        record(index / 8, {"method": method, "route": route, "status": status})
    return reader.collect


LIBRARIES: dict[str, Library] = {OURS: _asyncmetrics, SDK: _opentelemetry}


def _repeat(push: Push) -> Run:
    def repeat(number: int) -> float:
        started = process_time()
        for _ in range(number):
            push()
        return process_time() - started

    return repeat


def _make_pushes(kind: str, count: int, url: str) -> dict[str, Push | str]:
    pushes: dict[str, Push | str] = {}
    for contender, library in LIBRARIES.items():
        try:
            push = library(kind, count, url)
            push()
            pushes[contender] = push
        except Exception as error:  # noqa: BLE001  # a peer's failure is a result
            pushes[contender] = describe_problem(error)
    return pushes


def _measure_peak(push: Push) -> Figures:
    tracemalloc.start()
    try:
        push()
        peak = float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    return Figures(peak, peak)


def _measure_steps(kind: str, count: int, rounds: int, **options: Any) -> Figures:
    """Return the longest step of an encoding in seconds: the shortest of several encodings, and their median."""
    from asyncmetrics.bridges.otlp import OTLP
    from asyncmetrics.bridges.push.identity import Identity
    from asyncmetrics.registry.collectables import collect_within

    registry = _make_our_metrics(kind, count)
    sink = OTLP("http://localhost:4318/v1/metrics", **options)
    longest = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()  # as `measure` does
        try:
            longest.append(_find_longest(sink.encode_in_steps(collect_within(registry), time(), Identity("a", "b"))))
        finally:
            gc.enable()
    return Figures(min(longest), sorted(longest)[len(longest) // 2])


def _find_longest(steps: Iterator[None]) -> float:
    longest = 0.0
    while True:
        started = thread_time()
        try:
            next(steps)
        except StopIteration as end:
            took = thread_time() - started  # before the payload is freed, which the pusher keeps
            del end
            return max(longest, took)
        longest = max(longest, thread_time() - started)


def run(effort: Effort) -> Iterator[Row]:
    """Yield nanoseconds per series, then the peak of the memory, and the longest step."""
    few = effort if effort.quick else replace(effort, rounds=ROUNDS)
    with _serve() as url:
        for kind, full in SIZES:
            count = effort.size(full)
            name = f"{count:,} × {kind}"
            pushes = _make_pushes(kind, count, url)
            runs: dict[str, Run | str] = {
                contender: push if isinstance(push, str) else _repeat(push) for contender, push in pushes.items()
            }
            outcomes = scale(measure(runs, few), 1e9 / count)
            yield from make_rows(f"{name}, push", "ns per series", outcomes, divide_by_ours, TARGET)
            peaks: Outcomes = {
                contender: push if isinstance(push, str) else _measure_peak(push) for contender, push in pushes.items()
            }
            yield from make_rows(f"{name}, peak", "MB", scale(peaks, 1e-6), divide_by_ours)
            for temporality in ("cumulative", "delta"):
                steps: Outcomes = {OURS: _measure_steps(kind, count, few.rounds, temporality=temporality)}
                yield from make_rows(f"{name}, longest step, {temporality}", "ms", scale(steps, 1e3), divide_by_ours)
