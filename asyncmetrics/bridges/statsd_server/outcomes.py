"""What becomes of lines: the reasons for which they are refused, counted and logged once a reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, final, get_args

from asyncmetrics.errors import show
from asyncmetrics.metrics import Counter
from asyncmetrics.registry import CollectorRegistry

__all__ = ("Outcome", "Outcomes", "Refused")

_log = logging.getLogger("asyncmetrics")

Outcome: TypeAlias = Literal[
    "ok", "dropped", "event", "service_check", "malformed", "too_long", "type", "value", "rate", "tags", "labels",
    "conflict", "limit", "set_limit", "slow_regex", "error",
]  # fmt: skip

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
# Not faults: the mapping says so, or they are of no use to Prometheus.
_EXPECTED: frozenset[Outcome] = frozenset({"ok", "dropped", "event", "service_check"})

_ADVICE: dict[Outcome, str] = {
    "malformed": "expected name:value|type in UTF-8",
    "too_long": "the line is longer than max_line_bytes",
    "type": "expected one of the types c, g, ms, h, d and s",
    "value": "expected a finite number, which is not negative for a counter",
    "rate": "expected a sampling rate from 0.0001 to 1",
    "tags": "it mixes styles of tags, or has too many, or a reserved name",
    "labels": "it has a label that the first line of its metric did not have; pass tags= to name all of them",
    "conflict": "its name belongs to a metric of another kind, of the application, or of asyncmetrics",
    "limit": "there are max_names metrics already",
    "set_limit": "all sets together have max_set_members members in this interval already",
    "slow_regex": "a regex of the mapping takes too long for such names; match by glob instead",
    "error": "it has caused an error inside asyncmetrics",
}


@final
class Refused(Exception):
    """A line is refused, or left out: ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome: Outcome = outcome
        super().__init__(outcome)


@final
class Outcomes:
    """The numbers of lines and datagrams, as metrics of ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lines = Counter(
            "asyncmetrics_statsd_lines_total",
            "Lines of StatsD that were received, by what became of them.",
            ["outcome"],
            registry=registry,
            exist_ok=True,
        )
        self.count_datagrams = Counter(
            "asyncmetrics_statsd_datagrams_total",
            "Datagrams of StatsD that were received.",
            registry=registry,
            exist_ok=True,
        ).inc
        self.count_dropped_datagrams = Counter(
            "asyncmetrics_statsd_dropped_datagrams_total",
            "Datagrams of StatsD that the kernel dropped, as the socket's buffer was full.",
            registry=registry,
            exist_ok=True,
        ).inc
        self._lines: Mapping[Outcome, Any] = {outcome: lines.labels(outcome) for outcome in _OUTCOMES}
        self._count_ok = self._lines["ok"].inc
        self._logged: set[Outcome] = set()

    def count_ok(self, lines: int) -> None:
        """Count lines that were taken."""
        self._count_ok(lines)

    def count(self, outcome: Outcome, line: bytes) -> None:
        """Count a line; log the first one of each reason."""
        self._lines[outcome].inc()
        if outcome not in _EXPECTED and outcome not in self._logged:
            self._logged.add(outcome)
            problem = "the StatsD server refused the line %s: %s; later ones are counted as %r and not logged"
            _log.warning(problem, show(line), _ADVICE[outcome], outcome, exc_info=outcome == "error")
