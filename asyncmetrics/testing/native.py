"""The buckets of native histograms as tests name them: by their bounds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from asyncmetrics.model.native import MAX_SCHEMA, MIN_SCHEMA, find_bound
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

__all__ = ("list_changed_buckets",)


def list_changed_buckets(before: NativeHistogram | None, after: NativeHistogram) -> dict[tuple[float, float], float]:
    """Return by how much each bucket has grown, by its lower and upper bound, in the coarser of both resolutions.

    Raises ValueError for a schema that has no exponential buckets.
    """
    both = [after] if before is None else [before, after]
    schema, zero_threshold = min(one.schema for one in both), max(one.zero_threshold for one in both)
    if not all(MIN_SCHEMA <= one.schema <= MAX_SCHEMA for one in both):
        raise ValueError(f"expected a schema from {MIN_SCHEMA} to {MAX_SCHEMA}, got {schema}")
    counts = _read_counts(after, schema, zero_threshold)
    if before is not None:
        for bounds, count in _read_counts(before, schema, zero_threshold).items():
            counts[bounds] = counts.get(bounds, 0.0) - count
    return {bounds: counts[bounds] for bounds in sorted(counts) if counts[bounds]}


def _read_counts(histogram: NativeHistogram, schema: int, zero_threshold: float) -> dict[tuple[float, float], float]:
    """Return the counts of the buckets of ``schema``, which is not finer than that of the histogram."""
    zero = (-zero_threshold, zero_threshold)
    found = {zero: float(histogram.zero_count)}
    for is_positive, spans, deltas in (
        (True, histogram.pos_spans, histogram.pos_deltas),
        (False, histogram.neg_spans, histogram.neg_deltas),
    ):
        for index, count in zip(_list_indexes(spans or ()), accumulate(deltas or ()), strict=False):
            coarse = -(-index >> (histogram.schema - schema))
            low, high = find_bound(coarse - 1, schema), find_bound(coarse, schema)
            bounds = (low, high) if is_positive else (-high, -low)
            bounds = zero if high <= zero_threshold else bounds
            found[bounds] = found.get(bounds, 0.0) + count
    return found


def _list_indexes(spans: Iterable[BucketSpan]) -> list[int]:
    indexes: list[int] = []
    index = 0
    for offset, length in spans:
        index += offset
        indexes += range(index, index + length)
        index += length
    return indexes
