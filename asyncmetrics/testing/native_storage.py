"""The part of the contract of every storage that is about native histograms."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from asyncmetrics.metrics import Histogram
from asyncmetrics.model.samples import BucketSpan
from asyncmetrics.testing.steps import Declare, Reader, Step

__all__ = ("NativeHistogramContract",)

_THREADS, _TURNS = 4, 500


class NativeHistogramContract(ABC):
    """The tests of native histograms; `StorageContract` has them."""

    @abstractmethod
    def run(self, declare: Declare, steps: Sequence[Step]) -> Reader:
        """Declare the metrics, take the steps in order, and return the samples."""

    def test_a_native_histogram_counts_by_size_on_both_sides_of_zero(self) -> None:
        """It exposes the classic buckets beside it, and only ``+Inf`` without them."""
        amounts = (1.0, 2.0, 1.0, -1.0, 0, 2)
        read = self.run(
            lambda registry: (
                Histogram("h", "H.", ["n"], native=0, buckets=[1], registry=registry),
                Histogram("o", "O.", ["n"], native=0, buckets=(), registry=registry),
            ),
            [partial(_observe, amount) for amount in amounts],
        )
        for name, bounds in (("h", ["1.0", "+Inf"]), ("o", ["+Inf"])):
            native = read.native(name, n="x")
            assert native is not None
            assert (native.count_value, native.sum_value, native.schema, native.zero_count) == (6, 5, 0, 1)
            assert (native.pos_spans, native.pos_deltas) == ([BucketSpan(0, 2)], [2, 0])
            assert (native.neg_spans, native.neg_deltas) == ([BucketSpan(0, 1)], [1])
            assert [label["le"] for label in read.labels(f"{name}_bucket")] == sorted(bounds)
            assert (read.value(f"{name}_count", n="x"), read.value(f"{name}_sum", n="x")) == (6, 5)

    def test_a_native_histogram_with_too_many_buckets_keeps_every_observation(self) -> None:
        """It has a wider zero bucket and less resolution then."""
        read = self.run(
            lambda registry: Histogram(
                "h", "H.", native=8, max_buckets=3, max_zero_threshold=0.1, buckets=(), registry=registry
            ),
            [lambda h: [h.observe(1.5**power) for power in range(-10, 30)]] * 3,
        )
        native = read.native("h")
        assert native is not None
        assert native.count_value == 120
        assert native.schema < 0
        assert 0.01 < native.zero_threshold <= 0.1
        assert native.zero_count + _add_deltas(native.pos_deltas) == 120

    def test_threads_lose_nothing_of_a_native_histogram(self) -> None:
        """They make buckets, and change the resolution, at the same time."""

        def work(histogram: Any) -> None:
            def turns() -> None:
                for number in range(_TURNS):
                    histogram.observe(1.01**number)

            threads = [threading.Thread(target=turns) for _ in range(_THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        read = self.run(lambda registry: Histogram("h", "H.", native=True, max_buckets=20, registry=registry), [work])
        native = read.native("h")
        assert native is not None
        assert native.count_value == read.value("h_count") == _THREADS * _TURNS


def _observe(amount: float, metrics: Sequence[Histogram]) -> None:
    for metric in metrics:
        metric.labels("x").observe(amount)


def _add_deltas(deltas: Sequence[int] | None) -> int:
    """Return the sum of the counts whose differences these are."""
    return sum(accumulate(deltas or ()))
