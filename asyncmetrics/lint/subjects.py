"""What the rules judge: metrics under the names and types of the text format, whatever they are read from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.formats.reading.text import TextLines
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry import Collectable, check_registry
from asyncmetrics.registry.collectables import collect_or_raise

__all__ = ("OWN_LABELS", "Others", "Subject", "describe_exposition", "describe_families", "describe_text")

OWN_LABELS = {"histogram": "le", "summary": "quantile"}
"""The label in which the samples of one histogram or summary differ, by the type."""

_FAMILY_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}


@final
@dataclass(frozen=True)
class Subject:
    """A metric: the ``name`` and the type (``kind``) that the text format has for it, and its HELP, if it has one.

    ``declared_labels`` are those of the declaration, if that is known: a metric without samples has labels too.
    """

    name: str
    kind: str
    help: str | None
    samples: Sequence[Sample] = ()
    declared_labels: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()

    @cached_property
    def labels(self) -> dict[str, set[str]]:
        """The labels with their different values, without the bounds of buckets and the quantiles of the metric."""
        found: dict[str, set[str]] = {name: set() for name in self.declared_labels}
        for sample in self.samples:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
        found.pop(OWN_LABELS.get(self.kind, ""), None)
        return found

    @property
    def help_key(self) -> tuple[str, str]:
        """The first word of the name, and the help text."""
        return self.name.partition("_")[0], self.help or ""

    @property
    def names(self) -> frozenset[str]:
        """The name, and those of its samples."""
        return frozenset(self.name + suffix for suffix in ("", *_FAMILY_SUFFIXES.get(self.kind, ()))) | self.aliases


@final
class Others:
    """What a rule needs to know of the other metrics of a source.

    ``names`` are all names, and ``first_by_help`` has the first metric with each help text among those whose names
    begin with the same word: two libraries may say the same of their own metrics.
    """

    def __init__(self, subjects: Iterable[Subject] = ()) -> None:
        self.names: set[str] = set()
        self.first_by_help: dict[tuple[str, str], str] = {}
        for subject in subjects:
            self.names |= subject.names
            if not subject.name.endswith("_created"):  # which repeats the help text of a counter
                self.first_by_help.setdefault(subject.help_key, subject.name)


def describe_exposition(source: Collectable | Exposition) -> list[Subject]:
    """Return the metrics of a registry or an exposition. Raises `ParseError`, or what the registry raises."""
    if not isinstance(source, Exposition):
        check_registry(source)
        return list(describe_families(collect_or_raise(source)))
    return list(describe_families(source.parse())) if source.is_openmetrics else describe_text(TextLines(source.text))


def describe_text(lines: TextLines) -> list[Subject]:
    """Return the metrics of a text in the format 0.0.4 that have samples.

    As for promtool, a sample belongs to a histogram or a summary only if their TYPE comes before it.
    """
    types: dict[str, str] = {}
    samples: dict[str, list[Sample]] = {}
    for _, name, sample in lines.lines:
        if isinstance(sample, str):
            samples.setdefault(name, [])
            if sample == "TYPE":
                types.setdefault(name, lines.get_type(name))
        else:
            family = name if name in samples else _find_owner(name, types)
            samples.setdefault(family, []).append(sample)
    return [
        Subject(name, lines.get_type(name), lines.get_metadata(name).get("HELP") or None, own)
        for name, own in samples.items()
        if own
    ]


def _find_owner(name: str, types: Mapping[str, str]) -> str:
    """Return the histogram or the summary that a sample belongs to by its suffix, or its own name."""
    for kind, suffixes in _FAMILY_SUFFIXES.items():
        for suffix in suffixes:
            owner = name.removesuffix(suffix)
            if owner != name and types.get(owner) == kind:
                return owner
    return name


def describe_families(families: Iterable[Metric]) -> Iterator[Subject]:
    """Yield what the text format would have for families of a registry, or of an exposition in OpenMetrics.

    It has no native histograms.
    """
    for family in families:
        kind = KINDS[family.type]
        # A registry may hold a metric that has no children yet.
        declared = family.descriptor.all_labelnames if isinstance(family, LiveFamily) else ()
        created = f"{family.name}_created"
        samples = [
            one for one in family.samples if one.name != created and getattr(one, "native_histogram", None) is None
        ]
        yield Subject(
            family.name + kind.text_suffix,
            kind.text_type,
            str(family.documentation or "").strip() or None,
            samples,
            declared,
            frozenset({family.name}),
        )
