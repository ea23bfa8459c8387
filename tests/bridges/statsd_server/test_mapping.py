"""The mapping: the examples of statsd_exporter's README give its results, and what else its table can say."""

from __future__ import annotations

import json
import re
import sys

import pytest

from asyncmetrics.bridges.statsd_server import StatsDServer
from asyncmetrics.errors import DefinitionError, MissingExtraError
from tests.servers.requirements import require_packages

DISPATCHER = {
    "match": "test.dispatcher.*.*.*",
    "name": "dispatcher_events_total",
    "labels": {"processor": "$1", "action": "$2", "outcome": "$3", "job": "test_dispatcher"},
}
SIGNUP = {
    "match": "*.signup.*.*",
    "name": "signup_events_total",
    "labels": {"provider": "$2", "outcome": "$3", "job": "${1}_server"},
}
TIMING_LABELS = {"provider": "$2", "outcome": "$3", "job": "${1}_server"}
REQUESTS = {
    "match": r"(.*)\.(.*)--(.*)\.status\.(.*)\.count",
    "match_type": "regex",
    "name": "request_total",
    "labels": {"hostname": "$1", "exec": "$2", "protocol": "$3", "code": "$4"},
}
LABELS = {"provider": "x", "outcome": "ok", "job": "api_server"}


@pytest.mark.parametrize(
    ("mapping", "line", "name", "labels"),
    [
        (
            [DISPATCHER, SIGNUP],
            b"test.dispatcher.FooProcessor.send.success:1|c",
            "dispatcher_events_total",
            {"processor": "FooProcessor", "action": "send", "outcome": "success", "job": "test_dispatcher"},
        ),
        (
            [DISPATCHER, SIGNUP],
            b"foo_product.signup.facebook.failure:1|c",
            "signup_events_total",
            {"provider": "facebook", "outcome": "failure", "job": "foo_product_server"},
        ),
        ([DISPATCHER, SIGNUP], b"test.web-server.foo.bar:1|g", "test_web_server_foo_bar", {}),
        (
            [{"match": "test.*.*.counter", "name": "${2}_total", "labels": {"provider": "$1"}}],
            b"test.acme.jobs.counter:1|c",
            "jobs_total",
            {"provider": "acme"},
        ),
        (
            [
                {
                    "match": r"test\.(\w+)\.(\w+)\.counter",
                    "match_type": "regex",
                    "name": "${2}_total",
                    "labels": {"provider": "$1"},
                }
            ],
            b"test.acme.jobs.counter:1|c",
            "jobs_total",
            {"provider": "acme"},
        ),
        (
            [{"match": "http.request.*", "help": "Requests.", "name": "http_requests_total", "labels": {"code": "$1"}}],
            b"http.request.200:1|c",
            "http_requests_total",
            {"code": "200"},
        ),
        (
            [{"match": "test.timing.*.*.*", "observer_type": "summary", "name": "my_timer", "labels": TIMING_LABELS}],
            b"test.timing.api.x.ok:1000|ms",
            "my_timer_count",
            LABELS,
        ),
        (
            [
                {
                    "match": "test.timing.*.*.*",
                    "observer_type": "histogram",
                    "histogram_options": {"buckets": [0.01, 0.025, 0.05, 0.1]},
                    "name": "my_timer",
                    "labels": TIMING_LABELS,
                }
            ],
            b"test.timing.api.x.ok:60|ms",
            "my_timer_bucket",
            {**LABELS, "le": "0.1"},
        ),
        (
            [REQUESTS],
            b"web1.nginx--http.status.200.count:1|c",
            "request_total",
            {"hostname": "web1", "exec": "nginx", "protocol": "http", "code": "200"},
        ),
        (
            [{"match": "test.foo.*", "name": "test_foo", "match_metric_type": "counter", "labels": {"provider": "$1"}}],
            b"test.foo.x:1|c",
            "test_foo_total",
            {"provider": "x"},
        ),
        (
            [{"match": "test.foo.*", "name": "test_foo", "match_metric_type": "counter", "labels": {"provider": "$1"}}],
            b"test.foo.x:1|g",
            "test_foo_x",
            {},
        ),
    ],
)
def test_an_example_of_the_readme_gives_its_series(send, value, mapping, line, name, labels):
    send(line, mapping=mapping)
    assert value(name, **labels) == 1


