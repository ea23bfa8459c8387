"""What is answered to which request: status, headers, format, selection, compression."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.exposition import make_asgi_app
from tests.thoroughness import examples

PROMETHEUS_2 = (
    b"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
FORMATS = ("text/plain; version=", "application/openmetrics-text; version=", PROTOBUF)


@pytest.fixture(scope="module")
def app():
    registry = CollectorRegistry()
    Counter("jobs_total", "Jobs run.", ["kind"], registry=registry).labels("mail").inc(3)
    Gauge("queue_length", "Jobs that wait.", registry=registry).set(7)
    return make_asgi_app(registry)


def test_get_answers_with_the_text_format(app, ask):
    answer = ask(app)
    assert (answer.status, answer.headers["content-type"].startswith("text/plain; version=0.0.4")) == (200, True)
    assert 'jobs_total{kind="mail"} 3' in answer.text


def test_head_has_the_headers_of_get_and_no_body(app, ask):
    head = ask(app, method="HEAD")
    assert (head.status, head.headers, head.text) == (200, ask(app).headers, "")


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "", "EVIL1"]
)
def test_any_other_method_is_refused_with_a_list_of_the_allowed_ones(app, ask, method):
    answer = ask(app, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "", "/metrics", "/metrics/", "/a/b", "/\ud800", "*"])
def test_every_path_is_served(app, ask, path):
    assert ask(app, path=path).status == 200


@pytest.mark.parametrize("path", ["/favicon.ico", "/metrics/favicon.ico"])
def test_a_browsers_wish_for_an_icon_renders_nothing(app, ask, path):
    assert ask(app, path=path).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refusal_states_the_length_of_what_get_would_have(app, ask, method):
    got = ask(app, path="/favicon.ico")
    assert ask(app, path="/favicon.ico", method=method).headers["content-length"] == str(len(got.text))


def test_a_refusal_to_head_has_no_body(app, ask):
    assert ask(app, path="/favicon.ico", method="HEAD").text == ""


def test_a_prometheus_server_gets_openmetrics(app, ask):
    answer = ask(app, headers=[(b"accept", PROMETHEUS_2)])
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.text.endswith("\n# EOF\n")


def test_several_accept_headers_count_as_one_list(app, ask):
    several = [(b"accept", b"application/openmetrics-text;version=1.0.0"), (b"accept", b"text/plain;q=0.1")]
    assert ask(app, headers=several).headers["content-type"].startswith("application/openmetrics-text")


def test_header_names_count_in_any_case_and_pairs_may_be_lists(app, ask):
    assert ask(app, headers=[[b"Accept", PROMETHEUS_2]]).text.endswith("# EOF\n")


def test_the_vary_header_names_what_the_answer_depends_on(app, ask):
    assert ask(app).headers["vary"] == "Accept, Accept-Encoding"


def test_gzip_is_used_for_clients_that_accept_it(app, ask):
    answer = ask(app, headers=[(b"accept-encoding", b"deflate, gzip")])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.lines == ask(app).lines


@pytest.mark.parametrize("accepted", [b"identity", b"gzip;q=0", b"", b"br"])
def test_gzip_is_not_used_for_others(app, ask, accepted):
    assert "content-encoding" not in ask(app, headers=[(b"accept-encoding", accepted)]).headers


def test_compression_can_be_disabled(ask, registry):
    answer = ask(make_asgi_app(registry, disable_compression=True), headers=[(b"accept-encoding", b"gzip")])
    assert "content-encoding" not in answer.headers


def test_an_empty_registry_is_a_complete_answer(ask, registry):
    answer = ask(make_asgi_app(registry))
    assert (answer.status, answer.text, answer.complete) == (200, "", True)


@pytest.mark.parametrize(
    "query", [b"name[]=queue_length", b"name%5B%5D=queue_length&x=1", b"&&name[]=queue_length&name[]="]
)
def test_a_filter_leaves_only_what_it_names_and_keeps_type_and_help(app, ask, query):
    lines = ask(app, query=query).text.splitlines()
    assert lines[:2] == ["# HELP queue_length Jobs that wait.", "# TYPE queue_length gauge"]
    assert [line.split()[0] for line in lines[2:]] == ["queue_length"]


def test_prometheus_with_native_histograms_gets_protobuf(app, ask):
    accept = PROTOBUF.replace("; ", ";").encode() + b"," + PROMETHEUS_2
    answer = ask(app, headers=[(b"accept", accept)], query=b"name[]=jobs_total")
    assert answer.headers["content-type"] == PROTOBUF
    body = b"".join(answer.chunks)
    assert b"\x0a\x0ajobs_total\x12\x09Jobs run." in body
    assert b"queue_length" not in body


def test_several_filters_add_up(app, ask):
    assert ask(app, query=b"name[]=queue_length&name[]=jobs_total").lines == ask(app).lines


def test_a_filter_that_names_nothing_gives_nothing(app, ask):
    answer = ask(app, query=b"name[]=unknown")
    assert (answer.status, answer.text) == (200, "")


def test_blank_filters_are_none(app, ask):
    assert ask(app, query=b"name[]=").lines == ask(app).lines


def test_filters_apply_to_a_part_of_a_registry_as_well(ask, registry):
    for name in ("one", "two", "three"):
        Gauge(name, "A number.", registry=registry).set(1)
    app = make_asgi_app(registry.restricted_registry(["one", "two"]))
    text = ask(app, query=b"name[]=two&name[]=three").text
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == ["two"]


@pytest.mark.parametrize(
    "query", [b"&".join([b"name[]=a"] * 257), b"name[]=" + b"a" * 1025, b"&".join([b"x=1"] * 9999)]
)
def test_filters_are_bounded_in_number_and_length(app, ask, query):
    assert ask(app, query=query).status == 400


@pytest.mark.parametrize("query", [b"&".join([b"name[]=a"] * 256), b"name[]=" + b"a" * 1024])
def test_as_many_and_as_long_filters_as_the_bounds_say_are_served(app, ask, query):
    assert ask(app, query=query).status == 200


WORDS = st.sampled_from(
    [b"gzip", b"application/openmetrics-text", b"text/plain", b"*/*", b";", b",", b"q=", b"q=0", b"version=1.0.0", b'"',
     b"escaping=", b"allow-utf-8", b"=", b" ", b"\t", b"\\", b"1e999", b"nan", b"-1", b"0.5", b"*", b"\xff", b"\x00"]
)  # fmt: skip
HOSTILE = st.binary(max_size=60) | st.lists(WORDS, max_size=15).map(b"".join)
METHODS = st.sampled_from(["GET", "HEAD"]) | st.text(max_size=8)
QUERIES = HOSTILE | HOSTILE.map(lambda value: b"name[]=" + value) | st.just(b"name[]=%ff%00%ud800&name[]=%")


@settings(max_examples=examples(400))
@given(method=METHODS, path=st.text(max_size=20), query=QUERIES, accept=HOSTILE, encoding=HOSTILE)
def test_no_request_is_answered_by_a_fault(app, ask, method, path, query, accept, encoding):
    """Whatever comes, the answer is 200 in a known format or a 4xx, whole, with nothing of the request in it."""
    answer = ask(
        app, method=method, path=path, query=query, headers=[(b"accept", accept), (b"accept-encoding", encoding)]
    )
    assert answer.status in {200, 400, 404, 405} and answer.complete
    assert answer.headers["content-type"].startswith(FORMATS if answer.status == 200 else "text/plain; charset=utf-8")
    assert answer.text.isascii()
