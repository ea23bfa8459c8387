"""What the buckets of a native histogram have to be, in every format that has some.

A custom collector may yield any numbers. Prometheus refuses a whole request for one wrong histogram, with a status that
asks for another attempt, so each histogram is checked before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from asyncmetrics.model.samples import BucketSpan

__all__ = ("list_bucket_counts",)


def list_bucket_counts(spans: Iterable[BucketSpan] | None, deltas: Iterable[float] | None) -> list[float]:
    """Return the counts of the buckets of one side, the positive or the negative one.

    Raises ValueError, with the reason, if the buckets contradict the spans or a count is negative or NaN.
    """
    counts = list(accumulate(deltas or ()))
    sizes = [length for _, length in spans or ()]
    gaps = [offset for offset, _ in spans or ()][1:]
    if any(number < 0 for number in (*sizes, *gaps)):
        raise ValueError("the spans of a native histogram are in order")
    if sum(sizes) != len(counts):
        raise ValueError("the spans of a native histogram have as many buckets as there are counts")
    if not all(count >= 0 for count in counts):
        raise ValueError("the counts of a native histogram can be neither negative nor NaN")
    return counts
