"""The self-metrics: what a registry exposes about the library itself, such as errors, dropped data and scrapes.

To add a self-metric, add its `Descriptor` and a method that counts it here. A family is exposed from its first event
on.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol, final

from asyncmetrics.children.table import ChildTable
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.storage.protocol import Storage

__all__ = ("SelfMetrics", "get_self_metrics")

_log = logging.getLogger("asyncmetrics")

_DROPPED_OBSERVATIONS = Descriptor(
    "counter",
    "asyncmetrics_dropped_observations",
    "Observations that were dropped: of NaN, or of calls that raised before their labels were chosen.",
    ("metric",),
)
_OVERFLOWED_LABEL_SETS = Descriptor(
    "counter", "asyncmetrics_overflowed_label_sets", "Uses of new label sets beyond the metric's limit.", ("metric",)
)
_INTERNAL_ERRORS = Descriptor(
    "counter",
    "asyncmetrics_internal_errors",
    "Errors inside the instrumentation that the application did not see.",
    ("where",),
)
_COLLECTOR_ERRORS = Descriptor(
    "counter",
    "asyncmetrics_collector_errors",
    "Collections in which a collector or callback failed or was late.",
    ("collector",),
)
_SINGLE_WORKER_COLLECTIONS = Descriptor(
    "counter",
    "asyncmetrics_single_worker_collections",
    "Collections with the numbers of one worker, where several share their metrics.",
    ("collector",),
)
_OMITTED_SAMPLES = Descriptor(
    "counter",
    "asyncmetrics_omitted_samples",
    "Samples that were left out of expositions because the format forbids them or cannot hold them.",
    ("family", "format"),
)
_SCRAPES = Descriptor("counter", "asyncmetrics_scrapes", "Scrapes over HTTP, by their outcome.", ("outcome",))
_SCRAPE_DURATION = Descriptor(
    "summary",
    "asyncmetrics_scrape_duration_seconds",
    "Time from the request of a scrape until its last chunk was sent.",
    unit="seconds",
)
_SCRAPE_CHUNKS = Descriptor("summary", "asyncmetrics_scrape_chunks", "Chunks in which a scrape was sent.")

# The program chooses the values of these labels, and they are few. There is a limit since metric names may come from
# users: 1000 counters take 0.4 MB.
_MAX_CHILDREN = 1000


@final
class SelfMetrics:
    """The self-metrics of one registry, and the collector that returns them with the families of the storage."""

    blocking = False

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._tables: dict[str, ChildTable[Any]] = {}

    def count_internal_error(self, where: str, *, is_logged: bool = True) -> None:
        """Count an error inside the instrumentation; log the first one of each ``where`` with its traceback.

        What measures log records must not write one: ``is_logged`` is False there.
        """
        if self._count(_INTERNAL_ERRORS, where) and is_logged:
            error = sys.exc_info()[1]
            _log.warning("internal errors in %s; later ones are counted and not logged", where, exc_info=error)

    def count_collector_error(self, collector: str, error: BaseException | None = None) -> None:
        """Count a collector or callback that failed or was late; log the first failure of each."""
        if self._count(_COLLECTOR_ERRORS, collector):
            problem = error or sys.exc_info()[1]
            _log.warning("collector errors in %s; later ones are counted and not logged", collector, exc_info=problem)

    def count_exemplar_error(self, metric: str, error: BaseException) -> None:
        """Count a failure of the function that ``metric`` asks for exemplars; log the first failure of any."""
        if self._count(_INTERNAL_ERRORS, "exemplars"):
            problem = "%s has no exemplar: the function in exemplars= failed; later failures are counted and not logged"
            _log.warning(problem, metric, exc_info=error)

    def count_dropped_observation(self, metric: str, reason: str = "it is NaN") -> None:
        """Count an observation that ``metric`` dropped; log the first one of each metric."""
        if self._count(_DROPPED_OBSERVATIONS, metric):
            _log.warning("%s dropped an observation: %s; later ones are counted and not logged", metric, reason)

    def count_overflowed_label_set(self, metric: str) -> None:
        """Count a use of a new label set beyond ``max_children`` of ``metric``."""
        self._open(_OVERFLOWED_LABEL_SETS).find((metric,)).inc()

    def count_single_worker(self, collector: str, advice: str) -> None:
        """Count a collection in which ``collector`` has the numbers of one of several workers; log the first one."""
        if self._count(_SINGLE_WORKER_COLLECTIONS, collector):
            _log.warning("%s exposes the numbers of one worker, and there are several: %s", collector, advice)

    def count_omitted_sample(self, family: str, format: str, reason: str) -> None:
        """Count a sample of ``family`` that ``format`` could not hold; log the first one of each family."""
        table = self._open(_OMITTED_SAMPLES)
        key = (family, format)
        is_first = key not in table.by_values and all(values[0] != family for values in list(table.by_values))
        table.find(key).inc()
        if is_first:
            problem = "left a sample of %s out of the %s format: %s; later ones are counted and not logged"
            _log.warning(problem, family, format, reason)

    def count_scrape(self, outcome: str) -> None:
        """Count a scrape over HTTP by its outcome."""
        self._open(_SCRAPES).find((outcome,)).inc()

    def observe_scrape(self, seconds: float, chunks: int) -> None:
        """Observe how long a scrape took and in how many chunks it was sent."""
        self._open(_SCRAPE_DURATION).find(()).observe(seconds)
        self._open(_SCRAPE_CHUNKS).find(()).observe(chunks)

    def prepare(self) -> Iterator[None]:
        """Do the slow part of `collect`, a short step at a time."""
        return self._storage.prepare()

    def collect(self) -> list[Metric]:
        """Return the self-metrics and the families that the storage adds."""
        now = time.time()
        own = [LiveFamily(table.descriptor, table.read, now=now) for table in list(self._tables.values())]
        return [*own, *self._storage.collect()]

    def _count(self, descriptor: Descriptor, value: str) -> bool:
        """Count an event with a label; return whether it is the first one of this value."""
        table = self._open(descriptor)
        is_first = (value,) not in table.by_values
        table.find((value,)).inc()
        return is_first

    def _open(self, descriptor: Descriptor) -> ChildTable[Any]:
        table = self._tables.get(descriptor.name)
        if table is None:
            opened = self._storage.open(descriptor, self, max_children=_MAX_CHILDREN)
            table = self._tables.setdefault(descriptor.name, opened)  # another thread may have been faster
        return table


class _HasSelfMetrics(Protocol):
    @property
    def _self_metrics(self) -> SelfMetrics: ...


def get_self_metrics(registry: _HasSelfMetrics) -> SelfMetrics:
    """Return the self-metrics of ``registry``, in which other parts of the package count their events."""
    return registry._self_metrics
