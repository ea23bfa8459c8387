"""Compare two expositions: metrics, types, help texts, labels and series, and on request the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isnan
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.formats.numbers import format_number
from asyncmetrics.lint.subjects import Subject
from asyncmetrics.model.escaping import is_legacy_label_name, is_legacy_metric_name

__all__ = ("Difference", "find_differences", "show_series")

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@final
class Difference(NamedTuple):
    """What differs: ``what`` it is (``metric``, ``type``, ``help``, ``labels``, ``series`` or ``value``), and of what.

    ``first`` and ``second`` are the two texts; None stands for what one side does not have.
    """

    name: str
    what: str
    first: str | None
    second: str | None


def find_differences(
    first: Iterable[Subject], second: Iterable[Subject], *, values: bool = False
) -> Iterator[Difference]:
    """Yield what differs, sorted by the name of the metric; compare the ``values`` of series too if it is true.

    Timestamps and exemplars are not compared. A metric that only one side has is one difference.
    """
    ours, theirs = ({subject.name: subject for subject in subjects} for subjects in (first, second))
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        if mine is None or other is None:
            yield Difference(name, "metric", mine and _describe(mine), other and _describe(other))
            continue
        yield from _compare_metadata(mine, other)
        yield from _compare_series(mine, other, values=values)


def _describe(subject: Subject) -> str:
    number = len(subject.samples)
    return f"{subject.kind} with {number} series" if number else f"{subject.kind} without series"


def _compare_metadata(mine: Subject, other: Subject) -> Iterator[Difference]:
    if mine.kind != other.kind:
        yield Difference(mine.name, "type", mine.kind, other.kind)
    if mine.help != other.help:
        yield Difference(mine.name, "help", mine.help, other.help)
    labels = [", ".join(sorted(subject.labels)) for subject in (mine, other)]
    if labels[0] != labels[1] and mine.samples and other.samples:
        yield Difference(mine.name, "labels", labels[0], labels[1])


def _compare_series(mine: Subject, other: Subject, *, values: bool) -> Iterator[Difference]:
    ours, theirs = _index(mine), _index(other)
    for key in sorted(ours.keys() | theirs.keys()):
        name = show_series(*key)
        if key not in theirs:
            yield Difference(name, "series", name, None)
        elif key not in ours:
            yield Difference(name, "series", None, name)
        elif values and not _are_equal(ours[key], theirs[key]):
            yield Difference(name, "value", format_number(ours[key]), format_number(theirs[key]))


def _index(subject: Subject) -> Mapping[_Key, float]:
    """Return the values by series; a label without a value is no label (Prometheus' data model)."""
    return {
        (sample.name, tuple(sorted(item for item in sample.labels.items() if item[1]))): sample.value
        for sample in subject.samples
    }


def _are_equal(mine: float, other: float) -> bool:
    return mine == other or (isnan(mine) and isnan(other))


def show_series(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """Return a series as the text format writes it, such as ``jobs_total{kind="a"}``."""
    block = ",".join(
        f"{label if is_legacy_label_name(label) else _quote(label)}={_quote(value)}" for label, value in labels
    )
    if not is_legacy_metric_name(name):
        return f"{{{','.join(filter(None, (_quote(name), block)))}}}"
    return f"{name}{{{block}}}" if block else name


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
