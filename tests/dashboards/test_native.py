"""Native histograms have queries of their own: a server has no buckets, counts and sums of them as series."""

from __future__ import annotations

import re

import pytest

from asyncmetrics import Histogram, MetricsMiddleware, generate_latest, make_asgi_app
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.cli import main
from asyncmetrics.dashboards.declared import read_declared
from asyncmetrics.dashboards.grafana import make_grafana_dashboard
from asyncmetrics.dashboards.native import read_native
from asyncmetrics.dashboards.panels.choosing import choose_rows
from asyncmetrics.dashboards.promql import Dialect
from scripts.dashboards import RECORDED

EVERYTHING = Exposition(RECORDED.read_text(encoding="utf-8"))
DIALECT = Dialect("5m", {"job": '=~"$job"'})
CLASSIC = re.compile(r"(?<!histogram)_(?:bucket|count|sum)\b|\ble\b")


async def _app(scope, receive, send): ...


def _list_expressions(source, **options):
    rows = choose_rows(read_declared(source, **options), DIALECT)
    return [query.expression for row in rows for panel in row.panels for query in panel.queries]


@pytest.mark.parametrize(
    ("classic", "native"),
    [
        ("sum by (route, le) (rate(x_bucket[5m]))", "sum by (route) (rate(x[5m]))"),
        ("sum by (le) (increase(x_bucket[5m]))", "sum(increase(x[5m]))"),
        ("sum by (\n  le, job\n) (\n  rate(x_bucket[5m])\n)", "sum by (job) (\n  rate(x[5m])\n)"),
        ('rate(x_bucket{route="/a{n}\\"}"}[$__rate_interval])', 'rate(x{route="/a{n}\\"}"}[$__rate_interval])'),
        ("sum by (route) (rate(x_count[5m]))", "sum by (route) (histogram_count(rate(x[5m])))"),
        ("sum(rate(x_sum{a='b'}[5m]))", "sum(histogram_sum(rate(x{a='b'}[5m])))"),
        ("rate(y_count[5m]) / rate(x_y_count[5m])", "rate(y_count[5m]) / rate(x_y_count[5m])"),
        ("sum(x_count)", "sum(x_count)"),
    ],
)
def test_a_query_of_a_classic_histogram_becomes_one_of_the_native_one(classic, native):
    assert read_native(classic, {"x"}) == native


def test_a_histogram_without_classic_buckets_has_native_queries(registry):
    Histogram("size.bytes", "S.", ["kind"], buckets=(), native=True, registry=registry)
    selector = '{"size.bytes", job=~"$job"}'
    assert _list_expressions(registry) == [
        *(f"histogram_quantile({share}, sum(rate({selector}[5m])))" for share in (0.5, 0.95, 0.99)),
        f"sum(increase({selector}[5m]))",
        f"sum by (kind) (histogram_count(rate({selector}[5m])))",
    ]


def test_the_variables_are_looked_up_in_a_series_that_there_is(registry):
    Histogram("size_bytes", "S.", buckets=(), native=True, registry=registry)
    job = make_grafana_dashboard(read_declared(registry), "Shop")["templating"]["list"][1]
    assert job["query"] == "label_values(size_bytes{}, job)"


def test_a_text_shows_that_a_histogram_has_no_classic_buckets(registry):
    Histogram("size_bytes", "S.", ["kind"], buckets=(), native=True, registry=registry).labels("a").observe(1)
    assert _list_expressions(Exposition(generate_latest(registry).decode())) == _list_expressions(registry)


@pytest.mark.parametrize("native", [False, True])
def test_a_histogram_with_both_has_the_queries_that_are_asked_for(registry, native):
    MetricsMiddleware(_app, registry=registry, native=True)
    Histogram("size_bytes", "S.", native=True, registry=registry).observe(1)
    expressions = _list_expressions(registry, native=native)
    assert any("histogram_count(rate(http_server" in one for one in expressions) is native
    assert any(map(CLASSIC.search, expressions)) is not native
    text = Exposition(generate_latest(registry).decode())
    assert any(map(CLASSIC.search, _list_expressions(text, native=native))) is not native


def test_a_classic_histogram_of_a_registry_stays_one(registry):
    Histogram("size_bytes", "S.", registry=registry)
    assert _list_expressions(registry, native=True) == _list_expressions(registry)


def test_no_panel_reads_a_bucket_of_a_native_histogram():
    expressions = _list_expressions(EVERYTHING, native=True)
    assert len(expressions) == len(_list_expressions(EVERYTHING))
    assert not [one for one in expressions if re.search(r"_bucket\b|\ble\b", one)]


def test_the_command_asks_a_server_which_histograms_are_native(serve, capfd, registry):
    for name, options in (("classic", {}), ("both", {"native": True}), ("alone", {"native": True, "buckets": ()})):
        Histogram(f"{name}_bytes", "S.", registry=registry, **options).observe(1)
    base = serve(make_asgi_app(registry))
    for options, expected in ([], [False, False, True]), (["--native"], [False, True, True]):
        assert main(["dashboard", f"{base}/metrics", *options]) == 0
        shown = capfd.readouterr().out
        assert [f"histogram_count(rate({name}_bytes{{" in shown for name in ("classic", "both", "alone")] == expected
    assert main(["rules", f"{base}/metrics", "--native", "--slo", "o=both_bytes<1000=99%"]) == 0
    assert "histogram_fraction(" in capfd.readouterr().out


def test_a_server_without_protobuf_shows_no_native_histograms(serve, capfd):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"a 1\n"})

    assert main(["dashboard", f"{serve(app)}/metrics", "--native"]) == 1
    assert "expected protobuf, which alone shows native histograms, got 'text/plain'" in capfd.readouterr().err


def test_of_a_file_all_histograms_are_native_if_the_command_says_so(tmp_path, capfd, registry):
    Histogram("size_bytes", "S.", registry=registry).observe(1)
    path = tmp_path / "metrics.txt"
    path.write_bytes(generate_latest(registry))
    for options, expected in ([], False), (["--native"], True):
        assert main(["dashboard", str(path), *options]) == 0
        assert ("histogram_count(rate(size_bytes{" in capfd.readouterr().out) is expected
