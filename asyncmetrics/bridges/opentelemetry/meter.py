"""The meter: makes the instruments of one instrumentation scope.

*Rules.* Never raise into the library that measures: an instrument that cannot be made does nothing. Return the same
instrument for the same name (in any case), kind and unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, final

from opentelemetry import metrics as api
from opentelemetry.metrics import _Gauge, _NoOpGauge  # in its __all__

from asyncmetrics.bridges.opentelemetry.family import InstrumentFamily
from asyncmetrics.bridges.opentelemetry.instruments import (
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from asyncmetrics.bridges.opentelemetry.observing import (
    CallbackObserver,
    CounterObserver,
    GaugeObserver,
    ObservableCallback,
)
from asyncmetrics.bridges.opentelemetry.recording import Recorder
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.model.kinds import DeclaredKind

__all__ = ("InstrumentKind", "Meter", "OpenFamily", "Reporter")

I = TypeVar("I")  # noqa: E741  # an instrument


def _make_key(make: object, name: object, unit: object) -> tuple[object, ...]:
    """Return what one instrument alone has. Raises `DefinitionError` for a name that is no text."""
    if not isinstance(name, str) or not name.strip():
        raise make_refusal("name", "a str such as 'http.server.active_requests'", name)
    return make, name.strip().lower(), unit


class InstrumentKind(NamedTuple):
    """How a kind of instrument is exposed: the kind of its family, and how the gauges of several workers are merged.

    ``method`` is that of a child which records. ``has_ratio`` is whether the unit ``1`` is exposed as ``ratio``.
    """

    kind: DeclaredKind
    method: str
    mode: GaugeMode = "all"
    has_ratio: bool = False


# A number that is added up is the sum of the live workers. Any other gauge has the number of each live worker.
_COUNTER = InstrumentKind("counter", "inc")
_UP_DOWN_COUNTER = InstrumentKind("gauge", "inc", "livesum")
_GAUGE = InstrumentKind("gauge", "set", "liveall", has_ratio=True)
_HISTOGRAM = InstrumentKind("histogram", "observe")

OpenFamily = Callable[[InstrumentKind, str, str, str, "Sequence[float] | None"], InstrumentFamily]
"""Returns the family for a kind, name, unit, description and buckets of an instrument. Raises if there can be none."""

Reporter = Callable[[object, Exception], None]
"""Counts and logs that an instrument, by its name, cannot be measured."""


@final
class Meter(api.Meter):
    """The instruments of one scope, with the labels ``scope``."""

    def __init__(
        self,
        name: str,
        version: str | None,
        schema_url: str | None,
        *,
        scope: Mapping[str, str],
        open_family: OpenFamily,
        report: Reporter,
    ) -> None:
        super().__init__(name, version, schema_url)
        self._scope = scope
        self._open_family = open_family
        self._report = report
        self._made: dict[tuple[object, ...], Any] = {}
        self._observers: dict[tuple[object, ...], list[CallbackObserver]] = {}

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        """Return the counter of this name."""
        made = self._make(Counter, _COUNTER, name, unit, description)
        return made or api.NoOpCounter(name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> api.UpDownCounter:
        """Return the up-down counter of this name."""
        made = self._make(UpDownCounter, _UP_DOWN_COUNTER, name, unit, description)
        return made or api.NoOpUpDownCounter(name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> _Gauge:
        """Return the gauge of this name."""
        made = self._make(Gauge, _GAUGE, name, unit, description)
        return made or _NoOpGauge(name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        """Return the histogram of this name; ``explicit_bucket_boundaries_advisory`` are the bounds of its buckets."""
        buckets = explicit_bucket_boundaries_advisory
        made = self._make(Histogram, _HISTOGRAM, name, unit, description, buckets)
        return made or api.NoOpHistogram(name, unit, description)

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[ObservableCallback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableCounter:
        """Return the observable counter of this name, which asks the ``callbacks`` too from now on."""
        made = self._observe(ObservableCounter, CounterObserver, _COUNTER, name, callbacks, unit, description)
        return made or api.NoOpObservableCounter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[ObservableCallback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableUpDownCounter:
        """Return the observable up-down counter of this name, which asks the ``callbacks`` too from now on."""
        made = self._observe(
            ObservableUpDownCounter, GaugeObserver, _UP_DOWN_COUNTER, name, callbacks, unit, description
        )
        return made or api.NoOpObservableUpDownCounter(name, callbacks, unit, description)

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[ObservableCallback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableGauge:
        """Return the observable gauge of this name, which asks the ``callbacks`` too from now on."""
        made = self._observe(ObservableGauge, GaugeObserver, _GAUGE, name, callbacks, unit, description)
        return made or api.NoOpObservableGauge(name, callbacks, unit, description)

    def _make(
        self,
        make: Callable[[Recorder], I],
        kind: InstrumentKind,
        name: str,
        unit: str,
        description: str,
        buckets: Sequence[float] | None = None,
    ) -> I | None:
        """Return the instrument, or None if it cannot be made."""
        try:
            key = _make_key(make, name, unit)
            if key not in self._made:
                family = self._open_family(kind, name, unit, description, buckets)
                instrument = make(Recorder(family, kind.method, self._scope))
                self._made.setdefault(key, instrument)
            made: I = self._made[key]
        except Exception as error:  # noqa: BLE001  # no instrument may fail the library that measures
            pass_interruption(error)
            self._report(name, error)
            return None
        return made

    def _observe(
        self,
        make: Callable[[], I],
        observe: Callable[[InstrumentFamily, Recorder, ObservableCallback], CallbackObserver],
        kind: InstrumentKind,
        name: str,
        callbacks: Iterable[ObservableCallback] | None,
        unit: str,
        description: str,
    ) -> I | None:
        """Return the instrument, or None if it cannot be made; have its callbacks asked."""
        try:
            key = _make_key(make, name, unit)
            family = self._open_family(kind, name, unit, description, None)
            observers = self._observers.setdefault(key, [])
            for callback in callbacks or ():
                if all(one.callback is not callback for one in observers):
                    observers.append(observe(family, Recorder(family, kind.method, self._scope), callback))
            made: I = self._made.setdefault(key, make())
        except Exception as error:  # noqa: BLE001  # as above
            pass_interruption(error)
            self._report(name, error)
            return None
        return made
