"""Labels whose value is empty: exposed as they are, or left out."""

from __future__ import annotations

import pytest

from asyncmetrics import Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest
from asyncmetrics.formats.reading.text import parse_prometheus


def make(kind, registry, **options):
    own = {Enum: {"states": ["on", "off"]}, Histogram: {"buckets": [1]}}.get(kind, {})
    return kind("level", "Levels.", ["a", "z"], registry=registry, **own, **options)


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram, Info, Enum])
def test_an_empty_label_is_left_out_of_every_sample(kind, registry):
    metric = make(kind, registry, omit_empty=True)
    for values in (("", ""), ("1", ""), ("", "2"), (",z=", "")):
        metric.labels(*values)
    samples = [sample for family in registry.collect() for sample in family.samples]
    found = {(sample.labels.get("a"), sample.labels.get("z")) for sample in samples}
    assert found == {(None, None), ("1", None), (None, "2"), (",z=", None)}


@pytest.mark.parametrize("kind", [Counter, Gauge, Summary, Histogram, Info, Enum])
def test_the_text_has_the_same_samples(kind, registry):
    metric = make(kind, registry, omit_empty=True)
    for values in (("", ""), ("1", ""), ("", "2"), (",z=", "")):
        metric.labels(*values)
    samples = [sample for family in registry.collect() for sample in family.samples]
    text = generate_latest(registry).decode()
    assert [sample for family in parse_prometheus(text) for sample in family.samples] == samples
    assert '=""' not in text


def test_an_empty_label_is_exposed_by_default(registry):
    make(Counter, registry).labels("", "2").inc()
    assert registry.get_sample_value("level_total", {"a": "", "z": "2"}) == 1


def test_a_flag_that_is_none_is_refused(registry):
    with pytest.raises(ValueError, match="omit_empty"):
        make(Counter, registry, omit_empty=2)


def test_it_is_a_part_of_the_definition(registry):
    make(Counter, registry, omit_empty=True)
    with pytest.raises(ValueError, match="omit_empty=False and not omit_empty=True|omit_empty=True and not"):
        make(Counter, registry, exist_ok=True)
