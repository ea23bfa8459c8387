"""A gauge that takes all its children from one function."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Gauge
from asyncmetrics.errors import CallbackTypeError, LabelError


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def waiting(registry):
    return Gauge("waiting", "Jobs waiting.", ["queue"], registry=registry)


def values(registry):
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {sample.labels["queue"]: sample.value for sample in samples if sample.name == "waiting"}


def test_its_children_are_those_that_the_function_returns(registry, waiting):
    waiting.collect_from(lambda: {("mail",): 3, ("print",): 0.5})
    assert values(registry) == {"mail": 3, "print": 0.5}


def test_a_child_that_the_function_no_longer_returns_is_removed(registry, waiting):
    told = {("mail",): 3, ("print",): 1}
    waiting.collect_from(lambda: told)
    values(registry)
    del told["print",]
    assert values(registry) == {"mail": 3}


def test_label_values_are_written_as_elsewhere(registry, waiting):
    waiting.collect_from(lambda: {(7,): 1})
    assert values(registry) == {"7": 1}


@pytest.mark.parametrize("told", [None, {("a", "b"): 1}, {("a",): "many"}, 5])
def test_nonsense_leaves_all_out_and_is_counted(registry, waiting, told):
    waiting.labels("old").set(1)
    waiting.collect_from(lambda: told)
    assert registry.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "waiting"}) == 1
    assert values(registry) == {}


@pytest.mark.parametrize("wrong", [5, None, "f", {("mail",): 3}])
def test_what_cannot_be_called_is_refused_with_the_name_of_the_gauge(waiting, wrong):
    with pytest.raises(TypeError, match=r"^waiting: collect_from\(\) expected a function that returns a mapping"):
        waiting.collect_from(wrong)
    with pytest.raises(CallbackTypeError, match=r"^waiting\{queue='mail'\}: set_function\(\) expected a function"):
        waiting.labels("mail").set_function(wrong)


def test_the_message_of_a_gauge_without_labels_has_its_name_as_written(registry):
    with pytest.raises(TypeError, match=r"^size_bytes: set_function\(\) expected a function .* got 5$"):
        Gauge("size_bytes", "S.", registry=registry).set_function(5)


def test_a_coroutine_instead_of_its_function_is_refused_with_what_to_pass(registry):
    async def count():
        return 1

    with pytest.raises(TypeError, match="pass the function itself, without calling it"):
        Gauge("one", "One.", registry=registry).set_function(count())


def test_a_refused_function_leaves_the_earlier_one(registry, waiting):
    waiting.collect_from(lambda: {("mail",): 3})
    with pytest.raises(TypeError):
        waiting.collect_from(5)
    assert values(registry) == {"mail": 3}


def test_the_function_may_be_async(registry, waiting):
    async def count():
        return {("mail",): 3}

    waiting.collect_from(count)
    assert values(registry) == {"mail": 3}


def test_past_the_limit_they_share_the_child_for_all_others(registry):
    gauge = Gauge("waiting", "Jobs waiting.", ["queue"], max_children=2, registry=registry)
    gauge.collect_from(lambda: {(str(number),): number for number in range(5)})
    assert set(values(registry)) == {"0", "1", "__overflow__"}


def test_without_labels_it_is_refused_with_what_to_use(registry):
    with pytest.raises(LabelError, match="set_function"):
        Gauge("one", "One.", registry=registry).collect_from(dict)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_function_that_does_not_block_is_marked_so_for_collectors(waiting, blocking):
    waiting.collect_from(dict, blocking=blocking)
    assert waiting.blocking is blocking


def test_an_older_sample_in_a_thread_does_not_remove_the_children_of_a_newer_one(registry, waiting):
    """Two collections at once: the one whose function was asked first ends last."""
    told = [{("mail",): 1}, {("mail",): 1, ("print",): 2}]

    def tell():
        found = told.pop(0)
        if told:
            list(registry.collect())
        return found

    waiting.collect_from(tell)
    waiting.labels("mail")
    (family,) = waiting.collect()
    assert {sample.labels["queue"] for sample in family.samples} == {"mail", "print"}


def test_a_number_that_is_none_removes_all_children_and_exposes_no_zero(registry):
    gauge = Gauge("queue_size", "Jobs.", ["queue"], registry=registry)
    gauge.collect_from(lambda: {("mail",): 3, ("fax",): None})
    for _ in range(2):
        assert [s.labels for f in registry.collect() for s in f.samples if s.name == "queue_size"] == []
