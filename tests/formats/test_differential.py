"""prometheus_client beside us: it writes the same bytes for the same content, and reads what we write."""

from __future__ import annotations

import shutil
import subprocess

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

import asyncmetrics
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text

LABELS = ["z", "a"]
AMOUNTS = st.floats(0, 1e18)


def fill(library, actions, texts):
    """Create the same metrics with either library: both have the same names and arguments."""
    registry = library.CollectorRegistry()
    options = {"registry": registry}
    help_text, first, second = texts
    counter = library.Counter("jobs", help_text, LABELS, **options).labels(first, second)
    gauge = library.Gauge("level", help_text, LABELS, **options).labels(first, second)
    summary = library.Summary("wait_seconds", help_text, LABELS, unit="seconds", **options).labels(first, second)
    histogram = library.Histogram("size_bytes", help_text, LABELS, buckets=[0.5, 1, 1e7], **options).labels(
        first, second
    )
    library.Info("build", help_text, **options).info({"a": first, "b": second})
    library.Enum("state", help_text, LABELS, states=["on", "off"], **options).labels(first, second).state("off")
    bare = library.Counter("bare_total", help_text, **options)
    for amount in actions:
        counter.inc(amount)
        gauge.set(-amount)
        summary.observe(amount)
        histogram.observe(amount)
        bare.inc()
    return registry


@pytest.fixture(scope="module", autouse=True)
def _no_created_samples():
    prometheus_client.disable_created_metrics()
    yield
    prometheus_client.enable_created_metrics()


@pytest.fixture(scope="module")
def texts(hostile_text):
    clean = hostile_text.map(lambda text: text.replace("\r", ""))
    return st.tuples(clean, hostile_text, hostile_text)


@given(data=st.data())
def test_text_has_the_same_bytes(data, texts, written):
    arguments = data.draw(st.lists(AMOUNTS, max_size=4)), data.draw(texts)
    theirs = generate_latest(fill(prometheus_client, *arguments)).decode()
    assert written(encode_text, fill(asyncmetrics, *arguments).collect()) == theirs


@given(data=st.data())
def test_openmetrics_has_the_same_lines(data, texts, written):
    """The order of a family's metadata is free, and theirs differs from ours."""
    arguments = data.draw(st.lists(AMOUNTS, max_size=4)), data.draw(texts)
    theirs = generate_openmetrics(fill(prometheus_client, *arguments)).decode()
    assert sorted(written(encode_openmetrics, fill(asyncmetrics, *arguments).collect()).split("\n")) == sorted(
        theirs.split("\n")
    )


def plain(families):
    """Return the comparable content of families of either library."""
    return [
        (family.name, family.type, family.unit, [(s.name, s.labels, repr(s.value)) for s in family.samples])
        for family in families
    ]


@given(data=st.data())
def test_their_text_parser_reads_our_text(data, texts, written):
    ours = fill(asyncmetrics, data.draw(st.lists(AMOUNTS, max_size=3)), data.draw(texts))
    text = written(encode_text, ours.collect())
    theirs = {sample for family in plain(read_text(text)) for sample in map(_frozen, family[3])}
    mine = {_frozen((s.name, s.labels, repr(s.value))) for family in ours.collect() for s in family.samples}
    assert theirs == mine


def _frozen(sample):
    name, labels, value = sample
    return (name, tuple(sorted(labels.items())), value)


@given(data=st.data())
def test_their_openmetrics_parser_reads_our_text(data, texts, written):
    ours = fill(asyncmetrics, data.draw(st.lists(AMOUNTS, max_size=3)), data.draw(texts))
    assert plain(read_openmetrics(written(encode_openmetrics, ours.collect()))) == plain(ours.collect())


@given(data=st.data())
def test_their_openmetrics_parser_reads_our_custom_families(data, openmetrics_families, written):
    families = data.draw(openmetrics_families)
    for family in families:
        family.samples = [s._replace(timestamp=None, exemplar=None) for s in family.samples]
    assert len(list(read_openmetrics(written(encode_openmetrics, families)))) == len(families)


def test_their_parser_reads_our_exemplars_and_creation_times(written):
    registry = asyncmetrics.CollectorRegistry()
    asyncmetrics.Counter("jobs", "", registry=registry).inc(1, exemplar={"trace_id": "a{b"})
    asyncmetrics.Histogram("size", "", registry=registry, buckets=[1]).observe(3, exemplar={"trace_id": "é"})
    asyncmetrics.enable_created_metrics()
    try:
        families = list(registry.collect())
    finally:
        asyncmetrics.disable_created_metrics()
    jobs, size = read_openmetrics(written(encode_openmetrics, families))
    assert [sample.name for sample in jobs.samples] == ["jobs_total", "jobs_created"]
    assert jobs.samples[0].exemplar.labels == {"trace_id": "a{b"}
    assert [sample.exemplar and sample.exemplar.value for sample in size.samples[:2]] == [None, 3.0]
    assert "# TYPE jobs_created gauge\njobs_created 1." in written(encode_text, families)


@pytest.mark.real
def test_promtool_finds_nothing_in_a_rich_registry(binary, written):
    registry = asyncmetrics.CollectorRegistry()
    for library, name in (
        (asyncmetrics.Counter, "jobs_total"),
        (asyncmetrics.Gauge, "queue_length"),
        (asyncmetrics.Summary, "wait_seconds"),
    ):
        library(name, 'Help\nwith \\ "all".', LABELS, registry=registry).labels('a"b\\', "c\nd # EOF")
    asyncmetrics.Histogram("latency_seconds", "Latency.", LABELS, registry=registry).labels("", "é").observe(
        float("inf")
    )
    asyncmetrics.Info("build", "Build.", registry=registry).info({"version": "1"})
    asyncmetrics.Enum("mode", "Mode.", states=["on", "off"], registry=registry)
    assert shutil.which("promtool") == binary("promtool")
    done = subprocess.run(
        [binary("promtool"), "check", "metrics"],
        input=written(encode_text, registry.collect()),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
