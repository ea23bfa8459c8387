"""Many slots, many families, many labels, long label values."""

from __future__ import annotations

import pytest

from asyncmetrics import (
    Counter,
    Gauge,
)
from tests.storage.readings import read_value


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_long_label_values_come_through(worker, size):
    one, two = worker(), worker()
    for value in ("ÿ" * size, "x" * size):
        Counter("c", "C.", ["n"], registry=one, exist_ok=True).labels(value).inc(2)
        assert read_value(two, n=value) == 2


def test_many_labels_of_any_text(worker):
    one, two = worker(), worker()
    names = [f"n{number}" for number in range(60)]
    values = [chr(0x10FFFF), "\udcff", "\x00", "\u2028", "\ufffe", "é", "e\u0301", ""] + ["x"] * 52
    Counter("c", "C.", names, registry=one).labels(*values).inc()
    values[1] = "\ufffd"
    assert read_value(two, **dict(zip(names, values, strict=True))) == 1


def test_more_than_64_slots(worker, path):
    registries = [worker() for _ in range(70)]
    for registry in registries:
        Counter("c", "C.", registry=registry).inc()
        Gauge("g", "G.", multiprocess_mode="livesum", registry=registry).set(1)
    assert {read_value(registry) for registry in registries} == {70}
    assert read_value(registries[0], "g") == 70
    assert read_value(registries[0], "asyncmetrics_workers", state="live") == 70
    assert len(list(path.iterdir())) == 140


def test_a_thousand_families(worker):
    one, two = worker(), worker()
    for number in range(1000):
        Counter(f"c{number}", "C.", ["n"], registry=one).labels("x").inc(number)
    found = {f.name: f.samples[0].value for f in two.collect() if f.name.startswith("c")}
    assert found == {f"c{number}": number for number in range(1000)}
