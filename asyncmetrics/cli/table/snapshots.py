"""One reading of an exposition, and the increase between two of them, as PromQL's ``increase`` counts it.

A value that is lower than before has begun anew at 0, because the server was restarted. A series that was not there
before has begun at 0 as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, nan
from typing import TypeAlias, final

from asyncmetrics.formats.numbers import parse_number
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.model.samples import Sample

__all__ = ("Distribution", "Labels", "Reading", "Snapshot", "read_snapshot")

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The labels of a series, sorted by their names, without those that distinguish the samples of one histogram."""

_DISTRIBUTIONS = frozenset({"histogram", "gaugehistogram", "summary"})


@final
@dataclass(slots=True)
class Distribution:
    """What a histogram or a summary holds: events, the sum of their amounts, cumulative buckets, or quantiles."""

    events: float = 0.0
    total: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)
    quantiles: dict[float, float] = field(default_factory=dict)

    def add(self, other: Distribution) -> None:
        """Add the events of another one, such as those of a route with another status."""
        self.events += other.events
        self.total += other.total
        for bound, count in other.buckets.items():
            self.buckets[bound] = self.buckets.get(bound, 0.0) + count
        self.quantiles = self.quantiles or other.quantiles

    def subtract(self, earlier: Distribution) -> Distribution:
        """Return the events since ``earlier``; the quantiles are the present ones."""
        if self.events < earlier.events:
            return self
        buckets = {bound: count - earlier.buckets.get(bound, 0.0) for bound, count in self.buckets.items()}
        return Distribution(self.events - earlier.events, self.total - earlier.total, buckets, self.quantiles)

    def estimate_quantile(self, q: float) -> float:
        """Return a quantile as PromQL's ``histogram_quantile``: linear inside its bucket; NaN without events.

        It is NaN without a finite bound as well, such as for a native histogram, of which a text has the bucket +Inf.
        A summary has those that its server has computed, or none.
        """
        if not self.buckets:
            return self.quantiles.get(q, nan)
        bounds = sorted(self.buckets.items())
        if len(bounds) == 1:
            return nan
        rank = q * bounds[-1][1]
        first = min(0.0, bounds[0][0])  # the lower end of the first bucket
        for (low, below), (high, upto) in pairwise([(first, 0.0), *bounds]):
            if upto >= rank and upto > below:
                return low if high == inf else low + (high - low) * (rank - below) / (upto - below)
        return nan

    @property
    def mean(self) -> float:
        """The mean amount; NaN without events."""
        return self.total / self.events if self.events else nan


@final
@dataclass(slots=True)
class Reading:
    """A family: its name as it is exposed, its kind, and the values or distributions of its series."""

    name: str
    kind: str
    values: dict[Labels, float] = field(default_factory=dict)
    distributions: dict[Labels, Distribution] = field(default_factory=dict)

    def subtract(self, earlier: Reading | None) -> Reading:
        """Return the increase since ``earlier``; for a gauge, by how much it has changed."""
        if earlier is None or earlier.kind != self.kind:
            earlier = Reading(self.name, self.kind)
        increase = Reading(self.name, self.kind)
        for labels, value in self.values.items():
            before = earlier.values.get(labels, 0.0 if self.kind == "counter" else value)
            increase.values[labels] = value if self.kind == "counter" and value < before else value - before
        for labels, distribution in self.distributions.items():
            increase.distributions[labels] = distribution.subtract(earlier.distributions.get(labels, Distribution()))
        return increase


@final
@dataclass(slots=True)
class Snapshot:
    """All families of one reading, by their names. ``at`` is the monotonic time; of an increase, its seconds."""

    at: float
    families: dict[str, Reading] = field(default_factory=dict)

    def subtract(self, earlier: Snapshot) -> Snapshot:
        """Return the increase since ``earlier``."""
        families = {name: one.subtract(earlier.families.get(name)) for name, one in self.families.items()}
        return Snapshot(self.at - earlier.at, families)

    def find(self, name: str) -> Iterator[Reading]:
        """Yield the families called ``name``, with any namespace before it; dots stand for underscores."""
        for family, reading in self.families.items():
            plain = family.replace(".", "_")
            if plain == name or plain.endswith(f"_{name}"):
                yield reading

    def get_value(self, name: str, labels: Labels) -> float:
        """Return the value of a series; 0.0 if there is none."""
        reading = self.families.get(name)
        return 0.0 if reading is None else reading.values.get(labels, 0.0)

    def get_distribution(self, name: str, labels: Labels) -> Distribution:
        """Return the distribution of a series; an empty one if there is none."""
        reading = self.families.get(name)
        found = None if reading is None else reading.distributions.get(labels)
        return Distribution() if found is None else found


def read_snapshot(families: Iterable[Metric], at: float) -> Snapshot:
    """Return the snapshot of parsed families, read at the monotonic time ``at``."""
    snapshot = Snapshot(at)
    for family in families:
        kind = KINDS[family.type]
        name = family.name + kind.text_suffix
        is_counter = family.type == "counter" or (family.type == "unknown" and name.endswith("_total"))
        reading = Reading(name, "counter" if is_counter else family.type)
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                _add_sample(reading, family.name, sample)
        snapshot.families[name] = reading
    return snapshot


def _add_sample(reading: Reading, family: str, sample: Sample) -> None:
    if reading.kind not in _DISTRIBUTIONS:
        reading.values[_sort(sample.labels)] = sample.value
        return
    own = "quantile" if reading.kind == "summary" else "le"
    labels = _sort(sample.labels, own)
    distribution = reading.distributions.setdefault(labels, Distribution())
    bound = parse_number(sample.labels.get(own, ""))
    match sample.name.removeprefix(family):
        case "_count" | "_gcount":
            distribution.events = sample.value
        case "_sum" | "_gsum":
            distribution.total = sample.value
        case "_bucket" if bound is not None:
            distribution.buckets[bound] = sample.value
        case "" if bound is not None:
            distribution.quantiles[bound] = sample.value
        case _:
            pass


def _sort(labels: Mapping[str, str], without: str = "") -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if name != without))
