"""The template of a live family writes the same bytes as the samples of that family."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.core import Metric
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ESCAPING_SCHEMES
from asyncmetrics.registry.collectables import collect_within

FORMATS = [encode_text, encode_openmetrics]
AMOUNTS = st.floats(min_value=0, allow_infinity=False) | st.integers(0, 10**20) | st.booleans()
LABELS = st.sampled_from([(), ("b",), ("b", "a"), ("b", "z"), ("a.b",), ("a_b", "größe")])
NAMES = st.sampled_from(["jobs", "jobs_seconds", "jobs.done", "größe", ":jobs"])


def eager(family: Metric, *, partial: bool = False) -> Metric:
    copy = Metric(family.name, family.documentation, family.type, family.unit)
    copy.samples = list(family.samples)
    copy.partial = partial
    return copy


@st.composite
def registries(draw, texts):
    registry = CollectorRegistry()
    exemplar = st.none() | st.dictionaries(st.sampled_from(["trace", "span"]), texts, max_size=2)
    kind = draw(st.sampled_from([Counter, Gauge, Summary, Histogram, Info, Enum]))
    names, labels = draw(NAMES.filter(lambda name: kind is not Enum or ":" not in name)), draw(LABELS)
    options = {"buckets": draw(st.sampled_from([[1, 2.5, 1e7], [-1, 3], [5]]))} if kind is Histogram else {}
    options |= (
        {"states": ["on", "off", draw(texts.filter(lambda text: text not in {"on", "off"}))]} if kind is Enum else {}
    )
    unit = draw(st.sampled_from(["", "bytes"])) if kind not in {Info, Enum} else ""
    labels = [label for label in labels if label != names or kind is not Enum]  # that one is the states' own
    metric = kind(names, draw(texts), labels, unit=unit, registry=registry, **options)
    for values in draw(st.lists(st.tuples(*[texts] * len(labels)), max_size=4)):
        child = metric.labels(*values) if labels else metric
        match kind.__name__:
            case "Counter":
                child.inc(draw(AMOUNTS), exemplar=draw(exemplar))
            case "Gauge":
                child.set(draw(AMOUNTS | st.floats(max_value=0)))
            case "Summary":
                child.observe(draw(AMOUNTS | st.floats()))
            case "Histogram":
                child.observe(draw(AMOUNTS | st.floats()), exemplar=draw(exemplar))
            case "Info":
                child.info(draw(st.dictionaries(st.sampled_from(["version", "os.name", "c_d"]), texts)))
            case "Enum":
                child.state(draw(st.sampled_from(["on", "off"])))
    return registry


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "created"])
def created(request):
    if request.param:
        asyncmetrics.enable_created_metrics()
    yield request.param
    asyncmetrics.disable_created_metrics()


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
@given(data=st.data())
def test_live_and_eager_families_are_written_as_the_same_bytes(data, form, escaping, created, hostile_text, written):
    texts = hostile_text | st.just(",z=")  # where a label in the middle has its place
    families = list(collect_within(data.draw(registries(texts))))
    copies = [eager(family) for family in families]
    assert written(form, families, escaping=escaping) == written(form, copies, escaping=escaping)


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
def test_a_restricted_family_is_written_as_its_samples(form, written):
    registry = CollectorRegistry()
    histogram = Histogram("size", "Sizes.", ["a"], registry=registry, buckets=[1])
    histogram.labels("x").observe(0.5, exemplar={"id": "1"})
    histogram.labels("y").observe(3)
    for names in (["size_bucket"], ["size_count"], ["size_sum", "size_bucket"], ["size"]):
        families = list(collect_within(registry.restricted_registry(names)))
        assert "size_" in written(form, families)
        copies = [eager(family, partial=names != ["size"]) for family in families]
        assert written(form, families) == written(form, copies)


@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
def test_a_label_block_that_is_kept_does_not_leak_into_another_scheme(escaping, written):
    """Children keep their label block. A scheme that writes the names differently must not use it."""
    registry = CollectorRegistry()
    Gauge("level", "", ["a_b", "c.d"], registry=registry).labels("1", "2").set(3)
    fresh = written(encode_text, [eager(next(collect_within(registry)))], escaping=escaping)
    for other in ESCAPING_SCHEMES:
        written(encode_text, collect_within(registry), escaping=other)
    assert written(encode_text, collect_within(registry), escaping=escaping) == fresh
