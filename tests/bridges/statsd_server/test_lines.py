"""Lines of StatsD and its dialects: what they make of values, types, rates and tags, and which ones are refused."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Gauge
from tests.bridges.statsd_server.conftest import send_lines


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        (b"a.b-c:2|c", "a_b_c_total", 2),
        (b"a_total:2|c", "a_total", 2),
        (b"a:1|c|@0.1", "a_total", 10),
        (b"a:1|c:2|c", "a_total", 3),
        (b"a:1:2|c", "a_total", 3),
        (b"9a:1|c", "_9a_total", 1),
        (b"a--b:1|c", "a_b_total", 1),
        (b"a:1.5|g", "a", 1.5),
        (b"a:-3|g", "a", -3),
        (b"a:5|g\na:+2|g\na:-4|g", "a", 3),
        (b"a:320|ms", "a_sum", 0.32),
        (b"a:320|ms", "a_count", 1),
        (b"a:2|h", "a_sum", 2),
        (b"a:2|d", "a_sum", 2),
        (b"a:1:2:3|d", "a_count", 3),
        (b"a:2|h|@0.25", "a_count", 4),
        (b"a:2|h|@0.25", "a_sum", 8),
        (b"a:ann|s\na:joe|s\na:ann|s", "a", 2),
        (b"a:x:y|s", "a", 1),
        (b"a:1|c|c:ci-1234|T1656581400|e:it-false", "a_total", 1),
        (b"a:1|c\r\n\r\n\na:1|c\n", "a_total", 2),
        (b"a:1|c\r\na:1|c\r", "a_total", 2),
    ],
    ids=repr,
)
def test_a_line_changes_its_series(send, value, line, name, expected):
    send(line)
    assert value(name) == pytest.approx(expected)


@pytest.mark.parametrize(
    "line",
    [b"a:1|c|#x:1,y:2", b"a:1|c|@1|#x:1,y:2", b"a#x=1,y=2:1|c", b"a,x=1,y=2:1|c", b"a[x=1,y=2]:1|c", b"[x=1,y=2]a:1|c"],
)
def test_the_tags_of_each_dialect_become_labels(send, value, line):
    send(line)
    assert value("a_total", x="1", y="2") == 1


def test_a_tag_without_a_value_is_left_out(send, value):
    send(b"a:1|c|#urgent,x:1,:2,y:")
    assert value("a_total", x="1") == 1


def test_a_colon_in_the_value_of_a_tag_belongs_to_it(send, value):
    send(b"a:1|c|#url:http://x:80/")
    assert value("a_total", url="http://x:80/") == 1


def test_a_series_may_lack_labels_that_the_first_one_had(send, value):
    send(b"a:1|c|#x:1,y:2\na:1|c|#x:1\na:1|c")
    assert (value("a_total", x="1"), value("a_total")) == (1, 1)


def test_a_label_that_the_first_line_did_not_have_refuses_the_line(send, lines):
    send(b"a:1|c|#x:1\na:1|c|#x:1,y:2")
    assert (lines("ok"), lines("labels")) == (1, 1)


def test_the_tags_that_are_named_are_labels_whichever_comes_first(send, value):
    send(b"a:1|c\na:1|c|#x:1,y:2,z:3", tags=["x", "y"])
    assert (value("a_total"), value("a_total", x="1", y="2")) == (1, 1)


def test_the_namespace_begins_all_names(send, value):
    send(b"a:1|c", namespace="shop")
    assert value("shop_a_total") == 1


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (b"a", "malformed"),
        (b"a:1", "malformed"),
        (b":1|c", "malformed"),
        (b"a:1|c|", "malformed"),
        (b"a:1|c|x", "malformed"),
        (b"a\xff:1|c", "malformed"),
        (b"a:1|c:2", "malformed"),
        (b"a:1|x", "type"),
        (b"a:|c", "value"),
        (b"a:x|c", "value"),
        (b"a:nan|g", "value"),
        (b"a:inf|ms", "value"),
        (b"a:1e300|c", "value"),
        (b"a:1_0|c", "value"),
        (b"a:-1|c", "value"),
        (b"a:1|c|@0.00009", "rate"),
        (b"a:1|c|@1.1", "rate"),
        (b"a:1|c|@nan", "rate"),
        (b"a:1|c|@x", "rate"),
        (b"a,x=1:1|c|#y:2", "tags"),
        (b"a:1|c|#__name__:x", "tags"),
        (b"a:1|h|#le:1", "tags"),
        (b"a:1|c|#" + b",".join(b"t%d:1" % number for number in range(33)), "tags"),
        (b"a" * 5000 + b":1|c", "too_long"),
        (b"a:1|c|#x:" + b"v" * 1020, "too_long"),
        (b"a" + b":1|c" * 33, "malformed"),
        (b"asyncmetrics_internal_errors:1|c", "conflict"),
        (b"_e{5,4}:title|text|#a:b", "event"),
        (b"_sc|redis|2|#a:b", "service_check"),
    ],
)
def test_a_line_that_is_no_sample_is_counted_by_its_reason(send, lines, line, outcome):
    send(line)
    assert (lines(outcome), lines("ok")) == (1, 0)


def test_a_reason_is_logged_once(send, caplog):
    send(b"bad\nbad\nworse", b"a:x|c\na:y|c")
    records = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.partition(":")[0] for message in records] == [
        "the StatsD server refused the line b'bad'",
        "the StatsD server refused the line b'a",
    ]


def test_a_name_of_another_kind_is_a_conflict(send, value, lines):
    send(b"a:1|c\na:1|g")
    assert (value("a_total"), lines("conflict")) == (1, 1)


def test_a_metric_of_the_application_stays_its_own(registry, send, value, lines):
    Counter("a", "Ours.", registry=registry).inc(5)
    Gauge("b", "Ours.", ["x"], registry=registry)
    send(b"a:1|c\nb:1|g|#x:1")
    assert (value("a_total"), value("b", x="1"), lines("conflict")) == (5, None, 2)


def test_a_server_that_starts_again_goes_on_with_its_metrics(send, value):
    send(b"a:1|c")
    send(b"a:1|c")
    assert value("a_total") == 2


def test_there_are_at_most_so_many_metrics(send, value, lines):
    send(b"a:1|c\nb:1|c\nc:1|c\na:1|c", max_names=2)
    assert (value("a_total"), value("c_total"), lines("limit")) == (2, None, 1)


def test_series_beyond_the_limit_share_one(send, value):
    send(b"\n".join(b"a:1|c|#x:%d" % number for number in range(5)), max_children=2)
    assert value("a_total", x="__overflow__") == 3


def test_members_beyond_the_limit_are_left_out(send, value, lines):
    send(b"\n".join(b"a:%d|s" % number for number in range(5)), max_set_members=3)
    assert (value("a"), lines("set_limit")) == (3, 2)


def test_a_sampled_line_falls_into_its_bucket(send, value):
    send(b"a:20|ms|@0.1")
    assert (value("a_bucket", le="0.01"), value("a_bucket", le="0.025")) == (0, 10)


def test_lines_and_datagrams_are_counted(send, value, lines):
    send(b"a:1|c\na:1|c", b"a:1|c\n")
    assert (lines("ok"), value("asyncmetrics_statsd_datagrams_total")) == (3, 2)


_PIECES = st.sampled_from(
    [b"a", b"b.c", b":", b"|", b"1", b"-2", b"c", b"g", b"ms", b"s", b"@", b"0.1", b"#", b"x:y", b",", b"=", b"[", b"]"]
    + [b"\n", b"\r", b"_e{", b"_sc|", b"nan", b"1e999", b"\xff", b"\xed\xa0\x80", b"\x00", b"__name__", b"le:1", b"$1"]
)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.lists(_PIECES, max_size=20).map(b"".join), st.binary(max_size=60)), max_size=30))
def test_whatever_is_sent_no_line_fails_inside(datagrams):
    registry = CollectorRegistry()
    send_lines(registry, *datagrams, mapping=[{"match": "*.*", "name": "$1_$2", "labels": {"x": "$2"}}])
    assert registry.get_sample_value("asyncmetrics_statsd_lines_total", {"outcome": "error"}) == 0
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "statsd_server"}) is None


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.sampled_from([1, 0.5, 0.25]))
def test_the_sum_of_what_is_sent_is_what_is_exposed(amounts, rate):
    registry = CollectorRegistry()
    send_lines(registry, b"\n".join(b"a:%d|c|@%s" % (amount, str(rate).encode()) for amount in amounts))
    assert registry.get_sample_value("a_total") == pytest.approx(sum(amounts) / rate)
