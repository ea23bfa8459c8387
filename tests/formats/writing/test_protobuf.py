"""Families as protobuf: `google.protobuf` reads the samples that OpenMetrics has."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan, trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, Metric, Sample, Timestamp
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.model.samples import get_moment

decoding = pytest.importorskip("tests.formats.decoding", reason="needs protobuf", exc_type=ImportError)

SECOND = 1_700_000_000.0
LAST_SECOND = 253_402_300_799
FIRST_SECOND = -62_135_596_800


def encode(families, **options):
    return b"".join(encode_protobuf(families, **options))


def decode(families, **options):
    return decoding.decode(encode(families, **options))


def list_samples(families, **options):
    return decoding.list_samples(decode(families, **options))


def omitted(families):
    """Return the reasons for which samples are left out."""
    reasons = []
    encode(families, on_omitted=lambda *told: reasons.append(told))
    return reasons


def make_family(kind, *samples, name="x"):
    family = Metric(name, "", kind)
    family.samples = [Sample(name + suffix, *rest) for suffix, *rest in samples]
    return family


def to_milliseconds(time):
    if time is None:
        return None
    seconds, nanoseconds = get_moment(time)
    return trunc(Fraction(seconds * 10**9 + nanoseconds, 10**6))


def to_nanoseconds(time):
    if time is None:
        return None
    seconds, nanoseconds = get_moment(time)
    return seconds * 10**9 + int(nanoseconds) if FIRST_SECOND <= seconds <= LAST_SECOND else None


def normalise(samples):
    """Return comparable samples of OpenMetrics: with times and numbers as far as protobuf has them."""
    for name, labels, value, time, exemplar, *_ in samples:
        milliseconds = to_milliseconds(time)
        if milliseconds is None or abs(milliseconds) < 2**63:
            read = exemplar and exemplar._replace(timestamp=to_nanoseconds(exemplar.timestamp))
            yield Sample(name, labels, value, milliseconds, read)


def make_comparable(samples, kinds):
    """Return samples by what identifies them. Times of creation have milliseconds, if there is a message for them."""
    found = {}
    for name, labels, value, time, exemplar, *_ in samples:
        family, _, suffix = name.rpartition("_")
        if suffix == "created" and not 0 <= value <= LAST_SECOND:
            continue
        if kinds.get(family) == "gaugehistogram":
            exemplar = None
        if exemplar is not None:  # a float before 1970 may be cut to either side
            exemplar = exemplar._replace(timestamp=pytest.approx(exemplar.timestamp, abs=1))
        key = name, tuple(sorted(labels.items())), time
        assert key not in found
        found[key] = pytest.approx(value, abs=0.0011) if suffix == "created" else value, exemplar
    return found


def compare(families, escaping):
    text = b"".join(encode_openmetrics(families, escaping=escaping)).decode()
    parsed = list(parse_openmetrics(text))
    kinds = {family.name: family.type for family in parsed}
    wanted = [sample for family in parsed for sample in normalise(family.samples)]
    read = list_samples(families, escaping=escaping)
    assert make_comparable(read, kinds) == make_comparable(wanted, kinds)


@given(data=st.data())
def test_the_samples_are_those_of_openmetrics(data, openmetrics_families):
    compare(data.draw(openmetrics_families), "underscores")


@given(data=st.data(), escaping=st.sampled_from(["allow-utf-8", "values", "dots", "underscores"]))
def test_names_of_any_script_are_escaped_as_in_openmetrics(data, openmetrics_utf8_families, escaping):
    compare(data.draw(openmetrics_utf8_families), escaping)


@pytest.mark.parametrize(
    ("samples", "kept"),
    [
        ([("_count", {}, 2.0)], {"x_count": 2.0}),
        ([("", {"quantile": "0.50"}, 1.5)], {"x": 1.5}),
        ([("_count", {}, 1e300), ("_sum", {}, 2.0)], {"x_count": 1e300, "x_sum": 2.0}),
        ([("_count", {}, 2.0), ("_sum", {}, 3.0)], {"x_count": 2.0, "x_sum": 3.0}),
    ],
)
def test_a_summary_that_lacks_a_number_gets_none(samples, kept):
    assert {sample.name: sample.value for sample in list_samples([make_family("summary", *samples)])} == kept


def test_no_two_messages_have_one_name_if_a_summary_lacks_a_number():
    """Readers that keep families by name would lose the whole one."""
    numbers = (
        ("", {"quantile": "0.5"}, 1.0),
        ("_sum", {}, 2.0),
        ("_count", {}, 3.0),
        ("", {"a": "b", "quantile": "1"}, 4.0),
    )
    family = make_family("summary", *numbers)
    messages = decode([family])
    assert sorted(message.name for message in messages) == ["x", "x_count", "x_sum"]
    wanted = {(sample.name, sample.labels.get("a"), sample.value) for sample in family.samples}
    assert {(one.name, one.labels.get("a"), one.value) for one in decoding.list_samples(messages)} == wanted


def test_a_gauge_histogram_has_the_names_of_openmetrics():
    buckets = [("_bucket", {"le": "1"}, 1.0), ("_bucket", {"le": "+Inf"}, 2.0)]
    family = make_family("gaugehistogram", *buckets, ("_gcount", {}, 2.0), ("_gsum", {}, -1.0))
    found = [(name, labels.get("le"), value) for name, labels, value, *_ in list_samples([family])]
    assert found == [
        ("x_bucket", "1.0", 1.0),
        ("x_bucket", "+Inf", 2.0),
        ("x_gcount", None, 2.0),
        ("x_gsum", None, -1.0),
    ]


@pytest.mark.parametrize("value", [nan, inf, -inf, 0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_every_double_is_exact(value):
    family = make_family("gauge", ("", {}, value))
    assert repr(list_samples([family])[0].value) == repr(value)


def test_points_come_in_the_order_of_their_times():
    family = make_family("gauge", ("", {}, 1.0, SECOND + 0.0015), ("", {}, 2.0, Timestamp(-1, 5)))
    assert [(sample.value, sample.timestamp) for sample in list_samples([family])] == [
        (2.0, -1000),
        (1.0, 1_700_000_000_001),
    ]


def test_a_point_without_a_time_is_the_only_one():
    family = make_family("gauge", ("", {}, 1.0, SECOND), ("", {}, 2.0), ("", {"a": "b"}, 3.0, SECOND))
    assert [sample.value for sample in list_samples([family])] == [2.0, 3.0]
    assert omitted([family]) == [("x", "protobuf", "the series also has a sample without a time")]


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        (make_family("gauge", ("", {}, 1.0, 1e300)), "the time is too large"),
        (make_family("counter", ("_total", {}, -1.0)), "_total can be neither negative nor NaN"),
        (make_family("gauge", ("", {}, 1.0), ("", {}, 2.0)), "the series occurs twice"),
        (make_family("histogram", ("_bucket", {"le": "1"}, 1.0)), "the last bucket has to be +Inf"),
        (
            make_family("counter", ("_total", {}, 1.0), ("_created", {}, -1.0)),
            "the time of creation is before 1970 or too large",
        ),
    ],
)
def test_what_is_left_out_is_reported(family, reason):
    assert {told[1:] for told in omitted([family])} == {("protobuf", reason)}


def test_a_stray_sample_has_a_family_of_its_own():
    family = make_family("gauge", ("", {}, 1.0), ("_other", {}, 2.0))
    found = [(one.name, decoding.TYPES[one.type]) for one in decode([family])]
    assert found == [("x", "gauge"), ("x_other", "unknown")]


def test_a_family_with_a_taken_name_is_left_out():
    families = [make_family("gauge", ("", {}, 1.0), name="x_sum"), make_family("summary", ("_sum", {}, 1.0))]
    assert [family.name for family in decode(families)] == ["x_sum"]
    assert omitted(families) == [("x", "protobuf", "another family has the name")]


def test_a_family_without_samples_has_no_message():
    assert encode([make_family("gauge")]) == b""


def test_the_head_of_a_family_has_the_name_of_the_text_format_and_the_unit():
    family = Metric("spent_seconds", "Time \ud800.", "counter", "seconds")
    family.add_sample("spent_seconds_total", {}, 1.0)
    (message,) = decode([family])
    assert (message.name, message.help, message.type, message.unit) == (
        "spent_seconds_total",
        "Time \ufffd.",
        0,
        "seconds",
    )


def test_a_unit_that_the_name_does_not_end_with_is_left_out():
    family = make_family("gauge", ("", {}, 1.0))
    family.unit = "seconds"
    assert not decode([family])[0].HasField("unit")  # Prometheus 3.5 gives up the whole scrape for it


def test_lone_surrogates_and_empty_names_lose_no_sample():
    family = make_family("gauge", ("", {"a": "\ud800", "": "b", "__name__": "c"}, 1.0))
    assert [sample.labels for sample in list_samples([family])] == [{"a": "\ufffd"}]


def test_exemplars_that_openmetrics_forbids_are_left_out():
    late, long = Exemplar({}, 3.0), Exemplar({"a": "b" * 128}, 0.5)
    buckets = [("_bucket", {"le": "1"}, 1.0, None, late), ("_bucket", {"le": "+Inf"}, 2.0, None, long)]
    family = make_family("histogram", *buckets, ("_count", {}, 2.0), ("_sum", {}, 3.5))
    assert [sample.exemplar for sample in list_samples([family])] == [None] * 4


def test_a_large_family_is_one_message():
    """Readers that keep families by name would lose all but the last of several messages."""
    family = make_family("gauge", *[("", {"a": f"{index}{'a' * 60_000}"}, 1.0) for index in range(150)])
    (message,) = decode([family])
    assert [sample.labels["a"][:3].rstrip("a") for sample in decoding.list_samples([message])] == list(
        map(str, range(150))
    )


def test_a_large_family_is_encoded_in_short_steps():
    family = make_family("gauge", *[("", {"a": str(index)}, 1.0) for index in range(5000)])
    chunks = list(encode_protobuf([family]))
    assert len(chunks) > 20
    assert max(map(len, chunks)) < 32 * 1024
