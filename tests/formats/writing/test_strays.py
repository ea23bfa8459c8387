"""Samples that do not belong to the type of their family, and families that claim the same names."""

from __future__ import annotations

import pytest

from asyncmetrics.core import Metric, Sample
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text

PAIRS = [(encode_text, parse_prometheus), (encode_openmetrics, parse_openmetrics)]
both = pytest.mark.parametrize(("form", "parse"), PAIRS, ids=["text", "openmetrics"])


def family(name, kind, *samples):
    made = Metric(name, "", kind)
    made.samples = [Sample(*sample) for sample in samples]
    return made


def read(parse, text):
    return [(found.name, found.type, [(s.name, s.labels, s.value) for s in found.samples]) for found in parse(text)]


def test_in_text_a_stray_stands_where_it_was_added(written):
    """As in prometheus_client."""
    strays = family("service", "gauge", ("service_up", {}, 1), ("service", {}, 2), ("service_gsum", {}, 3))
    assert written(encode_text, [strays, family("queue", "gauge", ("service_up", {"a": "b"}, 0))]) == (
        "# HELP service \n# TYPE service gauge\nservice_up 1.0\nservice 2.0\n"
        "# HELP service_gsum \n# TYPE service_gsum gauge\nservice_gsum 3.0\n"
        '# HELP queue \n# TYPE queue gauge\nservice_up{a="b"} 0.0\n'
    )


def test_a_series_of_stray_samples_is_written_once(written):
    one, other = family("a", "gauge", ("x", {}, 1)), family("b", "gauge", ("x", {}, 2), ("x", {"c": "d"}, 3))
    lines = [line for line in written(encode_text, [one, other]).split("\n") if line and line[0] != "#"]
    assert lines == ["x 1.0", 'x{c="d"} 3.0']


def test_in_openmetrics_a_stray_becomes_a_family_of_its_own_at_the_end(written):
    form, parse = encode_openmetrics, parse_openmetrics
    first = family("service", "gauge", ("service_up", {}, 1), ("service", {}, 2))
    second = family("queue", "gauge", ("queue", {}, 3), ("service_up", {"a": "b"}, 0))
    assert read(parse, written(form, [first, second])) == [
        ("service", "gauge", [("service", {}, 2)]),
        ("queue", "gauge", [("queue", {}, 3)]),
        ("service_up", "unknown", [("service_up", {}, 1), ("service_up", {"a": "b"}, 0)]),
    ]


@both
def test_a_stray_does_not_take_the_name_of_a_later_family(form, parse, written):
    families = [family("a", "gauge", ("b", {}, 1)), family("b", "counter", ("b_total", {}, 2))]
    families.append(family("c", "gauge", ("b_total", {}, 3)))
    found = read(parse, written(form, families))
    assert ("b", "counter", [("b_total", {}, 2)]) in found
    assert all(samples != [("b_total", {}, 3)] for _, _, samples in found)


@both
def test_a_stray_that_a_reader_would_count_among_a_histogram_is_left_out(form, parse, written):
    buckets = [("h_bucket", {"le": "+Inf"}, 1), ("h_count", {}, 1), ("h_sum", {}, 1)]
    found = read(parse, written(form, [family("a", "gauge", ("h_sum", {}, 9)), family("h", "histogram", *buckets)]))
    assert found == [("a", "gauge", []), ("h", "histogram", buckets)]


def test_a_counter_s_sample_without_total_is_one_of_its_own_in_text_only(written):
    """OpenMetrics reserves the bare name for the counter."""
    counter = family("jobs", "counter", ("jobs", {}, 1))
    assert read(parse_prometheus, written(encode_text, [counter]))[-1] == ("jobs", "unknown", [("jobs", {}, 1)])
    assert read(parse_openmetrics, written(encode_openmetrics, [counter])) == [("jobs", "counter", [])]


@both
def test_of_strays_whose_names_are_written_alike_the_first_is_written(form, parse, written):
    found = read(parse, written(form, [family("a", "gauge", ("x.y", {}, 1), ("x_y", {}, 2), ("x.y", {"a": "b"}, 3))]))
    assert found[-1] == ("x_y", "unknown", [("x_y", {}, 1), ("x_y", {"a": "b"}, 3)])


@both
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "gauge"), ("a", "gauge")),
        (("a.b", "gauge"), ("a_b", "gauge")),
        (("a", "counter"), ("a_total", "gauge")),
        (("a", "histogram"), ("a_count", "gauge")),
        (("a", "gaugehistogram"), ("a_gsum", "gauge")),
    ],
    ids=repr,
)
def test_of_families_whose_names_collide_the_first_is_written(form, parse, one, other, written):
    """A registry refuses them; a program can encode families without a registry."""
    found = read(parse, written(form, [family(*one), family(*other)]))
    assert len(found) == 1
    assert len(read(parse, written(form, [family(*other)]))) == 1


@both
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("type", "gauge\nx 1"), ("type", ["gauge"]), ("name", "b\nx 1"), ("name", ""), ("name", None), ("name", "\ud800")],
    ids=repr,
)
def test_a_family_without_a_proper_name_or_type_is_left_out(form, parse, attribute, value, written):
    good, bad = family("good", "gauge", ("good", {}, 1)), family("bad", "gauge", ("bad", {}, 1))
    setattr(bad, attribute, value)
    assert read(parse, written(form, [bad, None, good])) == [("good", "gauge", [("good", {}, 1)])]


@both
def test_a_family_without_a_list_of_samples_has_none(form, parse, written):
    bad = family("bad", "gauge")
    bad.samples = None
    assert read(parse, written(form, [bad])) == [("bad", "gauge", [])]


@both
def test_an_error_of_the_samples_is_raised(form, parse, written):
    """The error of a collector's property reaches the caller of the encoder."""

    class Torn(Metric):
        samples = property(lambda self: 1 / 0, lambda self, samples: None)

    with pytest.raises(ZeroDivisionError):
        written(form, [Torn("a", "", "gauge")])


@both
def test_help_that_fails_is_empty(form, parse, written):
    class Failing:
        def __str__(self):
            raise RuntimeError

    assert [f.documentation for f in parse(written(form, [Metric("a", Failing(), "gauge")]))] == [""]


@both
def test_samples_that_are_added_while_their_family_is_written_do_not_disturb(form, parse, written):
    growing = family("a", "gauge", *[("a", {"n": str(number)}, 1) for number in range(5000)])
    chunks = form([growing])
    first = next(chunks)
    growing.add_sample("a", {"n": "0"}, 2)
    growing.samples.clear()
    assert len(read(parse, (first + b"".join(chunks)).decode())[0][2]) == 5000