def test_the_defaults_of_the_readme_hold_for_mappings_that_say_nothing_else(send, value):
    mapping = {
        "defaults": {
            "timer_type": "histogram",
            "buckets": [0.005, 2.5],
            "match_type": "glob",
            "glob_disable_ordering": False,
            "ttl": 0,
        },
        "mappings": [
            {"match": "test.timing.*.*.*", "name": "my_timer", "labels": TIMING_LABELS},
            {
                "match": "other.timing.*.*.*",
                "timer_type": "summary",
                "name": "other_timer",
                "labels": {**TIMING_LABELS, "job": "${1}_server_other"},
            },
        ],
    }
    send(b"test.timing.api.x.ok:1000|ms\nother.timing.api.x.ok:1000|ms", mapping=mapping)
    assert value("my_timer_bucket", **LABELS, le="2.5") == 1
    assert value("other_timer_sum", **{**LABELS, "job": "api_server_other"}) == 1
    assert value("other_timer_bucket", **{**LABELS, "job": "api_server_other"}, le="2.5") is None


def test_the_drop_action_of_the_readme_drops_what_no_other_mapping_matches(send, value, lines):
    drop = {"match": ".", "match_type": "regex", "action": "drop", "name": "dropped"}
    send(b"test.dispatcher.a.b.c:1|c\nother:1|c", mapping=[DISPATCHER, drop])
    assert (lines("ok"), lines("dropped"), value("other_total")) == (1, 1, None)


@pytest.mark.parametrize(("is_unordered", "first"), [(False, "any"), (True, "exact")])
def test_the_first_glob_wins_unless_ordering_is_disabled(send, value, is_unordered, first):
    mapping = {
        "defaults": {"glob_disable_ordering": is_unordered},
        "mappings": [{"match": "a.*.*", "name": "any"}, {"match": "a.b.*", "name": "exact"}],
    }
    send(b"a.b.c:1|g", mapping=mapping)
    assert {name for name in ("any", "exact") if value(name)} == {first}


@pytest.mark.parametrize("is_unordered", [False, True])
def test_a_glob_that_fails_at_its_end_gives_way_to_another(send, value, is_unordered):
    mapping = {
        "defaults": {"glob_disable_ordering": is_unordered},
        "mappings": [
            {"match": "back.*.bbb", "name": "testb", "labels": {"label": "${1}_foo"}},
            {"match": "back.just.aaa", "name": "testa", "labels": {"label": "${1}_foo"}},
        ],
    }
    send(b"back.good.bbb:1|g\nback.just.bbb:1|g\nback.just.aaa:1|g", mapping=mapping)
    assert [value("testb", label=label) for label in ("good_foo", "just_foo")] == [1, 1]
    assert value("testa", label="_foo") == 1


def test_labels_may_refer_to_groups_by_name(send, value):
    labels = {"host": "$host", "both": "${host}-${2}", "none": "${other}x"}
    regex = r"(?P<host>\w+)\.(\w+)$"
    send(b"web.up:1|c", mapping=[{"match": regex, "match_type": "regex", "name": "up", "labels": labels}])
    assert value("up_total", host="web", both="web-up", none="x") == 1


def test_globs_come_before_regexes(send, value):
    send(b"a.b:1|g", mapping=[{"match": "a", "match_type": "regex", "name": "regex"}, {"match": "a.*", "name": "glob"}])
    assert (value("glob"), value("regex")) == (1, None)


def test_the_labels_of_a_mapping_replace_tags_unless_it_honours_them(send, value):
    mapping = [
        {"match": "a.*", "name": "a", "labels": {"x": "mapped"}},
        {"match": "b.*", "name": "b", "labels": {"x": "mapped"}, "honor_labels": True},
    ]
    send(b"a.1:1|g|#x:tag\nb.1:1|g|#x:tag", mapping=mapping)
    assert (value("a", x="mapped"), value("b", x="tag")) == (1, 1)


def test_a_scale_multiplies_values(send, value):
    send(b"a.b:500|g", mapping=[{"match": "a.*", "name": "a", "scale": 0.001}])
    assert value("a") == 0.5


def test_a_time_to_live_ends_a_series(send, value):
    send(b"a.b:1|g\na.c:1|g", mapping=[{"match": "a.b", "name": "short", "ttl": "1ns"}])
    assert (value("short"), value("a_c")) == (None, 1)


