"""Text of other programs: what a terminal would obey is escaped, all other text is as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.errors import show_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('jobs_total{a="\u00fc \u65e5\u672c \U0001f600"}', 'jobs_total{a="\u00fc \u65e5\u672c \U0001f600"}'),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("a\r\nb\tc\0", "a\\r\\nb\\tc\\x00"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_controls_are_escaped(text, shown):
    assert show_text(text) == shown


@given(st.text())
def test_the_result_is_printable(text):
    assert show_text(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_printable_text_stays(text):
    assert show_text(text) == text
