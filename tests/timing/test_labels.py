"""Labels that are chosen for each call, or while a timer runs."""

from __future__ import annotations

import pytest

from asyncmetrics import Histogram
from asyncmetrics.errors import LabelError
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
