"""CallMetrics: rate, errors and duration by one decorator."""

from __future__ import annotations

import asyncio

import pytest

from asyncmetrics import CallMetrics, Counter, Gauge, bound_labels
from asyncmetrics.errors import DefinitionError, DuplicateMetricError, LabelError


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


def test_a_name_that_is_taken_leaves_none_of_the_three_registered(registry):
    Counter("jobs_exceptions", "Taken.", registry=registry)
    with pytest.raises(DuplicateMetricError, match="jobs_exceptions"):
        CallMetrics("jobs", "Jobs.", registry=registry)
    assert {family.name for family in registry.collect()} == {"jobs_exceptions"}


def test_a_wrong_option_leaves_none_of_the_three_registered(registry):
    with pytest.raises(DefinitionError, match="multiprocess_mode"):
        CallMetrics("jobs", "Jobs.", multiprocess_mode="odd", registry=registry)
    assert list(registry.collect()) == []


def test_metrics_that_exist_stay_registered_if_the_others_cannot_be(track, registry):
    with pytest.raises(DuplicateMetricError):
        CallMetrics("jobs", "Jobs.", buckets=[1], registry=registry, exist_ok=True)
    assert {family.name for family in registry.collect()} == {
        "jobs_duration_seconds",
        "jobs_active",
        "jobs_exceptions",
    }


def test_its_buckets_are_those_of_the_duration(registry):
    with CallMetrics("jobs", "Jobs.", buckets=[60, 600], registry=registry):
        pass
    bounds = [s.labels["le"] for f in registry.collect() for s in f.samples if s.name.endswith("_bucket")]
    assert bounds == ["60.0", "600.0", "+Inf"]


def test_its_duration_may_be_a_native_histogram_without_classic_buckets(registry):
    with CallMetrics("jobs", "Jobs.", buckets=(), native=3, registry=registry):
        pass
    (native,) = (s.native_histogram for f in registry.collect() for s in f.samples if s.native_histogram)
    assert (native.schema, native.count_value) == (3, 1)
    assert registry.get_sample_value("jobs_duration_seconds_bucket", {"outcome": "ok", "le": "+Inf"}) == 1
    assert registry.get_sample_value("jobs_duration_seconds_bucket", {"outcome": "ok", "le": "1.0"}) is None


def test_all_three_have_the_context_labels(registry):
    track = CallMetrics("jobs", "Jobs.", ["kind"], context_labels=["tenant"], registry=registry)
    with bound_labels(tenant="acme"), pytest.raises(KeyError), track.labels("mail"):
        raise KeyError
    labels = {"kind": "mail", "tenant": "acme"}
    value = registry.get_sample_value
    assert value("jobs_active", labels) == 0
    assert value("jobs_exceptions_total", {**labels, "type": "KeyError"}) == 1
    assert value("jobs_duration_seconds_count", {**labels, "outcome": "error"}) == 1


@pytest.mark.parametrize(
    ("options", "mode"),
    [({}, "livesum"), ({"per_worker": True}, "liveall"), ({"multiprocess_mode": "livemax"}, "livemax")],
)
def test_the_running_calls_of_workers_are_merged_by_its_mode(options, mode, registry):
    CallMetrics("jobs", "Jobs.", registry=registry, **options)
    same = Gauge("jobs_active", "Jobs. Running now.", multiprocess_mode=mode, registry=registry, exist_ok=True)
    assert same.descriptor.mode == mode


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CallMetrics("jobs", "Jobs.", labelnames="kind"), r"jobs: expected labelnames= .*write \['kind'\]"),
        (lambda: CallMetrics("jobs", "Jobs.", context_labels=5), "jobs: expected context_labels= to be a list"),
        (lambda: CallMetrics("jobs", 5), "jobs: expected documentation= to be a str"),
        (lambda: CallMetrics("", "Jobs."), "prefix: expected a str such as 'jobs'"),
        (lambda: CallMetrics("jobs"), r"CallMetrics\('jobs'\): missing a required argument: 'documentation'"),
        (
            lambda: CallMetrics("jobs", help="Jobs."),
            r"CallMetrics\('jobs'\): got .*'help'; did you mean 'documentation'",
        ),
        (lambda: CallMetrics("jobs", "Jobs.", labels=5, registry=None), r"CallMetrics\('jobs'\): expected labels="),
    ],
)
def test_a_wrong_declaration_is_an_error_in_its_own_words(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def read_exemplars(registry):
    return {s.name: dict(s.exemplar.labels) for f in registry.collect() for s in f.samples if s.exemplar}


@pytest.mark.parametrize("labels", [{}, {"kind": "mail"}])
@pytest.mark.parametrize("context_labels", [[], ["tenant"]])
def test_a_call_has_the_exemplar_that_a_function_returns(labels, context_labels, registry):
    track = CallMetrics(
        "jobs", "Jobs.", [*labels], context_labels=context_labels, exemplars=lambda: {"id": "7"}, registry=registry
    )
    with track.labels(**labels) if labels else track:
        pass
    assert read_exemplars(registry) == {"jobs_duration_seconds_bucket": {"id": "7"}}


def test_an_exception_has_the_exemplar_as_well(registry):
    track = CallMetrics("jobs", "Jobs.", exemplars=lambda: {"id": "7"}, registry=registry)
    with pytest.raises(ValueError, match="no"), track:
        raise ValueError("no")
    assert read_exemplars(registry) == {
        "jobs_duration_seconds_bucket": {"id": "7"},
        "jobs_exceptions_total": {"id": "7"},
    }


@pytest.mark.parametrize("exemplars", [lambda: None, dict, lambda: 1 / 0, lambda: {"id": 7}, lambda: 7])
def test_a_call_without_a_usable_exemplar_is_recorded(exemplars, registry, outcomes):
    with CallMetrics("jobs", "Jobs.", exemplars=exemplars, registry=registry):
        pass
    assert outcomes() == {"ok": 1}
    assert read_exemplars(registry) == {}


def test_exemplars_are_a_function_or_the_name_of_one(registry):
    expected = r"jobs: expected exemplars= to be one of 'trace', 'traceparent', or a function .*, got the string 'span'"
    with pytest.raises(DefinitionError, match=expected):
        CallMetrics("jobs", "Jobs.", exemplars="span", registry=registry)
    assert [*registry.collect()] == []


def test_a_generator_that_is_closed_has_no_exemplar_since_it_may_be_closed_anywhere(registry, outcomes):
    @CallMetrics("jobs", "Jobs.", exemplars=lambda: {"id": "7"}, registry=registry)
    def produce():
        yield 1

    producer = produce()
    next(producer)
    producer.close()
    assert outcomes() == {"ok": 1}
    assert read_exemplars(registry) == {}
