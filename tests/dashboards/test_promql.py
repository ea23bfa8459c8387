"""Names become PromQL that asks for them and for nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.dashboards.promql import select, write_label, write_labels, write_string


def _read_string(literal: str) -> str:
    """Return the text of a literal, as Go's strconv.Unquote reads it."""
    assert literal[0] == literal[-1] == '"'
    found = re.sub(
        r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))",
        lambda escape: chr(int(escape[1] or escape[2] or escape[3], 16)),
        literal[1:-1],
    )
    return found


@given(st.text())
def test_a_string_says_the_same_as_the_text(text):
    assert _read_string(write_string(text)) == text


@given(st.text())
def test_a_string_has_nothing_that_ends_it_or_that_a_template_replaces(text):
    inner = write_string(text)[1:-1]
    assert not re.search(r'["$%{}\[\]\n]', inner)
    assert inner.isprintable()


def test_a_plain_name_is_not_in_quotes():
    assert select("orders_total", ['job="a"']) == 'orders_total{job="a"}'


def test_a_native_name_is_in_quotes_inside_the_braces():
    assert select("shop.orders_total", ['job="a"']) == '{"shop.orders_total", job="a"}'


@pytest.mark.parametrize("word", ["inf", "nan", "sum", "offset", "NaN"])
def test_a_name_that_is_a_word_of_the_language_is_a_value(word):
    assert select(word, []) == f'{{__name__="{word}"}}'


def test_labels_are_in_quotes_where_they_need_them():
    assert write_labels({"kind", "order.kind"}) == 'kind, "order.kind"'
    assert write_label('a"} or b{"') == r'"a\x22\x7d or b\x7b\x22"'
