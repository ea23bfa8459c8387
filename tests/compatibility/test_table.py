"""The compatibility table of the documentation is what the two libraries are, and every name in it is explained."""

from __future__ import annotations

import pytest

from scripts import _api, compatibility


@pytest.fixture(scope="module")
def rows():
    return compatibility.make_rows()


def test_every_name_is_the_same_or_explained():
    assert compatibility.find_problems() == []


def test_the_page_is_up_to_date():
    text = compatibility.PAGE.read_text(encoding="utf-8")
    assert compatibility.update_page(text) == text, "run python -m scripts.compatibility"


def test_no_name_is_there_twice(rows):
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)


def test_the_names_that_everybody_uses_are_compared(rows):
    names = {row.name for row in rows}
    assert {"Counter.inc", "start_http_server", "core.Sample.value", "parser.text_string_to_metric_families"} <= names


def test_a_name_without_an_explanation_is_a_problem(monkeypatch):
    monkeypatch.delitem(compatibility.NOT_PLANNED, "core.NativeHistogram")
    assert compatibility.find_problems() == ["core.NativeHistogram: there is none"]


def test_a_difference_without_an_explanation_is_a_problem(monkeypatch):
    monkeypatch.delitem(compatibility.DIFFERS, "start_wsgi_server")
    (problem,) = compatibility.find_problems()
    assert problem == "start_wsgi_server: `addr` is `'127.0.0.1'` by default, not `'0.0.0.0'`"


def test_a_reason_for_what_is_not_there_is_a_problem(monkeypatch):
    monkeypatch.setitem(compatibility.DIFFERS, "Counter.decrease", "Counters only go up.")
    assert compatibility.find_problems() == ["Counter.decrease: a reason for a name that does not exist"]


def test_what_is_not_planned_but_there_is_a_problem(monkeypatch):
    monkeypatch.setitem(compatibility.NOT_PLANNED, "generate_latest", "Never.")
    monkeypatch.delitem(compatibility.DIFFERS, "generate_latest")
    assert compatibility.find_problems() == ["generate_latest: not planned, but it exists"]


def test_a_page_without_the_marks_is_an_error():
    with pytest.raises(ValueError, match="has no part between"):
        compatibility.update_page("# Moving")


def theirs(name, times=1, *, deep=False, _private=None, late=0):
    """A signature to compare others with."""


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (lambda name, times=1, more=None, *, deep=False, late=0: None, []),
        (lambda name, times=1.0, *, late=0, deep=False: None, []),
        (lambda name, times=2, *, deep=False, late=0: None, ["`times` is `2` by default, not `1`"]),
        (
            lambda times, name=1, *, deep=False, late=0: None,
            ["`name` at another position", "`times` at another position"],
        ),
        (lambda name, *, times=1, deep=False, late=0: None, ["`times` by keyword only"]),
        (lambda name, times=1, *, late=0: None, ["no `deep`"]),
        (lambda name, times=1, *, key, deep=False, late=0: None, ["`key` is required"]),
        (lambda name, times, *, deep=False, late=0: None, ["`times` is required by default, not `1`"]),
    ],
)
def test_signatures_are_compared_argument_by_argument(ours, expected):
    found = _api.list_differences(theirs, ours)
    assert [text for text in expected if text not in found] == []
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(("value", "expected"), [(1, []), (1.0, []), (2, ["2, not 1"])])
def test_values_are_compared(value, expected):
    assert _api.list_differences(1, value) == expected


def test_an_attribute_that_there_is_not_cannot_be_found():
    with pytest.raises(LookupError):
        _api.find("asyncmetrics.core.Nothing")
