"""Labels that are chosen for each call, or while a timer runs."""

from __future__ import annotations

import pytest

from asyncmetrics import CallMetrics, Counter, Gauge, Histogram, Summary
from asyncmetrics.errors import LabelError
from asyncmetrics.timing import Timer
from tests.timing.callables import (
    async_generator,
    consume,
    coroutine,
    function,
    generator,
)


@pytest.fixture
def labelled(registry):
    return Histogram("l_seconds", "Time.", ["kind"], registry=registry)


@pytest.mark.parametrize("labels", [{"kind": "mail"}, lambda kind, **_: {"kind": kind}])
@pytest.mark.parametrize("original", [function, coroutine, generator, async_generator])
async def test_labels_of_a_decorator_may_be_a_mapping_or_a_callable_on_the_arguments(
    labels, original, labelled, registry
):
    await consume(labelled.time(labels=labels)(original)("mail"))
    assert registry.get_sample_value("l_seconds_count", {"kind": "mail"}) == 1


def test_labels_can_be_chosen_while_the_timer_runs(labelled, registry):
    with labelled.time() as timing:
        timing.labels("late")
    assert registry.get_sample_value("l_seconds_count", {"kind": "late"}) == 1


def test_a_timer_without_its_labels_is_an_error_at_decoration(labelled):
    with pytest.raises(LabelError, match="kind"):
        labelled.time()(function)


def test_a_timer_without_its_labels_is_an_error_at_the_end_of_the_block(labelled):
    with pytest.raises(LabelError, match="kind"), labelled.time():
        pass


def test_a_callable_for_labels_needs_a_call(labelled):
    with pytest.raises(TypeError, match="mapping"), labelled.time(labels=dict):
        pass


MEASURES = {
    "a histogram's time": lambda registry: Histogram("l", "L.", ["kind"], registry=registry).time(),
    "a summary's time": lambda registry: Summary("l", "L.", ["kind"], registry=registry).time(),
    "a gauge's time": lambda registry: Gauge("l", "L.", ["kind"], registry=registry).time(),
    "calls in progress": lambda registry: Gauge("l", "L.", ["kind"], registry=registry).track_inprogress(),
    "exceptions": lambda registry: Counter("l", "L.", ["kind"], registry=registry).count_exceptions(),
    "calls": lambda registry: CallMetrics("l", "L.", ["kind"], registry=registry),
}


@pytest.fixture(params=MEASURES)
def measure(request, registry):
    """A block that is measured by a metric with labels, none of which are chosen."""
    return MEASURES[request.param](registry)


def test_an_exception_before_the_labels_are_chosen_passes(measure):
    with pytest.raises(LookupError), measure:
        raise LookupError


async def test_an_exception_before_the_labels_are_chosen_passes_in_an_async_block(measure):
    with pytest.raises(LookupError):
        async with measure:
            raise LookupError


def test_a_call_that_is_dropped_for_it_is_counted_and_logged_once(measure, registry, caplog):
    for _ in range(2):
        with pytest.raises(LookupError), measure:
            raise LookupError
    dropped = [s for f in registry.collect() for s in f.samples if s.name == "asyncmetrics_dropped_observations_total"]
    assert [sample.value for sample in dropped] == [2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_labels_chosen_before_the_exception_count(measure, registry):
    with pytest.raises(LookupError), measure as call:
        call.labels("mail")
        raise LookupError
    assert [s.labels["kind"] for f in registry.collect() for s in f.samples if "kind" in s.labels] != []


def test_a_block_whose_labels_are_never_chosen_is_an_error(measure):
    with pytest.raises(LabelError, match="kind"), measure:
        pass


def test_an_error_of_the_metric_is_logged_and_the_exception_of_the_call_passes(registry, caplog):
    class Broken:
        is_fixed = True

        def labels(self):
            return self

        def require_labels(self):
            return None

        def count_dropped(self):
            return None

        def recorder(self):
            return lambda seconds: 1 / 0

        def closed_recorder(self):
            return None

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        Timer(Broken())(fail)()
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


def test_a_child_that_was_removed_is_made_again_by_a_timer_with_its_labels(labelled, registry):
    timer = labelled.time(labels={"kind": "mail"})
    for _ in range(2):
        labelled.clear()
        with timer:
            pass
    assert registry.get_sample_value("l_seconds_count", {"kind": "mail"}) == 1
