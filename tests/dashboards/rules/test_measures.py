"""How failures are counted by what a source declares."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.dashboards.rules.measures import find_indicator, render_selector
from asyncmetrics.dashboards.rules.objectives import Selector, parse_objective
from asyncmetrics.errors import DefinitionError
from tests.dashboards.rules.sources import expose, make_names, make_shop, read_names


def find(slo, names, job=None):
    return find_indicator(parse_objective(slo), names, job)


def refuse(slo, names):
    with pytest.raises(DefinitionError) as caught:
        find(slo, names)
    return str(caught.value)


@pytest.mark.parametrize("read", [make_names, lambda registry: read_names(expose(registry).text)])
def test_a_registry_and_its_exposition_before_the_first_request_have_the_same_failures(read):
    found = find("http=99%", read(make_shop()))
    assert render_selector(found.part) == 'http_server_request_duration_seconds_count{status=~"5.."}'
    assert render_selector(found.total) == "http_server_request_duration_seconds_count"


def test_the_namespace_and_the_names_of_opentelemetry_are_found():
    found = find("http:/a=99%", make_names(make_shop(namespace="shop", conventions="opentelemetry")))
    assert render_selector(found.part) == (
        'shop_http_server_request_duration_seconds_count{http_response_status_code=~"5..", http_route="/a"}'
    )


def test_conventions_can_be_said_where_no_sample_shows_them():
    text = expose(make_shop(conventions="opentelemetry")).text
    assert 'http_response_status_code=~"5.."' in render_selector(
        find("http=99%", read_names(text, conventions="opentelemetry")).part
    )


def test_a_job_limits_the_failures_and_the_events():
    found = find("o=failures_total/orders_total=99%", make_names(make_shop()), job='a"b')
    assert render_selector(found.part) == 'failures_total{job="a\\"b"}'
    assert render_selector(found.total) == 'orders_total{job="a\\"b"}'


def test_two_namespaces_need_a_choice():
    text = "\n".join(
        f'{name}_http_server_request_duration_seconds_count{{status="200",route="/"}} 1' for name in ("a", "b")
    )
    assert "choose one by --namespace" in refuse("http=99%", read_names(text))
    assert find("http=99%", read_names(text, namespace="b")).total.name.startswith("b_http")


@pytest.mark.parametrize(("limit", "matcher"), [("0.5s", 'le="0.5"'), ("1s", 'le=~"1|1[.]0"'), ("2500ms", 'le="2.5"')])
def test_the_limit_of_a_latency_is_a_bucket_by_each_of_its_texts(limit, matcher):
    assert f"{{{matcher}}}" in render_selector(find(f"latency<{limit}=99%", make_names(make_shop())).part)


def test_a_limit_that_is_no_bound_names_the_bounds_and_the_nearest():
    text = refuse("latency<0.3s=99%", make_names(make_shop(buckets=[0.1, 0.25, 1])))
    assert "0.3 s is no bound" in text
    assert "0.1, 0.25, 1; the nearest is 0.25" in text


def test_a_bound_that_only_some_series_have_is_none():
    text = """# TYPE h histogram
