"""The amounts that children accept: real numbers, as exact floats."""

from __future__ import annotations

from asyncmetrics.children.table import Child
from asyncmetrics.errors import AmountError, AmountTypeError

__all__ = ("COUNTED", "to_amount", "to_value")

COUNTED = "a finite amount that is not negative (what goes down as well is a Gauge)"
"""The amounts that a counter accepts, for an `AmountError`."""


def to_amount(child: Child, amount: object) -> float:
    """Return ``amount`` as an exact float.

    Raises `AmountTypeError` or `AmountError`, which name the metric, for anything that no double can hold.
    """
    if isinstance(amount, (str, bytes, bytearray)):
        raise AmountTypeError(repr(child), amount)
    try:
        return float(amount)  # type: ignore[arg-type]  # the call is the check
    except OverflowError:
        raise AmountError(repr(child), amount, "a number that a double can hold") from None
    except (TypeError, ValueError):
        raise AmountTypeError(repr(child), amount) from None


def to_value(child: Child, value: object) -> float:
    """Return ``value`` as an exact float. Text is converted if the child table has ``takes_text``.

    Raises `AmountTypeError` or `AmountError`, which name the metric, for anything that no double can hold.
    """
    if not (child.table.takes_text and isinstance(value, (str, bytes, bytearray))):
        return to_amount(child, value)
    try:
        return float(value)
    except ValueError:
        raise AmountError(repr(child), value, "a number") from None
