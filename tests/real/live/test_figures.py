"""What the page shows of texts that a test has written: rates, quantiles, resets, conventions, low traffic."""

from __future__ import annotations

import pytest

from scripts.dashboards import RECORDED
from tests.patience import wait_until
from tests.real.live.conftest import Upstream

pytestmark = pytest.mark.real

NAMES = {"method": "method", "route": "route", "status": "status"}
OPENTELEMETRY = {"method": "http_request_method", "route": "http_route", "status": "http_response_status_code"}


def _requests(counts, *, prefix="", labels=NAMES, route="/a"):
    """Return requests of one route: ``counts`` is how many took at most 0.1 s, 1 s, and longer, by status."""
    name = f"{prefix}http_server_request_duration_seconds"
    lines = [f"# TYPE {name} histogram"]
    for status, (quick, slow, slowest) in counts.items():
        own = f'{labels["method"]}="GET",{labels["route"]}="{route}",{labels["status"]}="{status}"'
        total = quick + slow + slowest
        for bound, count in (("0.1", quick), ("1.0", quick + slow), ("+Inf", total)):
            lines.append(f'{name}_bucket{{{own},le="{bound}"}} {count}')
        lines += [f"{name}_count{{{own}}} {total}", f"{name}_sum{{{own}}} {total * 0.1}"]
    return "\n".join(lines) + "\n"


def test_rates_errors_and_quantiles_are_those_of_the_time_between_two_texts(open_page):
    view = open_page(Upstream(_requests({"200": (100, 0, 0), "500": (7, 0, 0)})))
    view.read(_requests({"200": (110, 9, 0), "500": (8, 0, 0)}))
    row = view.get_row("routes", "/a")
    assert (row["req/s"], row["5xx"]) == ("10.0", "5.0 %")
    # Of 20 requests the 10th of the 11 quick ones; the 19th is the 8th of the 9 slow ones.
    assert (row["p50"], row["p95"]) == ("91 ms", "900 ms")
    assert view.get_tiles()["Requests / s"] == "10.0"
    assert view.get_tiles()["5xx"] == "5.0 %"


@pytest.mark.parametrize("prefix", ["", "shop_"])
@pytest.mark.parametrize("labels", [NAMES, OPENTELEMETRY], ids=["prometheus", "opentelemetry"])
def test_the_routes_are_found_in_each_convention_and_behind_a_namespace(open_page, prefix, labels):
    view = open_page(Upstream(_requests({"200": (1, 0, 0)}, prefix=prefix, labels=labels)))
    view.read(_requests({"200": (5, 0, 0)}, prefix=prefix, labels=labels))
    row = view.get_row("routes", "/a")
    assert (row["Method"], row["req/s"]) == ("GET", "2.0")
    assert row["p50"] == "50 ms"


def test_a_quantile_above_the_last_bound_says_so(open_page):
    view = open_page(Upstream(_requests({"200": (0, 0, 0)})))
    view.read(_requests({"200": (0, 1, 99)}))
    assert view.get_row("routes", "/a")["p95"] == "> 1.00 s"


def test_a_counter_that_has_begun_again_counts_from_zero(open_page):
    view = open_page(Upstream("# TYPE orders_total counter\norders_total 1000\n"))
    view.read("# TYPE orders_total counter\norders_total 4\n")
    assert "2.0/s" in view.list_cells("metrics")[0]


def test_a_series_that_is_new_counts_from_zero(open_page):
    view = open_page(Upstream('# TYPE orders_total counter\norders_total{kind="a"} 1000\n'))
    view.read('# TYPE orders_total counter\norders_total{kind="a"} 1000\norders_total{kind="b"} 6\n')
    assert "3.0/s" in view.list_cells("metrics")[0]


def test_the_window_is_ten_seconds(open_page):
    text = "# TYPE orders_total counter\norders_total {}\n".format
    view = open_page(Upstream(text(0)))
    view.read(text(100))
    for _ in range(4):
        view.read(text(100))
    assert "10.0/s" in view.list_cells("metrics")[0]
    view.read(text(100))
    assert "0/s" in view.list_cells("metrics")[0]


