"""Prometheus has each native histogram as it was observed, and estimates what its own rules say."""

from __future__ import annotations

import math

import pytest

from tests.real.native.cases import CASES, Case
from tests.real.native.expected import Bucket, find_exact_quantile, find_fraction, find_quantile

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0)
RANGES = ((-math.inf, 0.1), (0.1, 0.2), (-0.05, 0.05), (0.13, math.inf), (-1.0, -0.1), (1e-9, 1e9))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request) -> Case:
    return request.param


def are_near(expected: object) -> object:
    return pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


def test_the_count_and_the_sum_are_exact(prometheus, case):
    name = f"case_{case.name}"
    assert prometheus.value(f"histogram_count({name})") == len(case.amounts)
    assert prometheus.value(f"histogram_sum({name})") == are_near(math.fsum(case.amounts))


def test_every_bucket_has_its_bounds_and_its_count(prometheus, case):
    (row,) = prometheus.query(f"case_{case.name}")
    found = [Bucket(*map(float, bucket)) for _, *bucket in row["histogram"][1].get("buckets", [])]
    assert [bucket.count for bucket in found] == [bucket.count for bucket in case.buckets]
    for bucket, expected in zip(found, case.buckets, strict=True):
        assert bucket == pytest.approx(expected, rel=1e-12)


def test_a_quantile_is_what_the_rule_says(prometheus, generation, case):
    found = {q: prometheus.value(f"histogram_quantile({q}, case_{case.name})") for q in QUANTILES}
    assert found == are_near({q: find_quantile(case.buckets, q, generation.rule) for q in QUANTILES})


def test_a_quantile_is_at_most_one_bucket_from_the_exact_one(prometheus, case):
    width = 2.0 ** (2.0**-case.schema) * (1 + 1e-9)
    for quantile in QUANTILES if case.amounts else ():
        low, high = find_exact_quantile(case.amounts, quantile)
        found = prometheus.value(f"histogram_quantile({quantile}, case_{case.name})")
        lowest = min(low / width, low * width, -case.zero_threshold if abs(low) <= case.zero_threshold else low)
        highest = max(high / width, high * width, case.zero_threshold if abs(high) <= case.zero_threshold else high)
        assert lowest <= found <= highest


def test_a_fraction_is_what_the_rule_says(prometheus, generation, case):
    for low, high in RANGES:
        found = prometheus.value(f"histogram_fraction({low}, {high}, case_{case.name})".replace("inf", "Inf"))
        assert found == are_near(find_fraction(case.buckets, low, high, generation.rule))
