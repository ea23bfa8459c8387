"""`MetricChanges`: what it counts as a change, and what it says where a change is not the expected one."""

from __future__ import annotations

import threading
import unittest

import prometheus_client
import pytest

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Summary, bound_labels
from asyncmetrics.core import GaugeMetricFamily
from asyncmetrics.errors import DefinitionError
from asyncmetrics.testing import Change, MetricChanges


@pytest.fixture
def jobs(registry):
    return Counter("jobs_total", "Jobs.", ["kind"], registry=registry)


def _message(changes, *arguments, **labels) -> str:
    with pytest.raises(AssertionError) as raised:
        changes.assert_delta(*arguments, **labels)
    return str(raised.value)


def test_only_what_came_after_the_beginning_counts(registry, jobs):
    jobs.labels("mail").inc(40)
    changes = MetricChanges(registry)
    jobs.labels("mail").inc(2)
    changes.assert_delta("jobs_total", 2, kind="mail")


def test_a_reset_begins_anew(registry, jobs):
    changes = MetricChanges(registry)
    jobs.labels("mail").inc(2)
    changes.reset()
    jobs.labels("mail").inc()
    assert changes.delta("jobs_total", kind="mail") == 1


def test_a_sample_that_does_not_exist_counts_as_0(registry, jobs):
    changes = MetricChanges(registry)
    changes.assert_delta("jobs_total", 0, kind="mail")
    jobs.labels("mail").inc(3)
    changes.assert_delta("jobs_total", 3, kind="mail")
    changes.reset()
    jobs.remove("mail")
    changes.assert_delta("jobs_total", -3, kind="mail")


