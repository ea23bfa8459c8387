"""What a format leaves out of an exposition is counted by family and format, and logged once a family."""

from __future__ import annotations

import logging

import pytest

from asyncmetrics import CollectorRegistry, Counter, Histogram, generate_latest, make_asgi_app, write_to_textfile
from asyncmetrics.core import Metric
from asyncmetrics.exposition import make_wsgi_app
from asyncmetrics.exposition.latest import choose_encoder
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Collector:
    blocking = False

    def __init__(self, *families):
        self.families = families

    def collect(self):
        return iter(self.families)


@pytest.fixture
def delays(registry):
    """A histogram with a negative sum, which OpenMetrics forbids."""
    histogram = Histogram("delay_seconds", "Delays.", registry=registry)
    histogram.observe(-1)
    return histogram


def count(registry, family, form):
    return registry.get_sample_value("asyncmetrics_omitted_samples_total", {"family": family, "format": form})


def ask_wsgi(registry):
    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": OPENMETRICS}
    list(make_wsgi_app(registry)(environ, lambda status, headers: None))


WAYS = {
    "wsgi": ask_wsgi,
    "choose_encoder": lambda registry: choose_encoder(OPENMETRICS)[0](registry),
    "the drop-in": generate_openmetrics,
}


@pytest.mark.usefixtures("delays")
@pytest.mark.parametrize("way", WAYS)
def test_after_a_negative_observation_openmetrics_lacks_two_samples(way, registry):
    WAYS[way](registry)
    assert count(registry, "delay_seconds", "openmetrics") == 2
    WAYS[way](registry)
    assert count(registry, "delay_seconds", "openmetrics") == 4


@pytest.mark.usefixtures("delays")
def test_a_scrape_of_an_asgi_application_counts(ask, backend, registry):
    ask(make_asgi_app(registry), backend=backend, headers=[(b"accept", OPENMETRICS.encode())])
    assert count(registry, "delay_seconds", "openmetrics") == 2


@pytest.mark.usefixtures("delays")
def test_the_text_format_lacks_nothing_of_it(registry):
    assert b"delay_seconds_sum -1.0\n" in generate_latest(registry)
    assert count(registry, "delay_seconds", "text") is None


@pytest.fixture
def doubled(registry):
    """A series of a counter that occurs twice, which no exposition may have."""
    family = Metric("jobs", "", "counter")
    family.add_sample("jobs_total", {}, 1)
    family.add_sample("jobs_total", {}, 2)
    registry.register(Collector(family))


@pytest.mark.usefixtures("doubled")
def test_the_text_and_the_textfile_count_under_the_exposed_name(registry, tmp_path):
    generate_latest(registry)
    assert count(registry, "jobs_total", "text") == 1
    write_to_textfile(tmp_path / "metrics.prom", registry)
    assert count(registry, "jobs_total", "text") == 2


@pytest.mark.usefixtures("delays", "doubled")
def test_the_first_sample_of_each_family_is_logged_with_the_reason(registry, caplog):
    with caplog.at_level(logging.WARNING, "asyncmetrics"):
        for _ in range(3):
            generate_latest(registry)
            generate_openmetrics(registry)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "left a sample of jobs_total out of the text format",
        "left a sample of delay_seconds out of the openmetrics format",
    ]
    assert "twice" in caplog.text


def test_a_registry_that_is_written_whole_has_no_such_family(registry):
    Counter("jobs", "", registry=registry).inc(exemplar={"id": "1"})
    Histogram("size", "", buckets=[-1, 1], registry=registry).observe(-3)
    generate_latest(registry)
    generate_openmetrics(registry)
    assert "asyncmetrics" not in generate_latest(registry).decode()


def test_the_number_of_families_is_bounded(registry):
    families = [Metric(f"a{number}", "", "gauge") for number in range(1500)]
    for family in families:
        family.add_sample(family.name, {}, 1)
        family.add_sample(family.name, {}, 2)  # the same series once more
    reported = []
    list(encode_text(families, on_omitted=lambda *event: reported.append(event)))
    assert len(reported) == 1500
    registry.register(Collector(*families))
    generate_latest(registry)
    [found] = [family for family in registry.collect() if family.name == "asyncmetrics_omitted_samples"]
    assert len(found.samples) <= 1001


def report(form, family, **options):
    """Return the reasons for which ``form`` leaves samples of ``family`` out."""
    found = []
    b"".join(form([family], on_omitted=lambda *event: found.append(event), **options))
    assert all(name == "a" for name, _, _ in found)
    return [reason for _, _, reason in found]


BAD = {
    "histogram": [("a_bucket", {"le": "1"}, 1), ("a_sum", {}, 1)],
    "gauge": [("a", {}, "x"), ("a", {}, None), (None, {}, 1), ("a\n", {}, 1)],
    "summary": [("a", {"quantile": "2"}, 1), ("a_sum", {}, -1)],
    "stateset": [("a", {}, 1), ("a", {"a": "b"}, 3)],
    "unknown": [("a", {}, 1), ("a", {}, 2), ("a", {}, 3, 5)],
}
COUNTS = {"histogram": 2, "gauge": 4, "summary": 2, "stateset": 2, "unknown": 2}


@pytest.mark.parametrize("kind", BAD)
def test_every_sample_that_openmetrics_leaves_out_is_reported(kind):
    family = Metric("a", "", kind)
    for sample in BAD[kind]:
        family.add_sample(*sample)
    reasons = report(encode_openmetrics, family)
    assert len(reasons) == COUNTS[kind]
    assert all(reasons)


@pytest.mark.parametrize("kind", ["gauge", "unknown"])
def test_every_sample_that_text_leaves_out_is_reported(kind):
    family = Metric("a", "", kind)
    for sample in BAD[kind]:
        family.add_sample(*sample)
    assert len(report(encode_text, family)) == COUNTS[kind]


@pytest.mark.parametrize("form", [encode_text, encode_openmetrics], ids=["text", "openmetrics"])
def test_a_family_that_is_left_out_is_reported_once(form):
    one, other = Metric("a", "", "gauge"), Metric("a", "", "gauge")
    reported = []
    list(form([one, other, None], on_omitted=lambda *event: reported.append(event)))
    assert [name for name, _, _ in reported] in (["a", "(without a valid name)"], ["(without a valid name)", "a"])


def test_a_family_whose_name_is_taken_under_one_scheme_only_is_reported():
    registry = CollectorRegistry()
    Counter("a.b", "", registry=registry)
    Counter("a_dot_b", "", registry=registry)
    reported = []
    text = b"".join(encode_text(registry.collect(), escaping="dots", on_omitted=lambda *event: reported.append(event)))
    assert text.count(b"# TYPE a_dot_b_total counter\n") == 1
    assert reported == [("a_dot_b_total", "text", "another family has the name")]
