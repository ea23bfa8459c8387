"""The options of a native histogram: checks of what a declaration passes."""

from __future__ import annotations

from sys import float_info
from typing import Any

from asyncmetrics.model.checks import check_limit, make_refusal
from asyncmetrics.model.native import (
    DEFAULT_MAX_BUCKETS,
    DEFAULT_SCHEMA,
    DEFAULT_ZERO_THRESHOLD,
    MAX_SCHEMA,
    MIN_SCHEMA,
    NativeOptions,
)

__all__ = ("DEFAULT_LIMITS", "make_native_options")

DEFAULT_LIMITS: dict[str, Any] = {
    "max_buckets": DEFAULT_MAX_BUCKETS,
    "zero_threshold": DEFAULT_ZERO_THRESHOLD,
    "max_zero_threshold": 0.0,
    "min_reset_seconds": 0.0,
}
"""The options besides ``native``, with their defaults."""


def make_native_options(owner: str, native: object, limits: dict[str, Any]) -> NativeOptions | None:
    """Return the options of a native histogram, None for a classic one; ``limits`` has those of `DEFAULT_LIMITS`.

    Raises `DefinitionError`, which names ``owner``.
    """
    schema = DEFAULT_SCHEMA if native is True else native
    if native is False:
        _check_defaults(owner, limits)
        return None
    if type(schema) is not int or not MIN_SCHEMA <= schema <= MAX_SCHEMA:
        expected = f"True, False or a schema from {MIN_SCHEMA} (widest buckets) to {MAX_SCHEMA}"
        raise make_refusal("native", expected, native, owner=owner)
    if limits["max_buckets"] is not None:
        check_limit("max_buckets", limits["max_buckets"], owner, "an int of 1 or more, or None")
    numbers = {name: _to_number(owner, name, limits[name]) for name in limits if name != "max_buckets"}
    return NativeOptions(schema, limits["max_buckets"], **numbers)


def _check_defaults(owner: str, limits: dict[str, Any]) -> None:
    """Raise `DefinitionError` for an option that a classic histogram does not have."""
    for name, default in DEFAULT_LIMITS.items():
        if limits[name] != default:
            expected = f"True, since {name}= is an option of native histograms"
            raise make_refusal("native", expected, False, owner=owner)  # the value


def _to_number(owner: str, name: str, value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= float_info.max:  # type: ignore[operator]  # a number
        unit = " seconds" if name.endswith("_seconds") else ""
        raise make_refusal(name, f"0{unit} or more, as a finite number", value, owner=owner)
    return float(value)  # type: ignore[arg-type]  # as above
