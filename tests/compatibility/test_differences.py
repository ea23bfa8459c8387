"""The list of differences on docs/migrating.md and the tests of them, in `differences`, are the same list."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from scripts import compatibility

TEXT = compatibility.PAGE.read_text(encoding="utf-8")
LISTED = compatibility.list_slugs(TEXT)
SOURCES = [
    path.read_text(encoding="utf-8") for path in sorted(Path(__file__).with_name("differences").glob("test_*.py"))
]


def list_tested() -> list[str]:
    return [
        slug for text in SOURCES for slug in re.findall(r'^@pytest\.mark\.difference\("(.+)"\)$', text, re.MULTILINE)
    ]


def test_every_difference_on_the_page_has_a_test():
    assert LISTED
    assert [slug for slug in LISTED if slug not in list_tested()] == []


def test_every_difference_that_is_tested_is_on_the_page():
    assert [slug for slug in list_tested() if slug not in LISTED] == []


def test_every_test_of_a_difference_names_it():
    for text in SOURCES:
        tests = re.findall(r"((?:^@.*\n(?:^[ )].*\n)*)*)^def (test_\w+)", text, re.MULTILINE)
        assert [name for marks, name in tests if marks.count("@pytest.mark.difference(") != 1] == []


def test_no_difference_is_listed_twice():
    assert [slug for slug, number in Counter(LISTED).items() if number > 1] == []


@pytest.mark.parametrize("slug", LISTED)
def test_a_row_says_what_both_do_and_why(slug):
    (row,) = re.findall(rf"^\| `{slug}` \|.*$", TEXT, re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4
    assert all(cells)


def test_a_page_without_the_list_is_an_error():
    with pytest.raises(ValueError, match="has no part with the differences"):
        compatibility.list_slugs("# Moving")
