"""How figures are written for people."""

from __future__ import annotations

from math import inf, nan

import pytest

from asyncmetrics.cli.printing import (
    format_age,
    format_amount,
    format_count,
    format_milliseconds,
    format_quantity,
    format_rate,
    format_seconds,
    format_share,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.04321, "0.043"), (0.5, "0.50"), (1234, "1234"), (12_345, "12.3k"), (72_400_000, "72.4M"),
     (-1_120_000, "-1.12M"), (3e12, "3T"), (1e300, "1.00e+300"), (nan, "·"), (inf, "+Inf"), (-inf, "-Inf")],
)  # fmt: skip
def test_an_amount_is_short(value, text):
    assert format_amount(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00035, "350 µs"),
        (0.25, "250 ms"),
        (2.432, "2.43 s"),
        (nan, "·"),
        (-0.5, "-500 ms"),
        (1e300, "1.00e+300 s"),
        (inf, "+Inf s"),
    ],
)
def test_a_duration_has_its_unit(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("a_bytes", 5_000_000, "5MB"), ("a_seconds", 0.5, "500 ms"), ("a", 7, "7"),
     ("a_timestamp_seconds", 2e9 - 5, "5.0 s ago"), ("a_timestamp_seconds", 1e300, "1.00e+300 s"),
     ("a_bytes", nan, "·"), ("a_bytes", inf, "+Inf")],
)  # fmt: skip
def test_a_value_has_the_unit_of_its_name(name, value, text):
    assert format_quantity(name, value, 2e9) == text


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [(format_rate, 12.34, "12.3"), (format_share, 0.042, "4%"), (format_count, 1234.0, "1234"),
     (format_age, 5, "5.0 s ago"), (format_milliseconds, 2.5, "2500 ms")],
)  # fmt: skip
def test_a_figure_has_its_usual_form(write, value, text):
    assert write(value) == text


@pytest.mark.parametrize("write", [format_rate, format_share, format_count, format_age, format_milliseconds])
def test_no_figure_of_a_server_is_wide(write):
    assert write(nan) == "·"
    assert {len(write(sign * value)) < 20 for sign in (1, -1) for value in (1e300, 1e9, 12345.6, inf)} == {True}
