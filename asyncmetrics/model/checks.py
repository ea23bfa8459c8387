"""Checks of arguments: each raises a `DefinitionError` with the owner, the argument, what it must be, and what came.

``owner`` is the metric that the argument declares. An option of a function has no owner: its name says enough. Every
check shows the value as the program wrote it, and what to write instead where the value says what was meant.

These functions run where a metric is declared or a server starts, never where a metric is used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from asyncmetrics.errors import DefinitionError, show

__all__ = (
    "check_choice",
    "check_flag",
    "check_limit",
    "check_mapping",
    "check_path",
    "check_seconds",
    "check_text",
    "list_items",
    "list_texts",
    "make_refusal",
    "suggest_int",
)

_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_match_duration: Callable[[str], re.Match[str] | None] = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*").fullmatch


def make_refusal(argument: str, expected: str, value: object, remedy: str = "", owner: str = "") -> DefinitionError:
    """Return the error for ``value``, which is not what ``expected`` says; ``remedy`` is what to write instead."""
    return _make_refusal(argument, expected, _describe(value), remedy, owner)


def _make_refusal(argument: str, expected: str, given: str, remedy: str, owner: str) -> DefinitionError:
    end = f", got {given}{remedy and f': {remedy}'}"
    if not owner:
        return DefinitionError(argument, f"expected {expected}{end}")
    return DefinitionError(owner, f"expected {argument}= to be {expected}{end}")


def check_text(argument: str, value: object, example: str = "", owner: str = "") -> None:
    """Raise `DefinitionError` unless ``value`` is a str."""
    if not isinstance(value, str):
        raise make_refusal(argument, f"a str{example and f' such as {example!r}'}", value, owner=owner)


def check_path(argument: str, value: object) -> None:
    """Raise `DefinitionError` unless ``value`` is a path: a str that is not empty, or an `os.PathLike`."""
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str) or not path:
        raise make_refusal(argument, "a path as a str or an os.PathLike", value)


def check_choice(argument: str, value: object, choices: Iterable[object], owner: str = "") -> None:
    """Raise `DefinitionError` unless ``value`` is one of ``choices``."""
    allowed = list(choices)
    if value not in allowed:
        expected = f"one of {tuple(allowed)}" if len(allowed) > 2 else " or ".join(map(repr, allowed))
        raise _make_refusal(argument, expected, show(value), "", owner)


def check_flag(argument: str, value: object, owner: str = "") -> None:
    """Raise `DefinitionError` unless ``value`` is True or False: any text would count as True."""
    if not isinstance(value, bool):
        raise make_refusal(argument, "True or False", value, owner=owner)


def check_limit(argument: str, value: object, owner: str = "", expected: str = "1 or more, as an int") -> None:
    """Raise `DefinitionError` unless ``value`` is an int of 1 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise make_refusal(argument, expected, value, suggest_int(value), owner)


def check_seconds(
    argument: str, value: object, owner: str = "", expected: str = "more than 0 seconds, as a finite number"
) -> None:
    """Raise `DefinitionError` unless ``value`` is a finite number of more than 0 seconds."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= sys.float_info.max:
        raise make_refusal(argument, expected, value, _suggest_seconds(value), owner)


def check_mapping(argument: str, value: object, what: str, owner: str = "") -> None:
    """Raise `DefinitionError` unless ``value`` is a mapping; ``what`` says of what to what, such as 'names to text'."""
    if not isinstance(value, Mapping):
        raise make_refusal(argument, f"a mapping of {what}", value, owner=owner)


def list_items(argument: str, values: object, expected: str, owner: str = "", remedy: str = "") -> tuple[object, ...]:
    """Return ``values`` as a tuple. Raises `DefinitionError` for text, a mapping, or what cannot be iterated over.

    Each is a common mistake that Python would iterate over: the characters of a text, the keys of a mapping.
    """
    if isinstance(values, (str, bytes, bytearray, Mapping)) or not isinstance(values, Iterable):
        raise make_refusal(argument, expected, values, remedy, owner)
    return tuple(values)


def list_texts(argument: str, values: object, what: str, owner: str = "") -> tuple[str, ...]:
    """Return ``values``, a sequence of ``what``, as a tuple of str.

    Raises `DefinitionError` for a set as well: its order, which the values of a label follow, is another one in each
    process.
    """
    remedy = f"write [{values!r}]" if isinstance(values, str) else ""
    if isinstance(values, AbstractSet) and not isinstance(values, _ORDERED):
        remedy = f"a set has no order, write {sorted(map(str, values))}"
        raise make_refusal(argument, f"a list of {what}", values, remedy, owner)
    items = list_items(argument, values, f"a list of {what}", owner, remedy)
    wrong = next((item for item in items if not isinstance(item, str)), None)
    if len(items) != sum(isinstance(item, str) for item in items):
        raise make_refusal(argument, f"a list of {what}, each a str", wrong, f"it is in {show(list(items))}", owner)
    return tuple(item for item in items if isinstance(item, str))


_ORDERED: tuple[type, ...] = (type({}.keys()), type({}.items()))  # sets by their operations, with the order of a dict


def suggest_int(value: object) -> str:
    """Return ``write 9000`` for the text '9000' or the number 9000.0, and else an empty text."""
    if isinstance(value, float) and value.is_integer():
        return f"write {value:.0f}"
    return f"write {int(value)}" if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value) else ""


def _suggest_seconds(value: object) -> str:
    """Return ``write 3600`` for the text '1h' or a timedelta of one hour, and else an empty text."""
    from datetime import timedelta  # 1 ms, and only for a message

    if isinstance(value, timedelta):
        return f"write {value.total_seconds():g}"
    parts = _match_duration(value.lower()) if isinstance(value, str) else None
    factor = _UNITS.get(parts[2] or "s") if parts else None
    return f"write {float(parts[1]) * factor:.10g}" if parts and factor else ""


def _describe(value: object) -> str:
    """Return a value for a message; a str and a class, which are easily mistaken for another thing, by these words."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the string {show(value)}" if isinstance(value, str) else show(value)
