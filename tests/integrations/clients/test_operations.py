"""The operation of a statement: its first word, behind comments, blanks and brackets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.integrations.database import find_operation


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "SELECT"),
        ("  select 1", "SELECT"),
        (b"INSERT INTO a VALUES (1)", "INSERT"),
        ("((SELECT 1) UNION SELECT 2)", "SELECT"),
        ("/* shop */ -- a\n /* b */ UPDATE a", "UPDATE"),
        ("-- only a comment", "_OTHER"),
        ("/* not closed SELECT", "_OTHER"),
        ("", "_OTHER"),
        (";", "_OTHER"),
        ("SELECTION", "_OTHER"),
        ("frobnicate", "_OTHER"),
    ],
)
def test_it_is_the_first_word_if_that_is_a_word_of_sql(statement, operation):
    assert find_operation(statement) == operation


@given(st.lists(st.sampled_from(["/* a */", "-- b\n", "/**/", "--\n", " ", "(", "/* -- */", "-- /*\n"]), max_size=2000))
def test_comments_before_it_cost_no_more_than_their_length(beginnings):
    text = "".join(beginnings)
    assert find_operation(f"{text}DELETE FROM a") == "DELETE"
    assert find_operation(f"{text};") == "_OTHER"


def test_many_comments_take_no_exponential_time():
    assert find_operation("/* a */\n" * 100_000 + ";") == "_OTHER"
