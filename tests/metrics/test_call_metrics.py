"""CallMetrics: rate, errors and duration by one decorator."""

from __future__ import annotations

import asyncio

import pytest

from asyncmetrics import CallMetrics
from asyncmetrics.errors import DuplicateMetricError, LabelError


@pytest.fixture
def track(registry):
    return CallMetrics("jobs", "Jobs.", registry=registry)


@pytest.fixture
def outcomes(registry):
    return lambda: {
        s.labels["outcome"]: s.value
        for f in registry.collect()
        for s in f.samples
        if s.name == "jobs_duration_seconds_count"
    }


async def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "outcome", "counted"),
    [(ValueError(), "error", 1), (asyncio.CancelledError(), "cancelled", None), (KeyboardInterrupt(), "error", 1)],
)
async def test_how_a_call_ended_is_its_outcome(error, outcome, counted, track, outcomes, registry):
    with pytest.raises(type(error)):
        await track(fail)(error)
    assert outcomes() == {outcome: 1}
    assert registry.get_sample_value("jobs_exceptions_total", {"type": type(error).__name__}) == counted


async def test_a_call_that_returns_is_ok(track, outcomes):
    assert await track(asyncio.sleep)(0, "done") == "done"
    assert outcomes() == {"ok": 1}


def test_a_generator_that_is_closed_is_ok(track, outcomes):
    running = track(lambda: (yield 1))()
    next(running)
    running.close()
    assert outcomes() == {"ok": 1}


def test_what_runs_is_active(track, registry):
    with track:
        assert registry.get_sample_value("jobs_active") == 1
    assert registry.get_sample_value("jobs_active") == 0


@pytest.fixture
def labelled(registry):
    return CallMetrics("jobs", "Jobs.", ["kind"], registry=registry)


@pytest.fixture
def of_kind(registry):
    return lambda kind: registry.get_sample_value("jobs_duration_seconds_count", {"kind": kind, "outcome": "ok"})


def test_labels_are_chosen_in_order_or_by_name(labelled, of_kind):
    labelled.labels("mail")(int)()
    with labelled.labels(kind="mail"):
        pass
    assert of_kind("mail") == 2


def test_labels_are_chosen_by_the_arguments_of_the_call(registry, of_kind):
    track = CallMetrics("jobs", "Jobs.", ["kind"], labels=lambda kind: {"kind": kind}, registry=registry)
    track(str)("mail")
    assert of_kind("mail") == 1


def test_labels_are_chosen_while_the_block_runs(labelled, of_kind, registry):
    with labelled as call:
        call.labels("mail")
        assert registry.get_sample_value("jobs_active", {"kind": "mail"}) == 1
    assert (of_kind("mail"), registry.get_sample_value("jobs_active", {"kind": "mail"})) == (1, 0)


def test_labels_that_were_not_chosen_are_an_error_that_names_them(labelled):
    with pytest.raises(LabelError, match="kind"):
        labelled(int)
    with pytest.raises(LabelError, match="kind"), labelled:
        pass


def test_an_exception_is_not_hidden_by_a_label_that_is_missing(labelled):
    with pytest.raises(KeyError), labelled:
        raise KeyError


def test_labels_that_do_not_fit_are_an_error_that_names_them(labelled):
    with pytest.raises(LabelError, match="odd"):
        labelled.labels(odd=1)


def test_it_is_declared_once(track, registry):
    with pytest.raises(DuplicateMetricError):
        CallMetrics("jobs", "Jobs.", registry=registry)
    CallMetrics("jobs", "Jobs.", registry=registry, exist_ok=True)
