"""One reading of the shop's /metrics, by asyncmetrics' parser: what the table compares with an earlier reading."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from asyncmetrics.formats.reading.text import parse_prometheus

Series = tuple[str, ...]  # the name and the values of the labels, in the order of the labels' names


@dataclass
class Counts:
    """The totals of one histogram: its events, those with a status of 500 or more, and its cumulative buckets."""

    events: float = 0
    errors: float = 0
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))

    def subtract(self, earlier: "Counts") -> "Counts":
        """Return the counts since ``earlier``."""
        buckets = {bound: count - earlier.buckets.get(bound, 0) for bound, count in self.buckets.items()}
        return Counts(self.events - earlier.events, self.errors - earlier.errors, buckets)

    def estimate_quantile(self, q: float) -> float:
        """Estimate a quantile as PromQL's ``histogram_quantile`` does: linearly inside the bucket of the rank."""
        rank = q * self.events
        for (low, below), (high, upto) in pairwise([(0.0, 0.0), *sorted(self.buckets.items())]):
            if upto >= rank and upto > below:
                return low if high == float("inf") else low + (high - low) * (rank - below) / (upto - below)
        return float("nan")


@dataclass
class Snapshot:
    """One reading: the counts of the histograms, and the values of all other series; what is absent is 0."""

    at: float
    counts: dict[Series, Counts] = field(default_factory=lambda: defaultdict(Counts))
    values: dict[Series, float] = field(default_factory=lambda: defaultdict(float))

    def list_series(self, name: str) -> list[Series]:
        """Return the series of a name, without the name."""
        return sorted(series[1:] for series in (*self.counts, *self.values) if series[0] == name)

    def subtract(self, earlier: "Snapshot") -> "Snapshot":
        """Return the increase since ``earlier``, whose ``at`` is the number of seconds."""
        increase = Snapshot(self.at - earlier.at)
        for series, counts in self.counts.items():
            increase.counts[series] = counts.subtract(earlier.counts.get(series, Counts()))
        for series, value in self.values.items():
            increase.values[series] = value - earlier.values.get(series, 0)
        return increase


def add(counts: Counts, name: str, labels: Mapping[str, str], value: float) -> None:
    """Add one sample of a histogram; the statuses of a route are added up."""
    if name.endswith("_bucket"):
        counts.buckets[float(labels["le"])] += value
    elif name.endswith("_count"):
        counts.events += value
        counts.errors += value if labels.get("status", "").startswith("5") else 0


def parse(text: str) -> Snapshot:
    """Parse an exposition into a snapshot."""
    snapshot = Snapshot(time.monotonic())
    for family in parse_prometheus(text):
        for sample in family.samples:
            values = (value for name, value in sorted(sample.labels.items()) if name not in {"le", "status"})
            name = family.name if family.type == "histogram" else sample.name
            series = (name, *values)
            if family.type == "histogram":
                add(snapshot.counts[series], sample.name, sample.labels, sample.value)
            else:
                snapshot.values[series] = sample.value
    return snapshot
