"""Gauges: numbers that go up and down."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from asyncmetrics.children.callbacks import check_callback
from asyncmetrics.children.interfaces import GaugeChild, GaugeFunction, Sampler
from asyncmetrics.errors import LabelError
from asyncmetrics.loops import RUNNING, make_home
from asyncmetrics.metrics._base import MetricBase, Shape
from asyncmetrics.metrics._resolvers import ContextChild, Resolver
from asyncmetrics.model.checks import check_choice
from asyncmetrics.model.descriptor import GAUGE_MODES, GaugeMode
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("Gauge",)


class _GaugeOperations(Resolver[GaugeChild], GaugeChild):
    __slots__ = ()

    def inc(self, amount: float = 1.0) -> None:
        """Increase the gauge by ``amount``; see `GaugeChild.inc`."""
        self._resolve().inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        """Decrease the gauge by ``amount``; see `GaugeChild.dec`."""
        self._resolve().dec(amount)

    def set(self, value: float) -> None:
        """Set the gauge to ``value``; see `GaugeChild.set`."""
        self._resolve().set(value)

    def set_function(self, f: GaugeFunction, *, loop: object = RUNNING) -> None:
        """Call ``f`` at every collection and set the gauge to its result; see `GaugeChild.set_function`."""
        self._resolve().set_function(f, loop=loop)


class _ContextGauge(ContextChild[GaugeChild], _GaugeOperations):
    __slots__ = ()


class Gauge(
    MetricBase[GaugeChild, NoReturn, NoReturn, GaugeMode, NoReturn, NoReturn, NoReturn, NoReturn], _GaugeOperations
):
    """A number that goes up and down: the length of a queue, the calls that run now, a temperature.

    ``multiprocess_mode`` says how the gauges of several workers are merged. For the other arguments see
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
    _context_child: ClassVar[type[ContextChild[Any]]] = _ContextGauge

    def _make_shape(self, name: str, *, multiprocess_mode: GaugeMode = "all") -> Shape:
        check_choice("multiprocess_mode", multiprocess_mode, GAUGE_MODES, name)
        return Shape(mode=multiprocess_mode)

    def collect_from(self, f: Sampler, *, blocking: bool = True, loop: object = RUNNING) -> None:
        """Call ``f`` at every collection and replace all children: it returns a mapping of label values to numbers.

        A child whose label values are not in the mapping is removed. If ``f`` raises or is late, all children are
        removed and the error is counted in ``asyncmetrics_collector_errors_total``. ``f`` may be a coroutine function,
        which runs on its home loop: the one that runs at this call, or ``loop`` (`CollectorRegistry.register`). Workers
        that share their metrics each call their ``f`` once a second; ``multiprocess_mode`` says how the numbers are
        merged. ``blocking=False`` promises that ``f`` never blocks, so that a scrape calls it without its own thread.

        Raises `LabelError` for a gauge without labels: use `set_function` there. Raises `CallbackTypeError` (a
        TypeError) for what cannot be called.

            >>> from asyncmetrics import CollectorRegistry, Gauge
            >>> registry = CollectorRegistry()
            >>> waiting = Gauge("queue_size", "Jobs waiting.", ["queue"], registry=registry)
            >>> waiting.collect_from(lambda: {("mail",): 3, ("print",): 0})
            >>> registry.get_sample_value("queue_size", {"queue": "mail"})
            3.0
        """
        if not self.descriptor.all_labelnames:
            raise LabelError(self.descriptor.exposed_name, "has no labels to distinguish children by: use set_function")
        name = self.descriptor.exposed_name
        check_callback(name, "collect_from", f, "a mapping of label values to numbers, such as {('mail',): 3}")
        home = make_home(loop)
        self._children.collect_from(f, home, is_blocking=blocking)
