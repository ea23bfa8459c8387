"""The requests by route, of asyncmetrics and of other libraries' metrics."""

from __future__ import annotations

from math import isnan

import pytest

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli.table.routes import list_routes, sort_routes
from asyncmetrics.cli.table.snapshots import read_snapshot


def _list(text: str):
    last = read_snapshot(Exposition(text).parse(), 60)
    return list_routes(last, last.subtract(read_snapshot([], 50)))


def _histogram(name: str, labels: str, events: int) -> str:
    comma = "," if labels else ""
    return (
        f'{name}_bucket{{{labels}{comma}le="1"}} {events}\n{name}_bucket{{{labels}{comma}le="+Inf"}} {events}\n'
        f"{name}_sum{{{labels}}} {events}\n{name}_count{{{labels}}} {events}\n"
    )


@pytest.mark.parametrize(
    ("name", "labels", "status"),
    [
        ("http_server_request_duration_seconds", 'method="GET",route="/a"', "status"),
        ("shop_http_server_request_duration_seconds", 'method="GET",route="/a"', "status"),
        (
            "http_server_request_duration_seconds",
            'http_request_method="GET",http_route="/a"',
            "http_response_status_code",
        ),
        ("http_request_duration_seconds", 'method="GET",handler="/a"', "status"),
        ("starlette_request_duration_seconds", 'method="GET",path="/a",app_name="x"', "status_code"),
        ("flask_http_request_duration_seconds", 'method="GET",url_rule="/a"', "status"),
        ("http_request_duration_seconds", 'method="GET",path="/a"', "code"),
    ],
)
def test_a_histogram_with_the_status_is_read(name, labels, status):
    text = f"# TYPE {name} histogram\n" + "".join(
        _histogram(name, f'{labels},{status}="{code}"', count) for code, count in (("200", 30), ("503", 10))
    )
    (route,), shown = _list(text)
    assert (route.method, route.route, route.rate, route.errors, route.estimate(0.5)) == ("GET", "/a", 4, 0.25, 0.5)
    assert shown == {name}


def test_the_names_of_opentelemetry_may_have_their_dots():
    name = "http.server.request.duration_seconds"
    lines = [f'{{"{name}_{suffix}","http.route"="/a","http.request.method"="GET"{le}}} 40' for suffix, le in (
        ("bucket", ',le="+Inf"'), ("count", ""), ("sum", ""))]  # fmt: skip
    (route,), _ = _list("\n".join([f'# TYPE "{name}" histogram', *lines]))
    assert (route.method, route.route, route.rate) == ("GET", "/a", 4)


def test_errors_come_from_a_counter_where_the_histogram_has_no_status():
    """As prometheus-fastapi-instrumentator exposes them."""
    text = (
        "# TYPE http_request_duration_seconds histogram\n"
        + _histogram("http_request_duration_seconds", 'handler="/a",method="GET"', 40)
        + "# TYPE http_requests_total counter\n"
        + 'http_requests_total{handler="/a",method="GET",status="2xx"} 30\n'
        + 'http_requests_total{handler="/a",method="GET",status="5xx"} 10\n'
    )
    (route,), shown = _list(text)
    assert route.errors == 0.25
    assert shown == {"http_request_duration_seconds", "http_requests_total"}


def test_without_any_status_there_is_no_share_of_errors():
    name = "http_request_duration_seconds"
    (route,), _ = _list(f"# TYPE {name} histogram\n" + _histogram(name, 'handler="/a"', 40))
    assert isnan(route.errors)


@pytest.mark.parametrize(
    "name", ["http_client_request_duration_seconds", "queue_wait_seconds", f"{'request_duration_' * 50}seconds"]
)
def test_other_histograms_are_no_requests(name):
    assert _list(f"# TYPE {name} histogram\n" + _histogram(name, 'handler="/a"', 40)) == ([], set())


def test_a_histogram_without_a_route_is_no_table_of_routes():
    name = "http_request_duration_highr_seconds"
    assert _list(f"# TYPE {name} histogram\n" + _histogram(name, "", 40)) == ([], set())


def test_active_requests_stand_beside_their_route():
    name = "http_server_request_duration_seconds"
    text = (
        f"# TYPE {name} histogram\n" + _histogram(name, 'method="GET",route="/a",status="200"', 40)
        + "# TYPE http_server_active_requests gauge\n"
        + 'http_server_active_requests{method="GET",route="/a"} 3\n'
        + 'http_server_active_requests{method="GET",route="/new"} 1\n'
    )  # fmt: skip
    routes, _ = _list(text)
    assert [(route.route, route.active) for route in routes] == [("/a", 3), ("/new", 1)]


@pytest.mark.parametrize(("by", "expected"), [("rate", "bac"), ("route", "abc"), ("errors", "cab"), ("p50", "bac")])
def test_routes_are_sorted_by_what_was_chosen(by, expected):
    name = "http_server_request_duration_seconds"
    counts = {'route="a",status="200"': 5, 'route="b",status="200"': 9, 'route="c",status="500"': 1}
    text = f"# TYPE {name} histogram\n" + "".join(_histogram(name, *one) for one in counts.items())
    text = text.replace(
        f'{name}_bucket{{route="b",status="200",le="1"}} 9', f'{name}_bucket{{route="b",status="200",le="1"}} 0'
    )
    routes, _ = _list(text)
    assert "".join(route.route for route in sort_routes(routes, by)) == expected
