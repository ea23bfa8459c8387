"""What any exporter has: the busiest counters and histograms, and the gauges that change most."""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from math import isnan
from typing import NamedTuple, final

from asyncmetrics.cli.printing import format_amount, format_quantity, format_seconds
from asyncmetrics.cli.table.snapshots import Distribution, Labels, Snapshot

__all__ = ("Row", "list_counters", "list_distributions", "list_gauges")

_QUANTILES = (0.5, 0.95, 0.99)
_VALUES = frozenset({"gauge", "unknown"})
_FACTS = ("_info", "_created")  # gauges that say nothing by their value


@final
class Row(NamedTuple):
    """A series and its figures."""

    name: str
    labels: str
    figures: tuple[str, ...]


def list_counters(increase: Snapshot, without: AbstractSet[str], limit: int) -> list[Row]:
    """Return the counters that have grown most a second, with their rates."""
    seconds = increase.at or 1
    found = [(value / seconds, name, labels) for name, labels, value in _list_values(increase, {"counter"}, without)]
    busiest = sorted((one for one in found if one[0] > 0), key=lambda one: (-one[0], one[1:]))
    return [
        Row(name, _show_labels(labels), (f"{_format_rate(name, rate)}/s",)) for rate, name, labels in busiest[:limit]
    ]


def list_gauges(last: Snapshot, increase: Snapshot, without: AbstractSet[str], limit: int) -> list[Row]:
    """Return gauges with their values and changes: those with the largest change in proportion to the value first."""
    now = time.time()
    changes = {
        (name, labels): value for name, labels, value in _list_values(increase, _VALUES, without) if not isnan(value)
    }
    found = [
        (name, labels, value, changes.get((name, labels), 0.0))
        for name, labels, value in _list_values(last, _VALUES, without)
        if not name.endswith(_FACTS)
    ]
    found.sort(key=lambda one: (-abs(one[3]) / (abs(one[2]) + abs(one[3])) if one[3] else 0.0, one[:2]))
    return [
        Row(name, _show_labels(labels), (format_quantity(name, value, now), _format_change(name, change)))
        for name, labels, value, change in found[:limit]
    ]


def list_distributions(last: Snapshot, increase: Snapshot, without: AbstractSet[str], limit: int) -> list[Row]:
    """Return the histograms and summaries with the most events a second: rate, mean and quantiles."""
    seconds = increase.at or 1
    found = [
        (distribution, name, labels)
        for name, reading in increase.families.items()
        if name not in without
        for labels, distribution in reading.distributions.items()
        if distribution.events > 0 or not increase.at
    ]
    found.sort(key=lambda one: (-one[0].events, one[1:]))
    return [
        Row(name, _show_labels(labels), (f"{format_amount(one.events / seconds)}/s", *_format_figures(name, one)))
        for one, name, labels in found[:limit]
        if name in last.families
    ]


def _list_values(
    snapshot: Snapshot, kinds: AbstractSet[str], without: AbstractSet[str]
) -> Iterator[tuple[str, Labels, float]]:
    for name, reading in snapshot.families.items():
        if reading.kind in kinds and name not in without:
            for labels, value in reading.values.items():
                yield name, labels, value


def _show_labels(labels: Labels) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels)


def _format_rate(name: str, rate: float) -> str:
    return f"{format_amount(rate)}{'B' if name.endswith('_bytes_total') else ''}"


def _format_change(name: str, change: float) -> str:
    if not change:
        return ""
    amount = format_amount(change) if name.endswith("_timestamp_seconds") else format_quantity(name, change, 0)
    return f"{'+' if change > 0 else ''}{amount}"


def _format_figures(name: str, distribution: Distribution) -> tuple[str, ...]:
    figures = (distribution.mean, *map(distribution.estimate_quantile, _QUANTILES))
    if "seconds" in name:
        return tuple(map(format_seconds, figures))
    unit = "B" if "bytes" in name else ""
    return tuple(text if isnan(figure) else f"{text}{unit}" for figure in figures for text in (format_amount(figure),))
