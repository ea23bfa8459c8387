"""The template of a console: its actions are those of the library, whatever a source has for names and texts."""

from __future__ import annotations

import re

import pytest

from asyncmetrics.bridges.scraping import Exposition
from asyncmetrics.dashboards.console import make_console
from asyncmetrics.dashboards.declared import read_declared
from scripts.dashboards import RECORDED
from tests.dashboards.test_grafana import HOSTILE, declare_gauge

ACTION = re.compile(r'\{\{((?:[^"}]|"(?:[^"\\]|\\.)*"|\}(?!\}))*)\}\}')


def _make(name, text, title="Shop"):
    return make_console([declare_gauge(name, text)], title)


def _list_actions(template):
    """Return the actions, with all literals taken out."""
    return [re.sub(r'"(?:[^"\\]|\\.)*"', '"…"', action) for action in ACTION.findall(template)]


def test_a_console_has_the_panels_of_the_dashboard_but_no_heatmaps():
    template = make_console(read_declared(Exposition(RECORDED.read_text(encoding="utf-8"))), "Shop")
    assert "<h3>p95 by route</h3>" in template
    assert "heatmap" not in template


@pytest.mark.parametrize(
    ("panel", "names"),
    [
        ("Items in queues", ["", "limit"]),
        ("Waits for a queue (p95)", ["put", "get"]),
        ("Duration: p50, p95, p99", ["p50", "p95", "p99"]),
        ("Exceptions", [""]),
    ],
)
def test_the_queries_of_a_panel_are_told_apart(panel, names):
    template = make_console(read_declared(Exposition(RECORDED.read_text(encoding="utf-8"))), "Shop")
    article = template.partition(f"<h3>{panel}</h3>")[2].partition("</article>")[0]
    assert [name.strip() for name in re.findall(r"<tr><td>([^{<]*)\{\{", article)] == names


def test_a_console_loads_nothing_and_runs_no_script():
    template = make_console(read_declared(Exposition(RECORDED.read_text(encoding="utf-8"))), "Shop")
    assert not re.search(r"<script|https?://|src=|@import|url\(", template)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_source_adds_no_action_and_no_element(text):
    plain, hostile = _make("a", "Help."), _make(text, text, text)
    assert _list_actions(hostile) == _list_actions(plain)
    markup = [re.findall(r"<[^>]*>", ACTION.sub("", re.sub(r'title="[^"]*"', "", one))) for one in (plain, hostile)]
    assert markup[0] == markup[1]


def test_the_parameters_are_quoted_by_printf():
    assert "job=~%[1]q, instance=~%[2]q" in _make("a", "Help.")
