"""Count the series of an exposition by metric and by label, and find the labels that make most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from asyncmetrics.lint.subjects import OWN_LABELS, Subject

__all__ = ("Cardinality", "LabelCardinality", "MetricCardinality", "count_series")

_Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


@final
@dataclass(frozen=True, slots=True)
class LabelCardinality:
    """A label of a metric, or of all metrics: its number of ``values``, and those with most series.

    ``saves`` is the number of series that there would be less without the label. It is 0 for ``le`` and ``quantile``,
    which a histogram and a summary cannot do without.
    """

    name: str
    values: int
    saves: int
    top: tuple[tuple[str, int], ...]


@final
@dataclass(frozen=True, slots=True)
class MetricCardinality:
    """The number of ``series`` of a metric, and its labels, first the one that saves most."""

    name: str
    kind: str
    series: int
    labels: tuple[LabelCardinality, ...]
    advice: str


@final
@dataclass(frozen=True, slots=True)
class Cardinality:
    """The number of all ``series``, the metrics and the labels of all metrics, largest first."""

    series: int
    metrics: tuple[MetricCardinality, ...]
    labels: tuple[LabelCardinality, ...]


def count_series(subjects: Iterable[Subject], top: int = 5) -> Cardinality:
    """Return how many series ``subjects`` have, and the ``top`` values of each label."""
    metrics: list[MetricCardinality] = []
    values: dict[str, Counter[str]] = {}
    saves: Counter[str] = Counter()
    for subject in subjects:
        series = _list_series(subject)
        labels = _count_labels(series, OWN_LABELS.get(subject.kind, ""), values, top)
        saves.update({label.name: label.saves for label in labels})
        advice = _advise(subject, len(series), labels)
        metrics.append(MetricCardinality(subject.name, subject.kind, len(series), labels, advice))
    everywhere = (
        LabelCardinality(name, len(counts), saves[name], _list_top(counts, top)) for name, counts in values.items()
    )
    return Cardinality(
        sum(metric.series for metric in metrics),
        tuple(sorted(metrics, key=lambda metric: (-metric.series, metric.name))),
        tuple(sorted(everywhere, key=lambda label: (-label.values, label.name))),
    )


def _list_series(subject: Subject) -> set[_Series]:
    return {(sample.name, frozenset(sample.labels.items())) for sample in subject.samples}


def _count_labels(
    series: set[_Series], own: str, everywhere: dict[str, Counter[str]], top: int
) -> tuple[LabelCardinality, ...]:
    counts: dict[str, Counter[str]] = {}
    for _, labels in series:
        for name, value in labels:
            counts.setdefault(name, Counter())[value] += 1
    found: list[LabelCardinality] = []
    for name, values in counts.items():
        everywhere.setdefault(name, Counter()).update(values)
        saves = 0 if name == own else len(series) - _count_without(series, name)
        found.append(LabelCardinality(name, len(values), saves, _list_top(values, top)))
    return tuple(sorted(found, key=lambda label: (-label.saves, -label.values, label.name)))


def _count_without(series: set[_Series], label: str) -> int:
    return len({(name, frozenset(item for item in labels if item[0] != label)) for name, labels in series})


def _list_top(counts: Counter[str], top: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top])


def _advise(subject: Subject, series: int, labels: Sequence[LabelCardinality]) -> str:
    """Return what to do, or ``""`` for a metric of few series."""
    if series < 2:
        return ""
    parts: list[str] = []
    if labels and labels[0].saves:
        parts.append(f"without the label {labels[0].name} there are {labels[0].saves} fewer series")
    bounds = next((label.values for label in labels if label.name == "le" and subject.kind == "histogram"), 0)
    if bounds > 1:
        without = sum(1 for sample in subject.samples if sample.labels.get("le", "+Inf") != "+Inf")
        parts.append(f"one bucket less saves {without // (bounds - 1)}")
    return ", and ".join(parts)
