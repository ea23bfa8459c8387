"""Checks of the options that the expositions share: a registry is checked by `check_registry`."""

from __future__ import annotations

import sys

from asyncmetrics.errors import DefinitionError, show

__all__ = ("check_limit", "check_seconds")


def check_limit(name: str, value: object) -> None:
    """Raise `DefinitionError` unless the option ``name`` is an int of 1 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DefinitionError(name, f"expected 1 or more, as an int, got {show(value)}")


def check_seconds(name: str, value: object) -> None:
    """Raise `DefinitionError` unless the option ``name`` is a finite number of more than 0 seconds."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= sys.float_info.max:
        raise DefinitionError(name, f"expected more than 0 seconds, as a finite number, got {show(value)}")