def test_a_route_without_a_request_keeps_its_last_quantiles(open_page):
    view = open_page(Upstream(_requests({"200": (1, 0, 0)})))
    assert view.get_row("routes", "/a")["p50"] == "50 ms"
    for _ in range(7):
        view.read()
    row = view.get_row("routes", "/a")
    assert (row["req/s"], row["p50"]) == ("0", "50 ms")
    title = view.find("#routes tbody td.tone-old").first.get_attribute("title")
    assert title == "Nothing in the last 10 s: this is since the start of the server."


def test_openmetrics_is_read_as_well(open_page):
    upstream = Upstream(
        '# TYPE orders counter\norders_total 1 # {trace="x"} 1\norders_created 1.0\n# EOF\n',
        content_type="application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    view = open_page(upstream)
    view.read("# TYPE orders counter\norders_total 5\norders_created 1.0\n# EOF\n")
    (row,) = view.list_cells("metrics")
    assert row[0] == "orders_total"
    assert row[3] == "2.0/s"


def test_a_summary_of_another_library_shows_its_own_quantiles(open_page):
    text = (
        "# TYPE go_gc_duration_seconds summary\n"
        'go_gc_duration_seconds{{quantile="0.5"}} 0.001\n'
        "go_gc_duration_seconds_sum {0}\ngo_gc_duration_seconds_count {0}\n"
    ).format
    view = open_page(Upstream(text(1)))
    view.read(text(3))
    (row,) = view.list_cells("metrics")
    assert row[3] == "1.0/s · p50 1.0 ms"


def test_all_metrics_of_the_library_are_apart_from_those_of_the_application(open_page):
    view = open_page(Upstream(RECORDED.read_text(encoding="utf-8")))
    names = {row[0].partition("\n")[0] for row in view.list_cells("metrics")}
    assert names
    assert [name for name in names if not name.startswith("own_")] == []


@pytest.mark.parametrize(
    "name",
    ["shop_queue_depth", "queue_length", "bank_requests_total", "process_orders_total", "shop_periodic_orders_total"],
)
def test_a_metric_of_the_application_is_shown_whatever_words_its_name_has(open_page, name):
    kind = "counter" if name.endswith("_total") else "gauge"
    own = f'# TYPE {name} {kind}\n{name}{{city="Rome"}} 3\n'
    view = open_page(Upstream(_requests({"200": (1, 0, 0)}) + own + "# TYPE other gauge\nother 1\n"))
    assert {row[0] for row in view.list_cells("metrics")} == {"other", name}


def _workers(workers):
    """Return requests of workers: ``{worker: {route: (requests, seconds of each)}}``."""
    name = "http_server_request_duration_seconds"
    lines = [f"# TYPE {name} histogram"]
    for worker, routes in workers.items():
        for route, (count, seconds) in routes.items():
            own = f'route="{route}",worker="{worker}"'
            lines += [
                f'{name}_bucket{{{own},le="{bound}"}} {count if seconds <= bound else 0}' for bound in (0.1, 1.0, 10.0)
            ]
            lines += [f'{name}_bucket{{{own},le="+Inf"}} {count}', f"{name}_count{{{own}}} {count}"]
            lines.append(f"{name}_sum{{{own}}} {count * seconds}")
    return "\n".join(lines) + "\n"


def _describe_workers(open_page, workers):
    none = {worker: {route: (0, 0.0) for route in routes} for worker, routes in workers.items()}
    view = open_page(Upstream(_workers(none)))
    view.read(_workers(workers))
    return view, view.find("#workers .note").inner_text()


def test_the_slow_worker_is_named(open_page):
    workers = {"0": {"/": (100, 0.05)}, "1": {"/": (100, 0.05)}, "2": {"/": (100, 0.4)}}
    view, note = _describe_workers(open_page, workers)
    assert note.startswith("Worker 2 is slow: its requests take about 8 times as long")
    assert view.find("#workers tr.tone-slow th").inner_text() == "2"
    assert view.get_row("workers", "2")["req/s"] == "50.0"


def test_a_worker_that_has_got_the_slow_routes_is_not_slow(open_page):
    """Neither is the worker hidden that is slow beside it."""
    workers = {
        "0": {"/": (100, 0.02), "/report": (3, 8.0)},
        "1": {"/": (100, 0.02), "/report": (90, 8.0)},
        "2": {"/": (90, 0.2), "/report": (30, 8.0)},
    }
    assert _describe_workers(open_page, workers)[1].startswith("Worker 2 is slow")
    del workers["2"]
    assert _describe_workers(open_page, workers)[1] == ""


def test_few_requests_make_no_worker_slow(open_page):
    assert _describe_workers(open_page, {"0": {"/": (9, 5.0)}, "1": {"/": (9, 0.02)}})[1] == ""


def _active(active, oldest):
    lines = [
        f'http_server_active_requests{{method="{method}",route="/a"}} {count}\n' for method, count in active.items()
    ]
    return f'{"".join(lines)}http_server_oldest_active_request_seconds{{route="/a"}} {oldest}\n'


@pytest.mark.parametrize(
    ("active", "shown"),
    [
        ({"GET": 1, "POST": 0}, {"GET": "7.00 s", "POST": "–"}),
        ({"GET": 1, "POST": 2}, {"GET": "≤ 7.00 s", "POST": "≤ 7.00 s"}),
        ({"GET": 0, "POST": 0}, {"GET": "–", "POST": "–"}),
    ],
)
def test_the_oldest_request_of_a_route_is_no_exact_figure_of_one_method_of_several(open_page, active, shown):
    view = open_page(Upstream(_active(active, 7)))
    assert {method: view.get_row("routes", method)["oldest"] for method in active} == shown


def test_the_footer_has_the_time_that_the_figures_are_of(open_page):
    view = open_page(Upstream("apples_total 1\n"))
    assert "of the last 10 seconds." in view.find("footer").inner_text()
    view.find("#interval").select_option("30")
    view.wait_for_reads(2)
    view.read(seconds=30)
    view.read(seconds=30)
    assert "of the last 30 seconds." in view.find("footer").inner_text()


def test_a_table_is_sorted_by_the_column_that_is_pressed(open_page):
    both = _requests({"200": (1, 0, 0)}, route="/a") + _requests({"200": (1, 0, 0)}, route="/b")
    view = open_page(Upstream(both))
    heading = view.find(
        "#routes th",
    ).filter(has_text="Route")
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [row[1] for row in view.list_cells("routes")] == ["/a", "/b"]
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [row[1] for row in view.list_cells("routes")] == ["/b", "/a"]


def test_the_filter_leaves_the_metrics_that_have_all_words(open_page):
    view = open_page(Upstream("# HELP apples Fruit of trees.\napples 1\npears 2\n"))
    view.find("#metrics input[type=search]").fill("fruit APP")
    wait_until(lambda: len(view.list_cells("metrics")) == 1)
    assert view.list_cells("metrics")[0][0] == "applesFruit of trees."


def test_a_metric_that_is_opened_shows_its_series(open_page):
    view = open_page(Upstream('apples{kind="red"} 1\napples{kind="green"} 2\n'))
    view.find("#metrics .open").click()
    assert [row[0] for row in view.list_cells("metrics")] == ["apples", 'kind="green"', 'kind="red"']


def test_the_cardinality_is_that_of_each_metric_and_label(open_page):
    view = open_page(Upstream("".join(f'orders{{user="{number}",kind="{number % 2}"}} 1\n' for number in range(200))))
    row = view.get_row("cardinality", "orders")
    assert row["series"] == "200"
    assert row["Values of its labels"] == "user: 200 · kind: 2without user: 2 series"


def test_a_server_without_metrics_is_no_error(open_page):
    view = open_page(Upstream("# EOF\n"))
    assert view.find("#empty").is_visible()
    assert view.find("#status").inner_text() == "live"


def _foreign(requests, failures, *, method="", totals=True):
    """Return requests as other libraries expose them: durations without a status, and a counter that has one."""
    lines = ["# TYPE http_request_duration_seconds histogram"]
    for suffix, bound in (("bucket", ',le="1"'), ("bucket", ',le="+Inf"'), ("count", "")):
        lines.append(f'http_request_duration_seconds_{suffix}{{handler="/a"{bound}}} {requests}')
    for status, count in (("200", requests - failures), ("500", failures)) if totals else ():
        lines.append(f'http_requests_total{{handler="/a"{method},code="{status}"}} {count}')
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("method", ["", ',method="GET"'])
def test_errors_are_those_of_a_counter_if_the_durations_have_no_status(open_page, method):
    view = open_page(Upstream(_foreign(10, 0, method=method)))
    view.read(_foreign(30, 5, method=method))
    assert view.get_row("routes", "/a")["5xx"] == "25 %"
    assert view.get_tiles()["5xx"] == "25 %"


def test_errors_are_unknown_if_no_metric_has_a_status(open_page):
    view = open_page(Upstream(_foreign(10, 0, totals=False)))
    view.read(_foreign(30, 5, totals=False))
    assert view.get_row("routes", "/a")["5xx"] == "–"
    assert "5xx" not in view.get_tiles()


def test_values_that_look_the_same_are_shown_once(open_page):
    view = open_page(Upstream('apples{kind="a"} 1.00001\napples{kind="b"} 1.00002\n'))
    assert view.get_row("metrics", "apples")["now"] == "1"


def test_an_application_without_metrics_of_its_own_is_told_so(open_page):
    view = open_page(Upstream("# TYPE asyncmetrics_scrapes_total counter\nasyncmetrics_scrapes_total 1\n"))
    assert view.find("#metrics .note").inner_text().startswith("There are no metrics of your own yet")


def test_what_has_no_series_yet_is_no_blank(open_page):
    view = open_page(Upstream("# TYPE http_server_active_requests gauge\n# TYPE orders_total counter\n"))
    assert view.get_tiles()["In progress"] == "0"
    assert "no series yet" in view.get_row("metrics", "orders_total")["now"]


@pytest.mark.parametrize(("seconds", "shown"), [("10.0", "10 s"), ("5", "5 s"), ("1.5", "1.50 s"), ("3600", "60 min")])
def test_the_interval_of_a_job_is_as_it_was_declared(open_page, seconds, shown):
    view = open_page(Upstream(f'periodic_interval_seconds{{periodic="clean"}} {seconds}\n'))
    assert view.get_row("jobs", "clean")["every"] == shown


def test_a_filter_that_finds_other_metrics_alone_says_where_they_are(open_page):
    view = open_page(Upstream(_requests({"200": (1, 0, 0)}) + "shop_baskets 1\n"))
    assert view.find("#metrics h2").inner_text() == "Your metrics"
    note = view.find("#metrics .note")
    view.find("#metrics input[type=search]").fill("server_request")
    wait_until(lambda: note.inner_text().endswith('With "all metrics" there is 1.'))
    view.find("#all-metrics").check()
    assert [row[0] for row in view.list_cells("metrics")] == ["http_server_request_duration_seconds"]
    view.find("#metrics input[type=search]").fill("nothing of it")
    wait_until(lambda: note.inner_text() == "No metric has these words in its name or its help.")


@pytest.mark.parametrize("press", ["click", "focus"])
def test_the_series_of_a_metric_that_is_opened_follow_it(open_page, press):
    """Though rows keep their places under the pointer and the focus."""
    view = open_page(Upstream('apples{kind="red"} 1\napples{kind="green"} 2\npears 3\n'))
    button = view.find("#metrics .open").first
    button.click() if press == "click" else button.press("Enter")
    expected = ["apples", 'kind="green"', 'kind="red"', "pears"]
    assert [row[0] for row in view.list_cells("metrics")] == expected
    view.read()
    assert [row[0] for row in view.list_cells("metrics")] == expected


def test_a_native_histogram_without_classic_buckets_has_a_rate_and_a_mean_and_no_quantiles(open_page):
    """A text has the bucket +Inf of it, its count and its sum."""

    def write(count):
        lines = []
        for name, own in (("http_server_request_duration_seconds", 'method="GET",route="/a",'), ("pay_seconds", "")):
            lines += [f"# TYPE {name} histogram", f'{name}_bucket{{{own}le="+Inf"}} {count}']
            lines += [f"{name}_count{{{own}}} {count}", f"{name}_sum{{{own}}} {count / 2}", ""]
        return "\n".join(lines)

    view = open_page(Upstream(write(0)))
    view.read(write(20))
    row = view.get_row("routes", "/a")
    assert row["req/s"] == "10.0"
    assert not any(char.isdigit() for char in row["p50"] + row["p95"])
    text = str(view.list_cells("metrics"))
    assert "10.0/s" in text
    assert "mean 500 ms" in text
