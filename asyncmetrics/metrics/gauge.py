"""Gauges: numbers that go up and down."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, final

from asyncmetrics.children.interfaces import GaugeChild, GaugeFunction
from asyncmetrics.errors import DefinitionError, LabelError
from asyncmetrics.metrics._base import ContextView, MetricBase
from asyncmetrics.model.descriptor import GAUGE_MODES, GaugeMode
from asyncmetrics.model.kinds import DeclaredKind
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("Gauge",)


class _Resolving(GaugeChild):
    __slots__ = ()

    @abstractmethod
    def _resolve(self) -> GaugeChild: ...

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
        """Call ``f`` at every collection and take its result; see `GaugeChild.set_function`."""
        self._resolve().set_function(f)


class _ContextGauge(ContextView, _Resolving):
    __slots__ = ()


@final
class Gauge(MetricBase[GaugeChild], _Resolving):
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

    _kind: ClassVar[DeclaredKind] = "gauge"
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
        self._may_wait = False
        super().__init__(
            name, documentation, labelnames, namespace, subsystem, unit, registry, mode=multiprocess_mode, **options
        )

    def collect_from(self, f: Callable[[], Mapping[tuple[object, ...], float]], *, blocking: bool = True) -> None:
        """Take all children from ``f`` at every collection: their numbers by their label values, in order.

        A child that ``f`` does not tell of is taken out; if ``f`` raises, all are, and the error is counted. Where
        workers share their metrics every worker's ``f`` is called once a second, and ``multiprocess_mode`` says what
        becomes of the numbers. ``blocking=False`` promises that ``f`` does not wait for anything, which saves a thread.
        Raises `LabelError` for a gauge without labels: that has `set_function`.

            >>> from asyncmetrics import CollectorRegistry, Gauge
            >>> registry = CollectorRegistry()
            >>> waiting = Gauge("queue_size", "Jobs waiting.", ["queue"], registry=registry)
            >>> waiting.collect_from(lambda: {("mail",): 3, ("print",): 0})
            >>> registry.get_sample_value("queue_size", {"queue": "mail"})
            3.0
        """
        if not self.descriptor.all_labelnames:
            raise LabelError(self.descriptor.name, "has no labels to tell children apart by: use set_function")
        self._may_wait = blocking
        self._children.collect_from(f)

    @property
    def blocking(self) -> bool:
        """Whether collecting may wait for something: for the application's functions."""
        return self._may_wait or super().blocking
