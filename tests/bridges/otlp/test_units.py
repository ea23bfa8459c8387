"""Units are those of UCUM, and a name keeps its unit."""

from __future__ import annotations

import pytest

from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.core import Metric
from tests.bridges.otlp.decoding import encode_one


def _encode(name, unit):
    family = Metric(name, "", "gauge", unit)
    family.add_sample(family.name, {}, 1.0)
    return encode_one(OTLP("http://localhost/v1/metrics"), [family])


@pytest.mark.parametrize(
    ("unit", "ucum"),
    [
        ("seconds", "s"),
        ("milliseconds", "ms"),
        ("bytes", "By"),
        ("ratio", "1"),
        ("celsius", "Cel"),
        ("percent", "%"),
        ("bytes_per_second", "By/s"),
        ("requests_per_second", "{requests}/s"),
        ("requests", "{requests}"),
        ("{x}", "{x}"),
        ("ü", ""),
    ],
)
def test_a_unit_is_one_of_ucum_and_stays_in_the_name(unit, ucum):
    metric = _encode("a", unit)
    assert (metric.name, metric.unit) == (f"a_{unit}", ucum)


def test_a_unit_that_the_name_lacks_is_not_sent_since_a_receiver_would_append_it():
    family = Metric("a", "", "gauge")
    family.unit = "seconds"
    family.add_sample("a", {}, 1.0)
    assert encode_one(OTLP("http://localhost/v1/metrics"), [family]).unit == ""
