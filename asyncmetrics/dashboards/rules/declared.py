"""What a source declares: the names of its samples, with their labels and the bounds of their buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import final

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.dashboards.declared import is_read_natively
from asyncmetrics.model.descriptor import format_bound
from asyncmetrics.model.family import LiveFamily, Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.collectables import collect_within

__all__ = ("Declared", "list_natives", "read_declared")


@final
@dataclass(frozen=True, slots=True)
class Declared:
    """The samples of one name.

    ``kind`` is the type of their family. ``values`` are the values of each label, as far as the source shows them; it
    is None if nothing shows which labels there are: a text without a sample of this name. ``bounds`` are the upper
    bounds that every series of a histogram has, each with the texts that stand for it in the label ``le``.
    """

    name: str
    kind: str
    values: Mapping[str, frozenset[str]] | None = None
    bounds: Mapping[float, frozenset[str]] = field(default_factory=dict)

    @property
    def is_counter(self) -> bool:
        """Whether ``rate`` makes sense: for a counter, a count, buckets, and samples without a type."""
        is_sum = self.kind in {"histogram", "summary"} and self.name.endswith(("_count", "_bucket"))
        return is_sum or self.kind in {"counter", "unknown"}

    def has_label(self, name: str) -> bool:
        """Return whether a sample is known to have the label."""
        return self.values is not None and name in self.values


def read_declared(source: CollectorRegistry | Exposition) -> dict[str, Declared]:
    """Return what the source declares, by the names of samples. Raises `ParseError` for a text."""
    families = source.parse() if isinstance(source, Exposition) else collect_within(source)
    found: dict[str, Declared] = {}
    for family in families:
        found.update((declared.name, declared) for declared in _read_family(family))
    return found


def list_natives(source: CollectorRegistry | Exposition, *, native: bool | Collection[str] = False) -> frozenset[str]:
    """Return the names of the histograms whose native ones a server has; ``native`` is that of `is_read_natively`."""
    families = source.parse() if isinstance(source, Exposition) else collect_within(source)
    return frozenset(one.name for one in families if is_read_natively(one, one.samples, native=native))


def _read_family(family: Metric) -> Iterable[Declared]:
    samples: dict[str, list[Sample]] = defaultdict(list)
    for suffix in KINDS[family.type].value_suffixes:
        samples[family.name + suffix] = []
    for sample in family.samples:
        if getattr(sample, "native_histogram", None) is None:
            samples[sample.name].append(sample)
    own = KINDS[family.type].own_label
    for name, found in samples.items():
        values: dict[str, set[str]] = {}
        if isinstance(family, LiveFamily):
            values = {label: set() for label in family.descriptor.all_labelnames}
        for sample in found:
            for label, value in sample.labels.items():
                if label != own:
                    values.setdefault(label, set()).add(value)
        is_known = bool(found) or isinstance(family, LiveFamily)
        yield Declared(
            name,
            family.type,
            {label: frozenset(texts) for label, texts in values.items()} if is_known else None,
            _read_bounds(family, found) if name == f"{family.name}_bucket" else {},
        )


def _read_bounds(family: Metric, samples: Iterable[Sample]) -> dict[float, frozenset[str]]:
    if isinstance(family, LiveFamily):
        return {bound: frozenset({format_bound(bound)}) for bound in family.descriptor.buckets}
    texts: dict[float, set[str]] = defaultdict(set)
    series: dict[frozenset[tuple[str, str]], set[float]] = defaultdict(set)
    for sample in samples:
        text = sample.labels.get("le", "")
        try:
            bound = float(text)
        except ValueError:
            continue
        texts[bound].add(text)
        series[frozenset(sample.labels.items()) - {("le", text)}].add(bound)
    common = set.intersection(*series.values()) if series else set()
    return {bound: frozenset(texts[bound]) for bound in sorted(common)}
