"""`MultiProcessCollector`: the metrics of all workers, read in any process that has PROMETHEUS_MULTIPROC_DIR.

The workers share their metrics without it, and the default registry of each exposes those of all. This module is for
programs that create the collector, and for a process that exposes what others count.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

from asyncmetrics.model.family import Metric, copy_family
from asyncmetrics.model.samples import Sample
from asyncmetrics.prometheus_client.metrics import Gauge
from asyncmetrics.prometheus_client.registry import REGISTRY
from asyncmetrics.prometheus_client.utils import floatToGoString
from asyncmetrics.registry.sources import LiveCollector
from asyncmetrics.storage.all_workers import get_all_workers
from asyncmetrics.storage.named import find_multiprocess_path

__all__ = ("Gauge", "Metric", "MultiProcessCollector", "Sample", "floatToGoString", "mark_process_dead")

_SUMMED = frozenset({"counter", "histogram", "summary"})


class MultiProcessCollector(LiveCollector):
    """A collector of the metrics that all processes have which share in ``path``, and register with ``registry``.

    ``path`` is the directory of ``PROMETHEUS_MULTIPROC_DIR`` unless another is given, whose processes are then read.
    ``registry`` is any object with a method ``register``, or None. The metrics of all registries are collected, those
    of ended processes too, but no custom collectors. Registered with the default registry, which has the metrics of all
    workers already, it adds those of the other registries.

    Raises ValueError if there is no such directory.
    """

    def __init__(self, registry: Any, path: str | None = None) -> None:
        directory = _find_path() if path is None else os.fspath(path)
        if not directory or not os.path.isdir(directory):  # noqa: PTH112  # a path may be no text for pathlib
            raise ValueError("env PROMETHEUS_MULTIPROC_DIR is not set or not a directory")
        self._path = directory
        self._is_default = registry is REGISTRY
        self._workers = get_all_workers(directory, is_explicit=path is not None)
        if registry:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the families, with the numbers of all processes."""
        for family in self.collect_live():
            yield copy_family(family, list(family.samples))

    def collect_live(self) -> list[Metric]:
        """Return the same families, live but for those that two registries have."""
        families: dict[str, Metric] = {}
        for family in self._workers.collect(beside_default=self._is_default):
            before = families.get(family.name)
            if before is None:
                families[family.name] = family
            elif before.type == family.type:
                families[family.name] = copy_family(before, _merge_samples(before, family))
        return list(families.values())

    @property
    def has_own_collect(self) -> bool:
        """Whether a derived class overrides `collect`."""
        return type(self).collect is not MultiProcessCollector.collect


def mark_process_dead(pid: int, path: str | None = None) -> None:
    """Do nothing: the kernel releases the files of a process when it ends."""


def _find_path() -> str:
    path = find_multiprocess_path()
    if path and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = path  # as prometheus_client does: programs read the new name
        text = "prometheus_multiproc_dir is deprecated: set PROMETHEUS_MULTIPROC_DIR"
        warnings.warn(text, DeprecationWarning, stacklevel=3)
    return path


def _merge_samples(one: Metric, other: Metric) -> list[Sample]:
    """Return the samples of both: of two of one series the sum, or of a gauge the first."""
    series: dict[object, Sample] = {}
    for sample in [*one.samples, *other.samples]:
        key = (sample.name, *sorted(sample.labels.items()))
        before = series.setdefault(key, sample)
        if before is not sample and one.type in _SUMMED:
            series[key] = sample._replace(value=before.value + sample.value)
    return list(series.values())
