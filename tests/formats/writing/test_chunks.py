"""Chunks are small, consist of whole lines, and are rendered only when the caller asks for them."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram
from asyncmetrics.core import Metric
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.registry.collectables import collect_within

LIMIT = 128 * 1024
FORMATS = [encode_text, encode_openmetrics]


def _labelled(kind, children, **options):
    registry = CollectorRegistry()
    metric = kind("requests", "Many.", ["route", "method"], registry=registry, **options)
    for number in range(children):
        metric.labels(f"/a/rather/long/route/with/the/number/{number}", "GET")
    return registry


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
def test_chunks_of_live_families_are_small(form, kind):
    chunks = list(form(collect_within(_labelled(kind, 3000))))
    assert len(chunks) > 1
    assert max(map(len, chunks)) <= LIMIT
    assert all(chunk.endswith(b"\n") for chunk in chunks)


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_chunks_of_a_custom_collector_are_small(form):
    family = Metric("level", "Many.", "gauge")
    for number in range(20_000):
        family.add_sample("level", {"number": str(number)}, number)
    chunks = list(form([family]))
    assert len(chunks) > 1
    assert max(map(len, chunks)) <= LIMIT
    assert b"".join(chunks).count(b"\nlevel{") == 20_000


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_nothing_is_read_before_it_is_asked_for(form):
    asked = []

    def families():
        for number in range(100):
            asked.append(number)
            family = Metric(f"level_{number}", "x" * 20_000, "gauge")
            family.add_sample(family.name, {}, 1)
            yield family

    chunks = form(families())
    assert asked == []
    next(chunks)
    # OpenMetrics writes a family when it gets it. Text needs the names of all families first, some in each step.
    assert len(asked) <= (5 if form is encode_openmetrics else 32)
    for _ in chunks:
        pass
    assert len(asked) == 100


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_children_that_come_later_are_seen(form):
    """A live family is read when its lines are written, not when it is collected."""
    registry = CollectorRegistry()
    gauge = Gauge("level", "", ["a"], registry=registry)
    families = list(collect_within(registry))
    gauge.labels("late").set(1)
    assert b'level{a="late"} 1.0\n' in b"".join(form(families))


def test_no_families_are_no_text_but_an_end_mark():
    assert list(encode_text([])) == []
    assert list(encode_openmetrics([])) == [b"# EOF\n"]
