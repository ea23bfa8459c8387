"""`CollectorRegistry` and the default `REGISTRY`, with the private attributes of prometheus_client that programs read.

`REGISTRY` is the default registry of asyncmetrics: what is registered in one is exposed by the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

from asyncmetrics import registry as core
from asyncmetrics.errors import DuplicateMetricError, show
from asyncmetrics.loops import RUNNING
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.registry import Collector, RestrictedRegistry
from asyncmetrics.storage.all_workers import choose_registry_storage

__all__ = ("REGISTRY", "Collector", "CollectorRegistry", "DuplicateTimeseries", "Metric", "RestrictedRegistry")


class DuplicateTimeseries(DuplicateMetricError):
    """A collector is not registered, because the registry already has some of its names: ``duplicates``."""

    def __init__(
        self,
        duplicates: Iterable[str],
        existing: object = None,
        rejected: object = None,
        problem: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(set(duplicates), existing, rejected, problem, advice)
        text = f"Duplicated timeseries in CollectorRegistry: {set(duplicates)}"
        self.args = (text if existing is None else f"{text}: {self.args[0]}",)


class CollectorRegistry(core.CollectorRegistry):
    """A set of collectors, collected together: `asyncmetrics.CollectorRegistry`.

    If ``PROMETHEUS_MULTIPROC_DIR`` is set, workers share its metrics, as those of the default registry.
    """

    _make_storage = staticmethod(choose_registry_storage)

    def register(self, collector: Collector, *, loop: object = RUNNING) -> None:
        """Add a collector. Raises `DuplicateTimeseries` (a ValueError) if one of its names is taken."""
        try:
            super().register(collector, loop=loop)
        except DuplicateMetricError as error:
            raise DuplicateTimeseries(error.duplicates, error.existing, error.rejected) from None

    @property
    def _collector_to_names(self) -> Mapping[Collector, list[str]]:
        return MappingProxyType({one: self._get_names(one) for one in self._registrations.get().list_collectors()})

    @property
    def _names_to_collectors(self) -> Mapping[str, Collector]:
        names = {name: one for one, names in self._collector_to_names.items() for name in names}
        return MappingProxyType(names)

    @property
    def _target_info(self) -> Mapping[str, str] | None:
        return self.get_target_info()

    @property
    def _auto_describe(self) -> bool:
        return self._asks_nameless

    @property
    def _lock(self) -> Any:
        return threading.Lock()  # this registry holds none: two programs that lock it need not wait for each other

    def _get_names(self, collector: Any) -> list[str]:
        """Return the names that a collector describes, with all suffixes of their kinds."""
        describe = getattr(collector, "describe", None)
        families: Iterable[Metric] = () if describe is None else describe()
        return [
            name
            for family in families
            for name in (family.name, *(family.name + suffix for suffix in KINDS[family.type].suffixes if suffix))
        ]

    def __repr__(self) -> str:
        return show(object.__repr__(self))


_is_reloaded = (
    "REGISTRY" in globals()
)  # by a test that wants a fresh default registry, as prometheus_client's gives one
core.REGISTRY.__class__ = CollectorRegistry  # one registry for both libraries, and both find their own names on it
REGISTRY = CollectorRegistry(auto_describe=True) if _is_reloaded else cast(CollectorRegistry, core.REGISTRY)
"""The default registry, which is that of asyncmetrics."""
