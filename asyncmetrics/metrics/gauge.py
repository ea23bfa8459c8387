"""Gauges: numbers that go up and down."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.descriptor import GAUGE_MODES, GaugeMode, Kind
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.storage.operations import GaugeFunction, GaugeLike

__all__ = ("Gauge",)


class _Resolving(GaugeLike):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> GaugeLike: ...

    def inc(self, amount: float = 1.0) -> None:
        """Go up by ``amount``."""
        self._resolve().inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        """Go down by ``amount``."""
        self._resolve().dec(amount)

    def set(self, value: float) -> None:
        """Become ``value``; NaN and the infinities are legal."""
        self._resolve().set(value)

    def set_function(self, f: GaugeFunction) -> None:
        """Call ``f`` at every collection and take its result; see `GaugeLike.set_function`."""
        self._resolve().set_function(f)


class _ContextGauge(ContextView, _Resolving):
    __slots__ = ()


@final
class Gauge(MetricBase[GaugeLike], _Resolving):
    """A number that goes up and down: what is in a queue, what is running, a temperature.

    ``multiprocess_mode`` says how the gauges of several worker processes become one. For the other arguments see
    `MetricBase`.

        >>> from asyncmetrics import CollectorRegistry, Gauge
        >>> registry = CollectorRegistry()
        >>> waiting = Gauge("queue_size", "Jobs waiting.", registry=registry)
        >>> waiting.set(7)
        >>> waiting.dec()
        >>> registry.get_sample_value("queue_size")
        6.0
    """

    _kind: ClassVar[Kind] = "gauge"
    _operations: ClassVar[tuple[str, ...]] = ("inc", "dec", "set", "set_function")
    _view: ClassVar[type[ContextView]] = _ContextGauge

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        *,
        multiprocess_mode: GaugeMode = "all",
        context_labels: Iterable[str] = (),
        max_children: int | None = 100_000,
        ttl: float | None = None,
        exist_ok: bool = False,
    ) -> None:
        if multiprocess_mode not in GAUGE_MODES:
            raise DefinitionError(
                name, f"expected a multiprocess_mode out of {list(GAUGE_MODES)}, got {multiprocess_mode!r}"
            )
        options: dict[str, Any] = {
            "context_labels": context_labels,
            "max_children": max_children,
            "ttl": ttl,
            "exist_ok": exist_ok,
        }
        super().__init__(
            name, documentation, labelnames, namespace, subsystem, unit, registry, mode=multiprocess_mode, **options
        )
