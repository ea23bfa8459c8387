"""Warnings on the line that declares a metric."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from asyncmetrics import Counter, Gauge, Summary
from asyncmetrics.errors import DefinitionError, DuplicateMetricError
from asyncmetrics.lint import MetricNameWarning, problems, warn_at_declaration

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def watching(registry):
    stop = warn_at_declaration(registry, ignore=())
    yield registry
    stop()


def test_a_problem_is_a_warning_on_the_line_that_declares(watching):
    with pytest.warns(MetricNameWarning, match=r"wait_ms: .* \(AM012\)") as caught:
        Gauge("wait_ms", "Time of waiting.", registry=watching)  # this line
    (warning,) = caught
    assert warning.filename == __file__
    assert Path(__file__).read_text(encoding="utf-8").splitlines()[warning.lineno - 1].endswith("# this line")


def test_the_line_that_declares_by_a_helper_of_the_package_is_found(watching):
    with pytest.warns(MetricNameWarning) as caught:
        watching.get_or_create(Gauge, "wait_ms", "Time of waiting.")
    assert caught[0].filename == __file__


def test_each_problem_is_a_warning(watching):
    with pytest.warns(MetricNameWarning) as caught:
        Counter("aB_ms", "", ["user_id", "job"], registry=watching)
    assert len(caught) == 5


def test_the_warnings_are_the_problems_that_the_lint_finds(watching):
    with pytest.warns(MetricNameWarning) as caught:
        Summary("aB_ms_total", "", ["userId", "le"], context_labels=["path"], registry=watching)
    found = problems(watching, ignore=())
    assert [str(warning.message).rpartition("(")[2].rstrip(")") for warning in caught] == [one.code for one in found]


def test_a_good_metric_is_no_warning(watching):
    Counter("jobs", "Jobs that have ended.", ["kind"], registry=watching)


def test_a_custom_collector_is_no_warning(watching):
    class Collector:
        def collect(self):
            return []

    watching.register(Collector())


def test_a_metric_that_exists_is_no_second_warning(watching):
    with pytest.warns(MetricNameWarning):
        first = Gauge("wait_ms", "Time of waiting.", registry=watching)
    assert Gauge("wait_ms", "Time of waiting.", registry=watching, exist_ok=True) is first


def test_where_warnings_are_errors_the_metric_is_not_registered(watching):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MetricNameWarning):
            Gauge("wait_ms", "Time of waiting.", registry=watching)
    assert list(watching.collect()) == []


def test_no_warning_comes_after_the_end(registry):
    stop = warn_at_declaration(registry, ignore=())
    stop()
    Gauge("wait_ms", "Time of waiting.", registry=registry)


def test_a_metric_in_another_registry_is_no_warning(watching):
    Gauge("wait_ms", "Time of waiting.", registry=None)


def test_ignored_problems_are_no_warnings(registry):
    stop = warn_at_declaration(registry, ignore=["AM012:wait_*"])
    Gauge("wait_ms", "Time of waiting.", registry=registry)
    stop()


@pytest.mark.parametrize(("argument", "ignore"), [(7, ()), (None, ["AM999"])])
def test_a_wrong_argument_is_an_error(registry, argument, ignore):
    with pytest.raises(DefinitionError):
        warn_at_declaration(registry if argument is None else argument, ignore=ignore)


def test_a_duplicate_is_refused_as_before(watching):
    Gauge("wait_seconds", "Time of waiting.", registry=watching)
    with pytest.raises(DuplicateMetricError):
        Gauge("wait_seconds", "Time of waiting.", registry=watching)