def test_a_help_is_the_documentation(registry, send):
    send(b"a.b:1|g", mapping=[{"match": "a.*", "name": "a", "help": "Said by the mapping."}])
    assert "Said by the mapping." in {family.documentation for family in registry.collect()}


def test_a_regex_that_is_slow_rests(send, lines):
    """Each of the names needs 2 ** 19 steps of the regex."""
    mapping = [{"match": "(a|a)*b$", "match_type": "regex", "name": "x"}]
    send(b"\n".join(b"a" * 19 + b"%d:1|c" % number for number in range(5)), mapping=mapping)
    assert lines("slow_regex") >= 3


def test_a_name_that_is_long_is_not_matched_by_regexes(send, lines):
    send(b"a" * 201 + b":1|c", mapping=[{"match": "b", "match_type": "regex", "name": "x"}])
    assert lines("slow_regex") == 1


@pytest.mark.parametrize("suffix", ["json", "yml"])
def test_a_mapping_may_be_a_file(tmp_path, send, value, suffix):
    require_packages(["yaml"] if suffix == "yml" else [])
    path = tmp_path / f"mapping.{suffix}"
    path.write_text(json.dumps({"mappings": [SIGNUP]}), encoding="utf-8")  # YAML has all of JSON
    send(b"a.signup.b.c:1|c", mapping=path)
    assert value("signup_events_total", provider="b", outcome="c", job="a_server") == 1


def test_without_pyyaml_a_file_of_yaml_says_what_to_install(monkeypatch, tmp_path, registry):
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "mapping.yml"
    path.write_text("mappings: []", encoding="utf-8")
    with pytest.raises(MissingExtraError, match="PyYAML"):
        StatsDServer(mapping=path, registry=registry)


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (5, "a path, a dict with 'mappings'"),
        ([5], "a path, a dict with 'mappings'"),
        ({"mapings": []}, "has no option 'mapings'; did you mean 'mappings'?"),
        ({"defaults": {"bucket": []}}, "has no option 'bucket'; did you mean 'buckets'?"),
        ([{"match": "a", "name": "a", "tll": 5}], r"mappings\[0\]: has no option 'tll'"),
        ([{"name": "a"}], "expected match= to be a str"),
        ([{"match": "a*.b", "name": "a"}], "segments between dots.*write match_type: regex"),
        ([{"match": "(", "match_type": "regex", "name": "a"}], "a regular expression"),
        ([{"match": "a", "match_type": "globs", "name": "a"}], "'glob' or 'regex'"),
        ([{"match": "a"}], "expected name= to be a metric name"),
        ([{"match": "a", "name": "a b"}], "expected name= to be a metric name"),
        ([{"match": "a", "name": "a", "labels": {"x": 5}}], "write '5'"),
        ([{"match": "a", "name": "a", "labels": {"x-y": "5"}}], "bad label name 'x-y'"),
        ([{"match": "a", "name": "a", "action": "skip"}], "'map' or 'drop'"),
        ([{"match": "a", "name": "a", "ttl": "5 minutes"}], "a duration such as '1m20s'"),
        ([{"match": "a", "name": "a", "buckets": [2, 1]}], "in increasing order"),
        ([{"match": "a", "name": "a", "scale": 0}], "a number above 0"),
        ([{"match": "a", "name": "a", "match_metric_type": "meter"}], "expected match_metric_type= to be one of"),
        ([{"match": "a", "name": "a", "observer_type": "quantile"}], "'histogram' or 'summary'"),
    ],
)
def test_a_wrong_mapping_is_refused(registry, mapping, problem):
    with pytest.raises(DefinitionError, match=problem):
        StatsDServer(mapping=mapping, registry=registry)


def test_a_file_that_is_missing_is_named(registry, tmp_path):
    path = tmp_path / "mapping.yml"
    with pytest.raises(DefinitionError, match=f"mapping: {re.escape(str(path))} cannot be read: No such file"):
        StatsDServer(mapping=path, registry=registry)


def test_a_broken_file_is_refused_by_its_name(registry, tmp_path):
    path = tmp_path / "mapping.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DefinitionError, match=re.escape(str(path))):
        StatsDServer(mapping=path, registry=registry)
