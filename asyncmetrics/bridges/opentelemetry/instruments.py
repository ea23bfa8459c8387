"""The instruments of OpenTelemetry's API, over children of this library.

*Rules.* `_Synchronous.measure` is one look-up and one call for known attributes (benchmarks/otel_in.py), and raises
nothing. If a child refuses an amount, nothing has been recorded, so that `Recorder.record_slowly` may try again and
count the refusal.
"""

from __future__ import annotations

from typing import final

from opentelemetry import metrics as api
from opentelemetry.context import Context
from opentelemetry.metrics import _Gauge  # in its __all__

from asyncmetrics.bridges.opentelemetry.recording import Attributes, Recorder

__all__ = (
    "Counter",
    "Gauge",
    "Histogram",
    "ObservableCounter",
    "ObservableGauge",
    "ObservableUpDownCounter",
    "UpDownCounter",
)


class _Synchronous:
    """What the instruments that the application calls have in common."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._get = recorder.known.get

    def measure(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002
        """Record ``amount`` for these attributes."""
        try:
            record = self._get(tuple(attributes.items()) if attributes else ())
            if record is not None:
                record(amount)
                return
        except Exception as error:  # noqa: BLE001  # no measurement may fail the application
            self._recorder.record_slowly(amount, attributes, error)
            return
        self._recorder.record_slowly(amount, attributes)


@final
class Counter(_Synchronous, api.Counter):
    """A counter of OpenTelemetry: ``add`` drops a negative amount."""

    add = _Synchronous.measure  # pyright: ignore[reportAssignmentType]  # of a base class


@final
class UpDownCounter(_Synchronous, api.UpDownCounter):
    """An up-down counter of OpenTelemetry, exposed as a gauge: the sum of all live workers."""

    add = _Synchronous.measure  # pyright: ignore[reportAssignmentType]  # of a base class


@final
class Gauge(_Synchronous, _Gauge):
    """A gauge of OpenTelemetry: the last number of each live worker."""

    set = _Synchronous.measure  # pyright: ignore[reportAssignmentType]  # as above


@final
class Histogram(_Synchronous, api.Histogram):
    """A histogram of OpenTelemetry."""

    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:  # noqa: ARG002
        """Observe ``amount`` for these attributes; drop a negative one, as the sum must not fall."""
        try:
            is_negative = amount < 0
        except Exception as error:  # noqa: BLE001  # the amount may be anything
            self._recorder.record_slowly(amount, attributes, error)
            return
        if is_negative:
            self._recorder.drop(f"expected an amount that is not negative, got {amount!r}")
        else:
            self.measure(amount, attributes)


class _Observable:
    """What the instruments that are asked at each collection have in common: nothing that an application calls."""

    def __init__(self) -> None:
        pass


@final
class ObservableCounter(_Observable, api.ObservableCounter):
    """An observable counter of OpenTelemetry."""


@final
class ObservableUpDownCounter(_Observable, api.ObservableUpDownCounter):
    """An observable up-down counter of OpenTelemetry, exposed as a gauge."""


@final
class ObservableGauge(_Observable, api.ObservableGauge):
    """An observable gauge of OpenTelemetry."""
