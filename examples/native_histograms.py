"""Quantiles without choosing buckets: a native histogram beside a classic one, with the same observations.

The output compares both with the exact quantiles. The buckets of the classic histogram were chosen for web pages, and
these latencies are of a cache and of a report.

Run it from the root of a clone::

    pip install -e .
    python examples/native_histograms.py
"""

import random
from itertools import accumulate

from asyncmetrics import REGISTRY, Histogram
from asyncmetrics.core import Sample

classic = Histogram("classic_seconds", "Latency, in the default buckets.", ["call"])
native = Histogram("native_seconds", "Latency, in native buckets alone.", ["call"], native=True, buckets=())


def find_samples(name: str, call: str) -> list[Sample]:
    return [
        sample
        for family in REGISTRY.collect()
        if family.name == name
        for sample in family.samples
        if sample.labels["call"] == call
    ]


def find_native_quantile(call: str, quantile: float) -> float:
    """Return the upper bound of the bucket that has the quantile."""
    (value,) = (found.native_histogram for found in find_samples("native_seconds", call) if found.native_histogram)
    indexes: list[int] = []
    for offset, length in value.pos_spans or ():  # a span begins so many buckets after the end of the one before
        start = indexes[-1] + 1 + offset if indexes else offset
        indexes += range(start, start + length)
    cumulative = accumulate(accumulate(value.pos_deltas or ()))  # the inner sums are the counts of the buckets
    rank = quantile * value.count_value
    index = next(index for index, count in zip(indexes, cumulative, strict=True) if count >= rank)
    return 2.0 ** (index / 2.0**value.schema)


def find_classic_quantile(call: str, quantile: float) -> float:
    """Return what `histogram_quantile` of PromQL estimates: it takes a bucket's observations for evenly spread."""
    buckets = [sample for sample in find_samples("classic_seconds", call) if sample.name.endswith("_bucket")]
    rank = quantile * buckets[-1].value
    low, before = 0.0, 0.0
    for sample in buckets[:-1]:
        high = float(sample.labels["le"])
        if sample.value >= rank:
            return low + (high - low) * (rank - before) / (sample.value - before)
        low, before = high, sample.value
    return low  # above the last bound nothing is known


def main() -> None:
    chance = random.Random(1)
    for call, typical in (("cache", 0.0004), ("page", 0.08), ("report", 30)):
        latencies = [typical * chance.lognormvariate(0, 0.5) for _ in range(10_000)]
        for seconds in latencies:
            classic.labels(call).observe(seconds)
            native.labels(call).observe(seconds)
        exact = sorted(latencies)[9_899]
        for kind, find in (("native", find_native_quantile), ("classic", find_classic_quantile)):
            found = find(call, 0.99)
            print(f"{call}: p99 is {exact:.4g} s, {kind} {found:.4g} s: {abs(found / exact - 1):.1%} off")


main()
