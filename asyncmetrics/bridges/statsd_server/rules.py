"""`Rule`: one mapping of the table, as statsd_exporter has them: which names it matches, and what it makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

__all__ = ("DEFAULT_RULE", "LineKind", "Observer", "Rule", "Table", "escape_name", "expand")

LineKind: TypeAlias = Literal["counter", "gauge", "observer", "set"]
"""What the type of a line means: ``c``, ``g``, any of ``ms``, ``h`` and ``d``, or ``s``."""

Observer: TypeAlias = Literal["histogram", "summary"]

_REFERENCE = re.compile(r"\$(?:\{(\d{1,3})\}|(\d{1,3}))")
_REPEATED_HYPHEN = re.compile("--+")
_ILLEGAL = re.compile("[^a-zA-Z0-9_]")


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """What a mapping says. ``name`` and the values of ``labels`` may refer to what ``match`` has captured."""

    match: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    is_regex: bool = False
    kind: LineKind | None = None
    is_dropped: bool = False
    observer: Observer = "histogram"
    buckets: tuple[float, ...] | None = None
    help: str = ""
    ttl: float | None = None
    scale: float = 1.0
    honors_tags: bool = False


DEFAULT_RULE = Rule()


@final
@dataclass(frozen=True, slots=True)
class Table:
    """All rules in their order, and the rule of names that match none of them."""

    rules: Sequence[Rule] = ()
    unmapped: Rule = DEFAULT_RULE
    is_ordered: bool = True
    """Whether the first rule that matches wins; otherwise the one with the most literal beginning."""


def expand(template: str, captures: Sequence[str]) -> str:
    """Return ``template`` with ``$1`` and ``${1}`` replaced by the captures; by nothing where there is none."""

    def find(reference: re.Match[str]) -> str:
        number = int(reference[1] or reference[2])
        return captures[number - 1] if 0 < number <= len(captures) else ""

    return _REFERENCE.sub(find, template)


def escape_name(name: str) -> str:
    """Return ``name`` with ``_`` for each character but ASCII letters, digits and ``_``, as statsd_exporter does.

    Several hyphens in a row become one ``_``, and a digit at the beginning gets one.
    """
    legal = _ILLEGAL.sub("_", _REPEATED_HYPHEN.sub("-", name))
    return f"_{legal}" if legal[:1].isdigit() else legal
