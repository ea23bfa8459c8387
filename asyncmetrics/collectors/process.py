"""What this process uses: CPU, memory, file descriptors, threads, and since when.

Everything comes from Linux's ``/proc`` (proc(5)) where there is one. Elsewhere CPU time, threads and, on Unix, the
limit of descriptors come from the interpreter; what is not to be had is left out. Where several processes share their
metrics, all of them are told of, each under its label ``worker``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, final

from asyncmetrics.model.families import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry

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


def _this_process() -> str:
    return "self"


@final
class ProcessCollector:
    """Collect the standard ``process_*`` families of one process, or of all that share the registry's metrics.

    ``pid`` returns which one (by default this process, and those that it shares with), ``proc`` is where procfs is
    mounted, ``namespace`` goes in front of the names.
    """

    def __init__(
        self,
        namespace: str = "",
        pid: Callable[[], int | str] = _this_process,
        proc: str = "/proc",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        self._prefix = f"{namespace}_process_" if namespace else "process_"
        self._pid = pid
        self._proc = Path(proc)
        self._registry = registry
        if registry is not None:
            registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples: which of them have a value depends on the platform."""
        for name, documentation in _DOCUMENTATION.items():
            yield Metric(self._prefix + name, documentation, "counter" if name == "cpu_seconds" else "gauge")

    def collect(self) -> Iterator[Metric]:
        """Yield the families that have a value here."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for labels, pid in self._processes():
            for name, value in self._readings(pid):
                kind = CounterMetricFamily if name == "cpu_seconds" else GaugeMetricFamily
                made = kind(self._prefix + name, _DOCUMENTATION[name], labels=list(labels))
                families.setdefault(name, made).add_metric(list(labels.values()), value)
        yield from families.values()

    def _processes(self) -> list[tuple[dict[str, str], int | str]]:
        if self._pid is not _this_process:
            return [({}, self._pid())]
        sharing = self._registry.storage.list_processes() if self._registry is not None else {}
        return [({"worker": worker}, pid) for worker, pid in sharing.items()] or [({}, self._pid())]

    def _readings(self, pid: int | str) -> Iterator[_Reading]:
        if not (self._proc / "stat").exists():
            yield from _of_the_interpreter() if pid in {"self", os.getpid()} else ()
            return
        process = self._proc / str(pid).strip()
        for read in (self._from_stat, _descriptors, _descriptor_limit):
            with suppress(OSError, ValueError, IndexError):  # gone meanwhile, not ours to read, or written otherwise
                yield from list(read(process))

    def _from_stat(self, process: Path) -> Iterator[_Reading]:
        ticks = os.sysconf("SC_CLK_TCK")
        # Fields are counted from behind the command, which may have blanks and brackets in it.
        fields = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
        yield _Reading("cpu_seconds", (int(fields[11]) + int(fields[12])) / ticks)
        yield _Reading("virtual_memory_bytes", int(fields[20]))
        yield _Reading("resident_memory_bytes", int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
        yield _Reading("threads", int(fields[17]))
        yield _Reading("start_time_seconds", self._boot_time() + int(fields[19]) / ticks)

    def _boot_time(self) -> float:
        lines = (self._proc / "stat").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def _descriptors(process: Path) -> Iterator[_Reading]:
    yield _Reading("open_fds", sum(1 for _ in (process / "fd").iterdir()))


def _descriptor_limit(process: Path) -> Iterator[_Reading]:
    for line in (process / "limits").read_text().splitlines():
        if line.startswith("Max open files"):
            yield _Reading("max_fds", float(line.split()[3].replace("unlimited", "inf")))


def _of_the_interpreter() -> Iterator[_Reading]:
    yield _Reading("cpu_seconds", time.process_time())
    yield _Reading("threads", threading.active_count())
    with suppress(ImportError):
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield _Reading("max_fds", float("inf") if limit == resource.RLIM_INFINITY else limit)


PROCESS_COLLECTOR = ProcessCollector()
"""The collector of this process in `REGISTRY`."""
