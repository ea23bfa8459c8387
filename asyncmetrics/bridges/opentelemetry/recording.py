"""From the attributes of a measurement to the child that records it.

*Rules.*

1. Never raise into the application: what cannot be recorded is dropped, counted, and logged once for each family.
2. Pass on what a signal handler raises: it is for the program.
3. Keep the memory of the look-up tables bounded, whatever attributes come.

*Theory of operation.* `Recorder.known` maps the items of an attribute mapping to the method that records for them, so
that a measurement with known attributes costs one look-up (benchmarks/otel_in.py). Only texts are keys there: ``1``,
``True`` and ``1.0`` are one key of a dict, and three different label values. ``_typed`` has numbers by their types,
too. Other values, such as lists, are converted each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

from asyncmetrics.bridges.opentelemetry.family import InstrumentFamily
from asyncmetrics.bridges.opentelemetry.naming import make_labels
from asyncmetrics.errors import AmountError, AmountTypeError, show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.model.kinds import KINDS

__all__ = ("Attributes", "Record", "Recorder")

Attributes: TypeAlias = "Mapping[str, Any] | None"
Record: TypeAlias = "Callable[[float], object]"

_NUMBERS = frozenset({int, float, bool})
_HASHED = _NUMBERS | {str}
_MAX_KNOWN = 10_000  # attribute mappings, whose items may come in any order: about 3 MB


@final
class Recorder:
    """Finds the children of one instrument. ``method`` is that of a child which records, such as ``inc``.

    ``scope`` are the labels of the instrumentation scope.
    """

    def __init__(self, family: InstrumentFamily, method: str, scope: Mapping[str, str]) -> None:
        kind = KINDS[family.descriptor.kind]
        self.known: dict[tuple[object, ...], Record] = {}
        self._typed: dict[tuple[object, ...], Record] = {}
        family.caches += (self.known, self._typed)
        self._family = family
        self._method = method
        self._scope = scope
        self._own_label = kind.own_label

    def find(self, attributes: Attributes) -> Record:
        """Return the method that records for ``attributes``. Raises what their texts raise, and `StorageError`."""
        items = tuple(attributes.items()) if attributes else ()
        types = tuple(map(type, attributes.values())) if attributes else ()
        if not _HASHED.issuperset(types):
            is_text = all(issubclass(kind, str) for kind in types)
            return self._make(attributes, self.known if is_text else None, items)
        if not _NUMBERS.isdisjoint(types):
            key = (items, types)
            return self._typed.get(key) or self._make(attributes, self._typed, key)
        return self.known.get(items) or self._make(attributes, self.known, items)

    def find_child(self, attributes: Attributes) -> Any:
        """Return the child for ``attributes``. Raises as `find`."""
        return self._family.find(self.make_labels(attributes))

    def make_labels(self, attributes: Attributes) -> dict[str, str]:
        """Return the labels for ``attributes``, those of the scope too. Raises what the texts of the values raise."""
        return {**(make_labels(attributes, self._own_label) if attributes else {}), **self._scope}

    def _make(
        self,
        attributes: Attributes,
        cache: dict[tuple[object, ...], Record] | None = None,
        key: tuple[object, ...] = (),
    ) -> Record:
        child = self.find_child(attributes)
        record: Record = getattr(child, self._method)
        if cache is not None and not self._family.is_overflow(child):  # each use beyond the limit is counted
            if len(cache) >= _MAX_KNOWN:
                cache.clear()
            cache[key] = record
        return record

    def record_slowly(self, amount: float, attributes: Attributes, error: BaseException | None = None) -> None:
        """Record ``amount`` for attributes that are new or not text, or after the quick way has raised ``error``."""
        if error is not None:
            pass_interruption(error)
        try:
            _check_amount(amount)  # first: a gauge must not get a child that was never set
            self.find(attributes)(amount)
        except Exception as problem:  # noqa: BLE001  # of wrong amounts and attributes
            pass_interruption(problem)
            self.drop(_explain(problem))

    def drop(self, reason: str) -> None:
        """Count a measurement that is dropped; log the first one of the family."""
        self._family.events.count_dropped_observation(self._family.descriptor.name, reason)


def _check_amount(amount: object) -> None:
    if isinstance(amount, (str, bytes, bytearray)):  # which float() would convert
        raise TypeError(f"expected a number, got {show(amount)}")
    float(amount)  # type: ignore[arg-type]  # the call is the check


def _explain(problem: Exception) -> str:
    """Return the message of an error, without the name of the part that the child of `AmountError` has."""
    text = str(problem)
    if isinstance(problem, (AmountError, AmountTypeError)):
        text = text.partition(": ")[2].removesuffix("; the value is unchanged.")
    return text
