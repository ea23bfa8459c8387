"""The table of names in the documentation is what the two libraries are, and every name in it is explained."""

from __future__ import annotations

from math import nan

import prometheus_client
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


def test_a_name_that_is_not_here_is_a_problem_without_an_explanation(monkeypatch):
    monkeypatch.delitem(compatibility.DIFFERS, "context_managers.Timer.labels")
    assert compatibility.find_problems() == ["context_managers.Timer.labels: is not here"]


def test_a_difference_without_an_explanation_is_a_problem(monkeypatch):
    monkeypatch.delitem(compatibility.DIFFERS, "exposition.gzip_accepted")
    (problem,) = compatibility.find_problems()
    assert problem.startswith("exposition.gzip_accepted: no `accept_encoding_header`")


@pytest.mark.parametrize("name", ["Counter.decrease", "Counter.inc"])
def test_a_reason_for_what_is_the_same_or_nowhere_is_a_problem(monkeypatch, name):
    monkeypatch.setitem(compatibility.DIFFERS, name, "Counters only go up.")
    assert compatibility.find_problems() == [f"{name}: a reason for what is the same"]


def test_a_module_that_is_listed_as_missing_but_is_here_is_a_problem(monkeypatch):
    monkeypatch.setitem(compatibility.MISSING_MODULES, "asgi", "Never.")
    assert compatibility.find_problems() == ["asgi: listed as missing, but it is here"]


def test_every_environment_variable_of_theirs_is_on_the_page():
    text = compatibility.PAGE.read_text(encoding="utf-8")
    assert [name for name in _api.find_environment_names(prometheus_client) if f"`{name}`" not in text] == []


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


def test_a_nan_is_a_nan():
    assert _api.list_differences(nan, nan) == []


def test_an_attribute_that_there_is_not_cannot_be_found():
    with pytest.raises(LookupError):
        _api.find("asyncmetrics.core.Nothing")
