"""docs/rules, which the package writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asyncmetrics.dashboards.rules.slo_rules import BURNS
from asyncmetrics.dashboards.rules.table import ALERTS, add_runbooks, render_files

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "rules.md").read_text(encoding="utf-8")
NAMES = [rule.name for group in ALERTS for rule in group.rules] + [burn.alert for burn in BURNS]


@pytest.mark.parametrize("name", sorted(render_files()))
def test_the_file_is_what_python_m_scripts_rules_writes(name):
    assert (DOCS / "rules" / name).read_text(encoding="utf-8") == render_files()[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_heading_that_its_runbook_url_points_to(name):
    assert re.search(rf"^### {name}\n\n\S", PAGE, re.MULTILINE)


def test_no_heading_is_of_an_alert_that_is_gone():
    assert set(re.findall(r"^### ([A-Z]\w+)$", PAGE, re.MULTILINE)) == set(NAMES)


def test_a_runbook_url_has_the_name_of_the_alert_in_either_form():
    (group, *_) = add_runbooks(ALERTS, "https://wiki.example/{alert}#{anchor}")
    assert group.rules[0].annotations["runbook_url"] == "https://wiki.example/RouteFails#routefails"