h_bucket{a="1",le="1"} 1
h_bucket{a="1",le="2"} 1
h_bucket{a="1",le="+Inf"} 1
h_bucket{a="2",le="1"} 1
h_bucket{a="2",le="+Inf"} 1
"""
    assert "Its bounds are 1; the nearest is 1" in refuse("x=h<2s=99%", read_names(text))
    assert find("x=h<1s=99%", read_names(text)).form == "good"


def test_a_histogram_without_a_sample_shows_no_bucket():
    assert "send a request first" in refuse("latency<1s=99%", read_names(expose(make_shop()).text))


@pytest.mark.parametrize(
    ("slo", "problem"),
    [
        ("o=failure_total/orders_total=99%", "did you mean 'failures_total'?"),
        ("o=failures/orders_total=99%", "did you mean 'failures_total'?"),
        ("o=stock/orders_total=99%", "'stock' is a gauge"),
        ('o=failures_total{kode="5"}/orders_total=99%', "has no label 'kode'; its labels are: 'code'"),
        ("x=orders_total<1s=99%", "'orders_total' is no histogram; its histograms are: "),
        ("x=pay_second<1s=99%", "the source has no 'pay_second'; did you mean 'pay_seconds'?"),
        ("o=pay_seconds_sum/orders_total=99%", "'pay_seconds_sum' is a histogram: rate() needs a counter"),
        ("o=pay_seconds/orders_total=99%", "did you mean 'pay_seconds_count'?"),
        ('x=pay_seconds{how="card"}<1s=99%', "pay_seconds_bucket has no label 'how'; its labels are: none"),
        ('o=pay_seconds_bucket{le="1.0"}/orders_total=99%', "counts what is good: write NAME=pay_seconds<LIMIT=99%"),
        ("periodic=99%", "It has the metrics of: http, latency, stream, websocket"),
    ],
)
def test_what_the_source_lacks_is_named(slo, problem):
    assert problem in refuse(slo, make_names(make_shop()))


@pytest.mark.parametrize(
    ("name", "limit", "le"),
    [
        ("pay_milliseconds", "500ms", "500|500[.]0"),
        ("pay_milliseconds", "0.5s", "500|500[.]0"),
        ("pay_milliseconds", "500", "500|500[.]0"),
        ("pay_minutes", "5m", "5|5[.]0"),
        ("pay_minutes", "300s", "5|5[.]0"),
        ("pay_hours", "0.5h", "0.5"),
        ("pay", "5s", "5|5[.]0"),
    ],
)
def test_a_time_is_converted_to_the_unit_of_the_histogram(registry, name, limit, le):
    Histogram(name, "Payments.", buckets=[0.5, 5, 500], registry=registry)
    [matcher] = find(f"x={name}<{limit}=99%", make_names(registry)).part.matchers
    assert matcher[2] == le


def test_a_histogram_of_bytes_has_a_limit_in_bytes(registry):
    Histogram("upload_bytes", "Uploads.", buckets=[1, 1e6, 1e9], registry=registry)
    names = make_names(registry)
    found = find("x=upload_bytes<1000000=99%", names)
    assert (found.part.name, found.verb) == ("upload_bytes_bucket", "are too large")
    assert "upload_bytes is no histogram of times" in refuse("x=upload_bytes<1s=99%", names)
    assert "7 is no bound" in (text := refuse("x=upload_bytes<7=99%", names))
    assert "Its bounds are 1, 1000000, 1000000000; the nearest is 1" in text


def test_an_empty_registry_is_named_as_such():
    assert "It has none of the metrics of the library" in refuse("http=99%", make_names(CollectorRegistry()))


def test_a_metric_of_the_same_name_without_our_labels_is_refused():
    text = 'http_server_request_duration_seconds_count{code="200"} 1\n'
    assert "has no label 'status'" in refuse("http=99%", read_names(text))


def test_a_route_that_the_source_does_not_show_is_a_comment_with_those_that_it_shows():
    text = 'http_server_request_duration_seconds_count{route="/\\n- evil: 1",status="200"} 1\n'
    found = find("http:/b=99%", read_names(text))
    assert found.comment == 'The source shows no route "/b" yet. It shows "/\\n- evil: 1".'


def test_a_name_that_promql_cannot_hold_is_a_matcher():
    assert render_selector(Selector("a.b", (("c", "=", "d"),))) == '{__name__="a.b", c="d"}'


def test_a_hostile_name_never_becomes_a_part_of_an_expression():
    text = '# TYPE "x or vector(1) > http_server_request_duration_seconds_count" counter\n'
    text += '{"x or vector(1) > http_server_request_duration_seconds_count",status="1"} 1\n'
    assert "the source has no http_server" in refuse("http=99%", read_names(text))


def test_a_message_shows_no_control_character_of_the_source():
    assert "\x1b" not in refuse("x=nothing/nothing=99%", read_names('{"ev\x1b[31mil"} 1\n'))
