"""What many workers cost a real Prometheus: it scrapes 10, 100 and 1,000 of them, and gets what they push.

*Theory of operation.*

1. The application of `_fleet_app` has 50 routes, its runtime and its process. Its real expositions are the payloads.
2. Pull: one small server (`_fleet_targets`) answers for all workers, which Prometheus finds by ``http_sd``. Each scrape
   has new values. Prometheus is measured by its own metrics, over an interval in which every worker is scraped.
3. Then it evaluates the recording rules of docs/rules, and its ``/federate`` is read: what is left of the workers.
4. Push: `_fleet_pushes` sends messages of remote write 1.0 for all workers to another Prometheus, twice. The second
   time is measured, when Prometheus knows the series.

A worker is a target, and all of them run on this machine. The network, the processes of the workers and weeks of
storage are not simulated. ``python -m benchmarks.fleet 10 50`` simulates other numbers of workers.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks._measure import Effort, Figures
from benchmarks._prometheus import MISSING, Prometheus, find_prometheus, run_prometheus, wait_until
from benchmarks._rows import OURS, Row, format_table

__all__ = ("RATIO", "run", "simulate")

RATIO = "none: what Prometheus needs is measured"

WORKERS = (10, 100, 1000)
INTERVAL = 15  # seconds between two scrapes
SHORT_INTERVAL = 5  # where two cores have room for it
FEW = 100  # workers, for a short interval, and to federate all of their series
RECORDING = Path(__file__).parents[1] / "docs/rules/recording.yml"
_ALL = '{job="shop"}'
_RUNS = "prometheus_rule_group_iterations_total"
_GROUPS = RECORDING.read_text(encoding="utf-8").count("- name: ")
_RECORDED = '{__name__=~"job.*:.*"}'
_SECONDS = 600.0  # for each step of Prometheus, which a busy machine makes slow


def run(effort: Effort) -> Iterator[Row]:
    """Yield what each number of workers makes, by pull and by push."""
    yield from simulate((2,), 1) if effort.quick else simulate(WORKERS)


def simulate(numbers: Sequence[int], interval: int | None = None) -> Iterator[Row]:
    """Yield the rows of ``numbers`` of workers that are scraped every ``interval`` seconds."""
    if find_prometheus() is None:
        yield Row("all", OURS, "", None, None, None, MISSING)
        return
    for workers in numbers:
        yield from _make_rows(f"{workers:,} workers, pull", _pull(workers, interval or _choose_interval(workers)))
        yield from _make_rows(f"{workers:,} workers, push", _push(workers))


def _choose_interval(workers: int) -> int:
    return SHORT_INTERVAL if workers <= FEW else INTERVAL


def _make_rows(title: str, measured: dict[str, tuple[str, float]]) -> Iterator[Row]:
    for what, (unit, number) in measured.items():
        yield Row(f"{title}: {what}", OURS, unit, Figures(number, number), None, None)


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    root = Path(__file__).parents[1]
    return subprocess.Popen(command, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@contextmanager
def _serve(workers: int, counts: dict[str, int]) -> Iterator[int]:
    """Run the server of the workers, yield its port, and fill ``counts`` at the end."""
    process = _start("_fleet_targets", str(workers))
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        output, _ = process.communicate("")
        counts.update(json.loads(output or "{}"))


def _make_config(port: int, interval: int, rules: Sequence[str] = ()) -> dict[str, Any]:
    every, often = f"{interval}s", f"{min(interval, SHORT_INTERVAL)}s"
    job = {"job_name": "shop", "http_sd_configs": [{"url": f"http://127.0.0.1:{port}/targets"}]}
    times = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": often}
    return {"global": times, "rule_files": [*rules], "scrape_configs": [job]}


def _pull(workers: int, interval: int) -> dict[str, tuple[str, float]]:
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, _serve(workers, counts) as port:
        with run_prometheus(Path(folder), _make_config(port, interval)) as server:
            figures = _watch(server, workers, interval)
            server.configure(_make_config(port, interval, [str(RECORDING)]))
            figures |= _federate(server, workers)
    return {**figures, "bytes of a scrape": ("B", counts["bytes"] / counts["scrapes"])}


def _watch(server: Prometheus, workers: int, interval: int) -> dict[str, tuple[str, float]]:
    """Return what Prometheus says about itself while it scrapes every worker a few times."""
    wait_until(lambda: server.query("count(up == 1)") == workers, _SECONDS)
    before, started = server.read_own(), time.monotonic()
    time.sleep(interval)
    after, seconds = server.read_own(), time.monotonic() - started
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    appended = "prometheus_tsdb_head_samples_appended_total"
    samples = after[appended] - before[appended]
    return {
        "series": ("", server.query(f"count({_ALL})")),
        "samples of a scrape": ("", server.query("avg(scrape_samples_scraped)")),
        f"samples, every {interval} s": ("/s", samples / seconds),
        "duration of a scrape": ("ms", 1e3 * server.query("avg(scrape_duration_seconds)")),
        "longest scrape": ("ms", 1e3 * server.query("max(scrape_duration_seconds)")),
        "Prometheus, processor time of a sample": ("µs", 1e6 * cpu / samples),
        "Prometheus, memory": ("MB", after["process_resident_memory_bytes"] / 1e6),
        "Prometheus, series in the head": ("", after["prometheus_tsdb_head_series"]),
    }


def _federate(server: Prometheus, workers: int) -> dict[str, tuple[str, float]]:
    """Return what recording rules leave, and how large that is where another Prometheus scrapes it."""

    def have_all_run() -> bool:
        """Return whether the second run of each group has begun, so that the first one has ended."""
        runs = server.read_own_samples().get(_RUNS, [])
        return len(runs) == _GROUPS and min(runs) >= 2

    wait_until(have_all_run, _SECONDS)
    recorded = server.read(f"/federate?match[]={quote(_RECORDED)}")
    figures = {
        "series after recording rules": ("", server.query(f"count({_RECORDED})")),
        "evaluation of the rules": ("ms", 1e3 * server.read_own()["prometheus_rule_group_last_duration_seconds"]),
        "bytes of federated rules": ("B", float(len(gzip.compress(recorded)))),
    }
    if workers <= FEW:
        everything = server.read(f"/federate?match[]={quote(_ALL)}")
        figures["bytes of everything federated"] = ("B", float(len(gzip.compress(everything))))
    return figures


def _push(workers: int) -> dict[str, tuple[str, float]]:
    with tempfile.TemporaryDirectory() as folder, run_prometheus(Path(folder), {}) as server:
        process = _start("_fleet_pushes", server.base, str(workers))
        try:
            _push_once(process)  # in which Prometheus makes the series
            before = server.read_own()["process_cpu_seconds_total"]
            pushed = _push_once(process)
            after = server.read_own()
        finally:
            process.communicate("")
        stored = server.query(f"count({_ALL})")
    return {
        "series": ("", stored),
        "bytes of a push": ("B", pushed["bytes"] / workers),
        "encoding of a push": ("ms", 1e3 * pushed["encoding_seconds"] / workers),
        "samples, as fast as possible": ("/s", pushed["samples"] / pushed["seconds"]),
        "Prometheus, processor time of a sample": (
            "µs",
            1e6 * (after["process_cpu_seconds_total"] - before) / pushed["samples"],
        ),
        "Prometheus, memory": ("MB", after["process_resident_memory_bytes"] / 1e6),
    }


def _push_once(process: subprocess.Popen[str]) -> dict[str, float]:
    """Have every worker push, and return what that was."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    counts: dict[str, float] = json.loads(process.stdout.readline())
    return counts


if __name__ == "__main__":
    print(format_table(simulate([int(text) for text in sys.argv[1:]] or WORKERS)))