def test_a_gauge_may_go_down(registry):
    open_files = Gauge("open_files", "Files.", registry=registry)
    open_files.set(5)
    changes = MetricChanges(registry)
    open_files.set(1.5)
    changes.assert_delta("open_files", -3.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_stays_is_no_change_also_if_it_is_no_finite_number(registry, value):
    Gauge("level", "Level.", registry=registry).set(value)
    changes = MetricChanges(registry)
    changes.assert_delta("level", 0)
    assert changes.list_changes() == []


def test_the_samples_of_histograms_and_summaries_have_their_own_names(registry):
    seconds = Histogram("fetch_seconds", "Time.", buckets=[0.5, 1], registry=registry)
    size = Summary("fetch_bytes", "Size.", registry=registry)
    changes = MetricChanges(registry)
    seconds.observe(0.75)
    size.observe(100)
    changes.assert_delta("fetch_seconds_count", 1)
    changes.assert_delta("fetch_seconds_sum", 0.75)
    changes.assert_delta("fetch_seconds_bucket", 0, le="0.5")
    changes.assert_delta("fetch_bytes_sum", 100)


@pytest.mark.parametrize("bound", ["1", "1.0", 1, 1.0])
def test_the_bound_of_a_bucket_is_compared_as_a_number(registry, bound):
    seconds = Histogram("fetch_seconds", "Time.", buckets=[0.5, 1], registry=registry)
    changes = MetricChanges(registry)
    seconds.observe(0.75)
    changes.assert_delta("fetch_seconds_bucket", 1, le=bound)


def test_the_last_bucket_is_that_of_infinity(registry):
    seconds = Histogram("fetch_seconds", "Time.", registry=registry)
    changes = MetricChanges(registry)
    seconds.observe(0.75)
    changes.assert_delta("fetch_seconds_bucket", 1, le=float("inf"))


def test_an_approximate_number_is_accepted(registry):
    seconds = Summary("fetch_seconds", "Time.", registry=registry)
    seconds.observe(0.7)
    changes = MetricChanges(registry)
    seconds.observe(0.1)
    seconds.observe(0.2)
    changes.assert_delta("fetch_seconds_sum", pytest.approx(0.3))
    assert "expect pytest.approx(0.3)" in _message(changes, "fetch_seconds_sum", 0.3)


def test_labels_may_have_the_names_of_the_arguments(registry):
    odd = Counter("odd_total", "Odd.", ["name", "expected", "self", "labels"], registry=registry)
    changes = MetricChanges(registry)
    odd.labels("a", "b", "c", "d").inc()
    changes.assert_delta("odd_total", 1, name="a", expected="b", self="c", labels="d")


def test_a_label_value_becomes_text_as_in_labels(registry):
    answers = Counter("answers_total", "Answers.", ["status"], registry=registry)
    changes = MetricChanges(registry)
    answers.labels(404).inc()
    changes.assert_delta("answers_total", 1, status=404)


def test_labels_of_the_context_are_labels_of_the_sample(registry):
    charges = Counter("charges_total", "Charges.", ["currency"], context_labels=["tenant"], registry=registry)
    changes = MetricChanges(registry)
    with bound_labels(tenant="acme"):
        charges.labels("EUR").inc()
    charges.labels("USD").inc()
    changes.assert_delta("charges_total", 1, currency="EUR", tenant="acme")
    changes.assert_delta("charges_total", 1, currency="USD")  # an empty label is an absent one
    assert "the labels of charges_total are 'currency', 'tenant'" in _message(
        changes, "charges_total", 1, currency="EUR"
    )


def test_a_label_that_is_left_out_is_another_sample(registry, jobs):
    changes = MetricChanges(registry)
    jobs.labels("mail").inc()
    assert changes.delta("jobs_total") == 0


def test_the_state_of_an_enum_is_a_label(registry):
    state = Enum("door", "Door.", states=["open", "shut"], registry=registry)
    changes = MetricChanges(registry)
    state.state("shut")
    changes.assert_delta("door", 1, door="shut")
    changes.assert_delta("door", -1, door="open")


def test_a_custom_collector_is_asked(registry):
    class Stock:
        sold = 0

        def collect(self):
            yield GaugeMetricFamily("stock", "Stock.", 7 - self.sold)

    stock = Stock()
    registry.register(stock)
    changes = MetricChanges(registry)
    stock.sold = 3
    changes.assert_delta("stock", -3)


def test_counts_of_other_threads_are_seen(registry, jobs):
    changes = MetricChanges(registry)
    threads = [threading.Thread(target=jobs.labels("mail").inc) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changes.assert_delta("jobs_total", 4, kind="mail")


def test_another_registry_counts_from_the_first_call_on(jobs, registry):
    changes = MetricChanges(CollectorRegistry())
    jobs.labels("mail").inc(9)
    changes.of(registry)
    jobs.labels("mail").inc()
    changes.of(registry).assert_delta("jobs_total", 1, kind="mail")
    changes.reset()
    changes.of(registry).assert_delta("jobs_total", 0, kind="mail")


def test_a_registry_of_prometheus_client_may_be_given():
    theirs = prometheus_client.CollectorRegistry()
    jobs = prometheus_client.Counter("jobs", "Jobs.", ["kind"], registry=theirs)
    changes = MetricChanges(theirs)
    jobs.labels("mail").inc()
    changes.assert_delta("jobs_total", 1, kind="mail")


def test_all_changes_are_listed(registry, jobs):
    jobs.labels("mail").inc()
    jobs.labels("same").inc()
    changes = MetricChanges(registry)
    jobs.labels("mail").inc()
    jobs.labels("other").inc(5)
    assert changes.list_changes() == [
        Change("jobs_total", {"kind": "mail"}, 1, 2),
        Change("jobs_total", {"kind": "other"}, 0, 5),
    ]
    assert changes.list_changes()[1].delta == 5


def test_a_failure_says_what_did_change_the_metric_first(registry, jobs):
    Counter("a_total", "A.", registry=registry).inc()
    changes = MetricChanges(registry)
    Histogram("fetch_seconds", "Time.", registry=registry).observe(2)
    jobs.labels("invoice").inc()
    jobs.labels("mail").inc(2)
    assert _message(changes, "jobs_total", 1, kind="mail").splitlines() == [
        'jobs_total{kind="mail"}: expected a change of 1, got 2 (from 0 to 2)',
        "What did change:",
        '  jobs_total{kind="invoice"}  +1 (from 0 to 1)',
        '  jobs_total{kind="mail"}  +2 (from 0 to 2)',
        "  fetch_seconds_count  +1 (from 0 to 1)",
        "  fetch_seconds_sum  +2 (from 0 to 2)",
    ]


def test_a_failure_without_any_change_says_so(registry, jobs):
    jobs.labels("mail")
    assert _message(MetricChanges(registry), "jobs_total", 1, kind="mail").splitlines() == [
        'jobs_total{kind="mail"}: expected a change of 1, got 0 (from 0 to 0)',
        "Nothing did change.",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("jobs", "jobs_total"), ("job_total", "jobs_total"), ("fetch_seconds_cnt", "fetch_seconds_count")],
)
def test_a_failure_names_the_metric_that_was_meant(registry, jobs, name, meant):
    Histogram("fetch_seconds", "Time.", registry=registry)
    jobs.labels("mail")
    assert f"there is no such sample; did you mean {meant!r}?" in _message(MetricChanges(registry), name, 1)


def test_the_name_of_a_histogram_is_answered_with_those_of_its_samples(registry):
    Histogram("fetch_seconds", "Seconds.", registry=registry)
    message = _message(MetricChanges(registry), "fetch_seconds", 1)
    samples = "'fetch_seconds_bucket', 'fetch_seconds_count', 'fetch_seconds_sum'"
    assert f"there is no such sample: the samples of fetch_seconds are {samples}" in message


def test_labels_in_the_name_are_answered_with_how_to_give_them(registry, jobs):
    message = _message(MetricChanges(registry), 'jobs_total{kind="mail"}', 1)
    assert "there is no such sample: give its labels as keyword arguments" in message


def test_a_failure_names_the_labels_that_there_are(registry, jobs):
    jobs.labels("mail")
    changes = MetricChanges(registry)
    assert 'no such sample; jobs_total has {kind="mail"}\n' in _message(changes, "jobs_total", 1, kind="male")
    assert "no such sample: the labels of jobs_total are 'kind'\n" in _message(changes, "jobs_total", 1, king="mail")


def test_a_failure_is_of_bounded_length(registry, jobs):
    changes = MetricChanges(registry)
    for number in range(500):
        jobs.labels(f"{number}{'x' * 5000}").inc()
    message = _message(changes, "jobs_total", 1, kind="none")
    assert "… and 480 more" in message
    assert len(message) < 10_000


def test_a_failure_shows_no_control_characters(registry, jobs):
    changes = MetricChanges(registry)
    jobs.labels("\x1b[2Jgone\n\u202eback").inc()
    message = _message(changes, "jobs_total", 1, kind="\x9b2J")
    assert r'jobs_total{kind="\x9b2J"}: expected' in message
    assert r'jobs_total{kind="\x1b[2Jgone\n\u202eback"}  +1' in message
    assert [line for line in message.splitlines() if not line.isprintable()] == []


def test_a_number_that_no_float_can_hold_is_only_another_number(registry, jobs):
    assert "expected a change of an int of 10001 bits" in _message(MetricChanges(registry), "jobs_total", 2**10_000)


@pytest.mark.parametrize("expected", ["1", None, {"kind": "mail"}])
def test_an_expectation_that_no_number_can_equal_is_refused(registry, expected):
    with pytest.raises(DefinitionError, match="expected: expected a number or pytest.approx"):
        MetricChanges(registry).assert_delta("jobs_total", expected)


@pytest.mark.parametrize("wrong", [None, "registry", CollectorRegistry])
def test_what_is_no_registry_is_refused(wrong):
    with pytest.raises(DefinitionError, match="registry: expected a registry, an object with a method collect"):
        MetricChanges(wrong)


def test_it_works_in_a_unittest(registry, jobs):
    class Mine(unittest.TestCase):
        def setUp(self):
            self.changes = MetricChanges(registry)

        def test_one(self):
            jobs.labels("mail").inc()
            self.changes.assert_delta("jobs_total", 1, kind="mail")

        def test_two(self):
            self.changes.assert_delta("jobs_total", 1, kind="mail")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Mine).run(result)
    assert (result.testsRun, result.errors) == (2, [])
    ((failed, text),) = result.failures
    assert failed.id().endswith("test_two")
    assert "expected a change of 1, got 0" in text
