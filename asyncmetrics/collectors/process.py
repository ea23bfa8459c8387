"""`ProcessCollector`: CPU time, memory, file descriptors, threads and start time of a process.

On Linux, all numbers come from ``/proc`` (proc(5)). On other systems, the interpreter has CPU time, threads and, on
Unix, the limit of file descriptors; the other families are not exposed. If workers share their metrics, every scrape
exposes all workers, each under its label ``worker``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, final

from asyncmetrics.interruptions import ignoring
from asyncmetrics.model.checks import check_path, check_text, make_refusal
from asyncmetrics.model.families import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry

__all__ = ("PROCESS_COLLECTOR", "ProcessCollector")

_DOCUMENTATION = {
    "cpu_seconds": "Total user and system CPU time spent in seconds.",
    "virtual_memory_bytes": "Virtual memory size in bytes.",
    "resident_memory_bytes": "Resident memory size in bytes.",
    "start_time_seconds": "Start time of the process since unix epoch in seconds.",
    "open_fds": "Number of open file descriptors.",
    "max_fds": "Maximum number of open file descriptors.",
    "threads": "Number of operating system threads in the process.",
}


class _Reading(NamedTuple):
    name: str
    value: float


def _get_own_pid() -> str:
    return "self"


@final
class ProcessCollector:
    """Expose the standard ``process_*`` families of one process, or of all workers that share the registry's metrics.

    ``pid`` returns the id of the process; the default is this process and the workers that it shares metrics with.
    ``proc`` is the directory where procfs is mounted. ``namespace`` is a prefix of the names.
    """

    def __init__(
        self,
        namespace: str = "",
        pid: Callable[[], int | str] = _get_own_pid,
        proc: str = "/proc",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        check_text("namespace", namespace, "shop")
        check_path("proc", proc)
        if not callable(pid):
            raise make_refusal("pid", "a function that returns the id of a process", pid, f"write lambda: {pid!r}")
        self._prefix = f"{namespace}_process_" if namespace else "process_"
        self._pid = pid
        self._proc = Path(proc)
        self._registry = registry
        if registry is not None:
            check_full_registry(registry)
            registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Yield all families without samples; the platform decides which of them `collect` yields."""
        for name, documentation in _DOCUMENTATION.items():
            yield Metric(self._prefix + name, documentation, "counter" if name == "cpu_seconds" else "gauge")

    def collect(self) -> Iterator[Metric]:
        """Yield the families that have a value on this platform."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for labels, pid in self._list_processes():
            for name, value in self._read(pid):
                kind = CounterMetricFamily if name == "cpu_seconds" else GaugeMetricFamily
                family = kind(self._prefix + name, _DOCUMENTATION[name], labels=list(labels))
                families.setdefault(name, family).add_metric(list(labels.values()), value)
        yield from families.values()

    def _list_processes(self) -> list[tuple[dict[str, str], int | str]]:
        if self._pid is not _get_own_pid:
            return [({}, self._pid())]
        workers = self._registry.storage.list_processes() if self._registry is not None else {}
        return [({"worker": worker}, pid) for worker, pid in workers.items()] or [({}, self._pid())]

    def _read(self, pid: int | str) -> Iterator[_Reading]:
        if not (self._proc / "stat").exists():
            yield from _read_interpreter() if pid in {"self", os.getpid()} else ()
            return
        process = self._proc / str(pid).strip()
        for read in (_read_stat, _count_descriptors, _read_descriptor_limit):
            with ignoring(OSError, ValueError, IndexError):  # ended, not readable by this user, or in another format
                yield from list(read(process))


def _read_stat(process: Path) -> Iterator[_Reading]:
    ticks = os.sysconf("SC_CLK_TCK")
    # The fields follow the command in parentheses, which may itself have blanks and parentheses (proc(5)).
    fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
    yield _Reading("cpu_seconds", (int(fields[11]) + int(fields[12])) / ticks)
    yield _Reading("virtual_memory_bytes", int(fields[20]))
    yield _Reading("resident_memory_bytes", int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
    yield _Reading("threads", int(fields[17]))
    yield _Reading("start_time_seconds", _read_boot_time(process.parent) + int(fields[19]) / ticks)


def _read_boot_time(proc: Path) -> float:
    lines = (proc / "stat").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def _count_descriptors(process: Path) -> Iterator[_Reading]:
    yield _Reading("open_fds", sum(1 for _ in (process / "fd").iterdir()))


def _read_descriptor_limit(process: Path) -> Iterator[_Reading]:
    for line in (process / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            yield _Reading("max_fds", float(line.split()[3].replace("unlimited", "inf")))


def _read_interpreter() -> Iterator[_Reading]:
    yield _Reading("cpu_seconds", time.process_time())
    yield _Reading("threads", threading.active_count())
    with suppress(ImportError):
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield _Reading("max_fds", float("inf") if limit == resource.RLIM_INFINITY else limit)


PROCESS_COLLECTOR = ProcessCollector()
"""The collector in `REGISTRY`."""
