"""Rules as YAML: what people read, and what no text of a server can break."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.dashboards.rules.layout import escape_template, quote, render_groups, render_scalar
from asyncmetrics.dashboards.rules.rule import Rule, RuleGroup


def test_a_group_is_laid_out_as_an_engineer_writes_it():
    rules = (
        Rule("record", "job:x:rate5m", "sum by (job) (rate(x[5m]))", labels={"slo": "http"}, comment="Why."),
        Rule("alert", "Bad", "a > 1\n  and b > 2", "5m", {"severity": "page"}, {"summary": 'It is "bad".'}),
    )
    assert (
        render_groups([RuleGroup("shop", rules, "About.")], "Head.")
        == """\
# Head.
groups:
  # About.
  - name: shop
    rules:
      # Why.
      - record: job:x:rate5m
        expr: sum by (job) (rate(x[5m]))
        labels: { slo: http }

      - alert: Bad
        expr: |
          a > 1
            and b > 2
        for: 5m
        labels: { severity: page }
        annotations:
          summary: 'It is "bad".'
"""
    )


def test_no_group_is_an_empty_list():
    assert render_groups([], "Head.") == "# Head.\ngroups: []\n"


@pytest.mark.parametrize(
    "text", ["no", "true", "NULL", "12", "1e3", "", "a: b", "- a", "{", "~", "0x1", ".inf", "a #b"]
)
def test_what_yaml_reads_as_something_else_is_quoted(text):
    assert render_scalar(text) == f'"{text}"'


@given(st.text())
def test_a_quoted_text_is_one_printable_line(text):
    assert quote(text).isprintable()


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_a_quoted_text_is_read_as_it_was(text):
    """JSON has the same escapes below U+10000."""
    assert json.loads(quote(text)) == text


@given(st.text())
def test_a_comment_cannot_end_its_line(text):
    made = render_groups([], f"x{text}")
    assert [line for line in made.split("\n") if not line.startswith("# ")] == ["groups: []", ""]
    assert all(line.isprintable() for line in made.split("\n"))


def test_a_template_in_a_name_is_text():
    assert escape_template("/{{ $value }}") == '/{{ "{{" }} $value }}'
