"""The JSON of a dashboard: valid by Grafana's schemas, stable, and safe whatever a source has for names and texts."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from asyncmetrics import CollectorRegistry, Counter, Gauge
from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.dashboards.declared import Declared, read_declared
from asyncmetrics.dashboards.grafana import make_grafana_dashboard, make_uid
from scripts.dashboards import RECORDED, SHIPPED, make_shipped

SCHEMAS = Path(__file__).parent / "grafana-schema"
EVERYTHING = read_declared(Exposition(RECORDED.read_text(encoding="utf-8")))
DASHBOARD = make_grafana_dashboard(EVERYTHING, "Shop")
PANELS = [panel for one in DASHBOARD["panels"] for panel in (one, *one.get("panels", ()))]

# What a variable of Grafana is replaced in: $job, ${job}, [[job]].
VARIABLE = re.compile(r"\$\w+|\$\{|\[\[\w")
HOSTILE = (
    'a"} or up{x="',
    "cost_$job",
    "cost_${job}",
    "[[job]]",
    "{{ .Params.job }}",
    "<img src=x onerror=alert(1)>",
    "[click](https://elsewhere.example)",
    "back\\slash",
    "line\nfeed",
    "\u202eright to left",
    "100 %",
    "`code`",
)


def _load(name):
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def _check(name, part, value):
    schema = _load(name)
    if part:
        schema = {**schema, "$ref": f"#/definitions/{part}"}
    Draft7Validator(schema).validate(value)


def declare_gauge(name, text):
    """Return a gauge as an exporter of another language may have it, whose label has the name of the metric."""
    return Declared(name, "gauge", text, "", frozenset({name}), frozenset({name}))


def _show(name, text):
    return make_grafana_dashboard([declare_gauge(name, text)], "Foreign")


def test_the_dashboard_fits_grafanas_schema():
    _check("dashboard", "", DASHBOARD)


@pytest.mark.parametrize("kind", ["timeseries", "stat", "heatmap"])
def test_the_options_of_panels_fit_grafanas_schema(kind):
    found = [panel for panel in PANELS if panel["type"] == kind]
    assert found
    for panel in found:
        _check(kind, "Options", panel["options"])
        if kind != "stat":
            _check(kind, "FieldConfig", panel["fieldConfig"]["defaults"]["custom"])


def test_the_queries_fit_the_schema_of_prometheus():
    for panel in PANELS:
        for target in panel.get("targets", ()):
            _check("prometheus", "", target)


def test_a_wrong_dashboard_does_not_fit():
    """The test that the schema can fail."""
    with pytest.raises(Exception, match="is not of type"):
        _check("dashboard", "", {**DASHBOARD, "uid": 7})


@pytest.mark.parametrize("unfolded", [False, True])
def test_panels_do_not_overlap_and_are_inside_the_grid(unfolded):
    groups = (
        [DASHBOARD["panels"]] if not unfolded else [one["panels"] for one in DASHBOARD["panels"] if "panels" in one]
    )
    for group in groups:
        places = [panel["gridPos"] for panel in group]
        assert all(0 <= place["x"] and place["x"] + place["w"] <= 24 for place in places)
        for one, other in combinations(places, 2):
            is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            is_below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert is_beside or is_below, (one, other)


def test_no_figure_of_the_overview_is_alone_in_its_line():
    """A source with nine figures: a line of eight and a line of one would look as if one were lost."""
    without = [one for one in EVERYTHING if one.name != "health_check_up"]
    places = [
        panel["gridPos"] for panel in make_grafana_dashboard(without, "Shop")["panels"] if panel["type"] == "stat"
    ]
    lines = [place["y"] for place in places]
    assert [lines.count(line) for line in sorted(set(lines))] == [6, 3]
    assert {place["w"] for place in places} == {4}


def test_a_row_of_many_panels_is_folded_with_its_panels_inside():
    registry = CollectorRegistry()
    for number in range(40):
        Gauge(f"gauge_{number}", "One of many.", registry=registry)
    [row] = make_grafana_dashboard(read_declared(registry), "Many")["panels"]
    assert (row["collapsed"], len(row["panels"])) == (True, 40)


def test_ids_are_unique():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)


def test_the_uid_is_the_same_for_the_same_title():
    assert make_uid("Shop") == "shop-" + make_uid("Shop")[5:] == make_uid("Shop")
    assert make_uid("Shop") != make_uid("shop")


@given(st.text())
def test_a_uid_is_one_that_grafana_takes(title):
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", make_uid(title))


def test_the_same_metrics_make_the_same_dashboard():
    assert make_grafana_dashboard(EVERYTHING, "Shop") == DASHBOARD


def test_the_shipped_dashboard_is_what_is_made_now():
    """``python -m scripts.dashboards`` renews it."""
    assert SHIPPED.read_text(encoding="utf-8") == make_shipped()


def test_the_variables_are_those_of_the_labels_that_are_there():
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "route", "worker"]
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry)
    few = make_grafana_dashboard(read_declared(registry), "Shop")
    assert [variable["name"] for variable in few["templating"]["list"]] == ["datasource", "job", "instance"]


@pytest.mark.parametrize("other", ["go_info 1", "python_info 1", "process_open_fds 1", "go_goroutines 1"])
def test_the_jobs_are_not_those_of_every_program_that_has_such_a_metric(other):
    """What each Go or Python program has would list all of them as jobs of this dashboard."""
    metrics = read_declared(Exposition(f"# TYPE {other.split()[0]} gauge\n{other}\norders_total 1\n"))
    variables = {one["name"]: one for one in make_grafana_dashboard(metrics, "Shop")["templating"]["list"]}
    assert variables["job"]["query"] == "label_values(orders_total{}, job)"


def test_every_query_asks_for_the_chosen_job_and_instance():
    for panel in PANELS:
        for target in panel.get("targets", ()):
            assert 'job=~"$job", instance=~"$instance"' in target["expr"]


def test_the_chosen_data_source_comes_first():
    found = make_grafana_dashboard(EVERYTHING, "Shop", "PBFA97CFB590B2093")["templating"]["list"][0]
    assert found["current"]["value"] == "PBFA97CFB590B2093"
    assert "current" not in DASHBOARD["templating"]["list"][0]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_only_a_name(text):
    """Without its literals, the query is the one of any other name."""
    panels = [panel for panel in _show(text, "Help.")["panels"] if panel["type"] != "row"]
    for panel in panels:
        assert not VARIABLE.search(panel["title"])
        assert panel["title"].isprintable()
        for target in panel["targets"]:
            query = re.sub(r'"(?:[^"\\]|\\.)*"', '"…"', target["expr"])
            assert re.fullmatch(r'\{("…"|__name__="…"), job=~"…", instance=~"…"\}', query)
            literals = target["expr"].replace('"$job"', "").replace('"$instance"', "")
            assert not VARIABLE.search(literals)
            assert "{{" not in target["legendFormat"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_help_text_is_only_a_text(text):
    [panel] = [panel for panel in _show("a", text)["panels"] if panel["type"] != "row"]
    assert not VARIABLE.search(panel["description"])
    assert not re.search(r"[<>`]|\]\(", panel["description"])
    assert panel["description"].isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_dashboard_of_a_hostile_source_fits_grafanas_schema(text):
    _check("dashboard", "", _show(text, text))


@given(st.text(min_size=1), st.text())
def test_no_name_and_no_help_text_has_a_variable(name, text):
    for panel in _show(name, text)["panels"][1:]:
        shown = panel["title"] + panel.get("description", "")
        assert not VARIABLE.search(shown)
        assert shown.isprintable()
