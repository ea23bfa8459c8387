"""`Mapper`: the rule, the name and the labels of a name of StatsD, by a table as statsd_exporter has it.

*Rules.*

1. Globs come before regexes, as in statsd_exporter.
2. A regex may take time that grows with a power of the name's length, and names come from remotes. So long names are
   not matched by regexes, and a regex that was slow rests for a hundred times as long: it has 1 % of the loop's time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import final

from asyncmetrics.bridges.statsd_server.caching import RecentCache
from asyncmetrics.bridges.statsd_server.globs import GlobTree
from asyncmetrics.bridges.statsd_server.outcomes import Refused
from asyncmetrics.bridges.statsd_server.rules import LineKind, Rule, Table, escape_name, expand

__all__ = ("Mapped", "Mapper")

_CACHED_NAMES = 2000
_LONGEST_FOR_REGEX = 200  # characters
_SLOW_SECONDS = 0.002
_REST_FACTOR = 100


@final
@dataclass(frozen=True, slots=True)
class Mapped:
    """The name and labels that ``rule`` makes; a rule that drops makes none."""

    rule: Rule
    name: str
    labels: Mapping[str, str]


@final
class _Regex:
    __slots__ = ("_rests_until", "rule", "search")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.search = re.compile(rule.match).search
        self._rests_until = 0.0

    def find(self, name: str) -> list[str] | None:
        """Return the groups, or None. Raises `Refused` while the regex rests, and for long names."""
        began = perf_counter()
        if began < self._rests_until or len(name) > _LONGEST_FOR_REGEX:
            raise Refused("slow_regex")
        found = self.search(name)
        taken = perf_counter() - began
        if taken > _SLOW_SECONDS:
            self._rests_until = began + taken * _REST_FACTOR
        return None if found is None else [group or "" for group in found.groups()]


@final
class Mapper:
    """Find rules in ``table``, and remember those of the names that were used last."""

    def __init__(self, table: Table) -> None:
        self._unmapped = table.unmapped
        self._globs = GlobTree(is_ordered=table.is_ordered)
        self._regexes = [_Regex(rule) for rule in table.rules if rule.is_regex]
        self._cache: RecentCache[tuple[str, LineKind], Mapped] = RecentCache(_CACHED_NAMES)
        for rule in table.rules:
            if not rule.is_regex:
                self._globs.add(rule)

    def find(self, name: str, kind: LineKind) -> Mapped:
        """Return what the table makes of ``name``. Raises `Refused` if a regex is too slow for that."""
        mapped = self._cache.get((name, kind))
        if mapped is None:
            mapped = self._make(name, kind)
            self._cache.put((name, kind), mapped)
        return mapped

    def _make(self, name: str, kind: LineKind) -> Mapped:
        rule, captures = self._globs.find(name, kind) or self._find_regex(name, kind) or (self._unmapped, [])
        if rule is self._unmapped:
            return Mapped(rule, escape_name(name), {})
        labels = {label: expand(value, captures) for label, value in rule.labels.items()}
        return Mapped(rule, escape_name(expand(rule.name, captures)), labels)

    def _find_regex(self, name: str, kind: LineKind) -> tuple[Rule, list[str]] | None:
        for regex in self._regexes:
            if regex.rule.kind in (None, kind):
                captures = regex.find(name)
                if captures is not None:
                    return regex.rule, captures
        return None
