"""Calls: how many run, how long they took, how they ended, also where a program removes their series meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter
from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.metrics.calls import CallNames, Calls, declare_calls
from asyncmetrics.metrics.totals import TOTALS, RequestTotals
from tests.patience import PATIENCE_SECONDS

NAMES = CallNames("db_duration_seconds", "db_active", "db_exceptions_total")


def declare(registry: CollectorRegistry, names: CallNames = NAMES, **options) -> Calls:
    return declare_calls(names, "Operations.", ["operation"], registry=registry, **options)


@pytest.fixture
def calls(registry: CollectorRegistry) -> Calls:
    return declare(registry, kind="db")


@pytest.fixture
def read(registry: CollectorRegistry):
    """Read a sample of one operation: ``read("active")``."""
    return lambda name, operation="SELECT", **labels: registry.get_sample_value(
        f"db_{name}", {"operation": operation, **labels}
    )


def count_outcomes(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["operation"], sample.labels["outcome"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "db_duration_seconds_count"
    }


class TestACall:
    def test_it_is_active_until_it_ends(self, calls, read):
        series = calls.at(("SELECT",))
        end, _, _ = series.begin()
        assert read("active") == 1
        end(0.5)
        assert read("active") == 0

    def test_its_seconds_are_observed_with_the_outcome_ok(self, calls, read, registry):
        series = calls.at(("SELECT",))
        series.begin()
        series.end(0.5)
        assert count_outcomes(registry) == {("SELECT", "ok"): 1}
        assert read("duration_seconds_sum", outcome="ok") == 0.5

    def test_it_may_end_with_an_outcome_of_its_own(self, calls, registry):
        series = calls.at(("SELECT",))
        series.begin()
        series.end(0.5, "404")
        assert count_outcomes(registry) == {("SELECT", "404"): 1}

    def test_the_series_of_an_outcome_comes_with_the_first_call_that_has_it(self, calls, registry):
        calls.at(("SELECT",)).begin()
        assert count_outcomes(registry) == {}

    @pytest.mark.parametrize(
        ("error", "outcome", "counted"),
        [
            (ValueError(), "error", 1),
            (KeyboardInterrupt(), "error", 1),
            (TimeoutError(), "error", 1),
            (asyncio.CancelledError(), "cancelled", None),
            (GeneratorExit(), "ok", None),
        ],
    )
    def test_an_exception_decides_its_outcome(self, error, outcome, counted, calls, read, registry):
        series = calls.at(("SELECT",))
        series.begin()
        series.fail(0.5, error)
        assert count_outcomes(registry) == {("SELECT", outcome): 1}
        assert read("exceptions_total", type=type(error).__name__) == counted
        assert read("active") == 0

    def test_a_cancellation_of_trio_is_cancelled(self, calls, registry):
        async def main() -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                try:
                    await trio.sleep_forever()
                except trio.Cancelled as error:
                    series = calls.at(("SELECT",))
                    series.begin()
                    series.fail(0.5, error)
                    raise

        trio.run(main)
        assert count_outcomes(registry) == {("SELECT", "cancelled"): 1}

    def test_a_closed_call_may_be_a_cancelled_one(self, registry):
        series = declare(registry, closed="cancelled").at(("SELECT",))
        series.begin()
        series.fail(0.5, GeneratorExit())
        assert count_outcomes(registry) == {("SELECT", "cancelled"): 1}

    def test_a_failed_call_may_have_an_outcome_of_its_own_and_counts_its_exception(self, calls, read, registry):
        series = calls.at(("SELECT",))
        series.begin()
        series.fail(0.5, OSError(), "503")
        assert count_outcomes(registry) == {("SELECT", "503"): 1}
        assert read("exceptions_total", type="OSError") == 1

    def test_an_exception_that_does_not_end_a_call_is_counted_alone(self, calls, read, registry):
        calls.at(("SELECT",)).count_exception(OSError())
        assert read("exceptions_total", type="OSError") == 1
        assert count_outcomes(registry) == {}

    def test_its_beginning_can_be_undone(self, calls, read, registry):
        _, _, undo = calls.at(("SELECT",)).begin()
        undo()
        assert read("active") == 0
        assert count_outcomes(registry) == {}


class TestSeries:
    def test_the_same_labels_are_the_same_series(self, calls):
        assert calls.at(("SELECT",)) is calls.at(("SELECT",))
        assert calls.at(("SELECT",)) is not calls.at(("INSERT",))

    def test_a_call_that_began_before_a_clear_ends_with_the_old_series(self, calls, read):
        calls.at(("SELECT",)).begin()
        running = calls.at(("SELECT",))
        calls.active.clear()
        calls.at(("SELECT",)).begin()
        running.end(0.5)
        assert read("active") == 1
        calls.at(("SELECT",)).end(0.5)
        assert read("active") == 0

    def test_after_a_clear_durations_begin_anew(self, calls, registry):
        series = calls.at(("SELECT",))
        for _ in range(2):
            series.begin()
            series.end(0.5)
            calls.durations.clear()
        series.begin()
        series.end(0.5)
        assert count_outcomes(registry) == {("SELECT", "ok"): 1}

    def test_a_measure_that_is_kept_finds_the_series_of_now(self, calls, read):
        """A decorator asks for it once; the program clears the metrics later."""
        _, _, begin = calls.measure(("SELECT",))
        begin()[0](0.5)
        calls.active.clear()
        end, _, _ = begin()
        assert read("active") == 1
        end(0.5)
        assert read("active") == 0

    def test_label_sets_beyond_the_limit_share_one_series(self, registry, read):
        calls = declare(registry, max_children=2)
        for number in range(5):
            series = calls.at((str(number),))
            series.begin()
            series.end(0.5)
        assert sum(count_outcomes(registry).values()) == 5
        overflow = "__overflow__"
        assert registry.get_sample_value("db_active", {"operation": overflow}) == 0
        assert count_outcomes(registry)[overflow, overflow] == 3

    def test_series_beyond_the_limit_return_to_no_active_call(self, registry):
        calls = declare(registry, max_children=1)
        running = [calls.at((str(number),)) for number in range(4)]
        for series in running:
            series.begin()
        assert registry.get_sample_value("db_active", {"operation": "__overflow__"}) == 3
        for series in running:
            series.fail(0.5, ValueError())
        assert registry.get_sample_value("db_active", {"operation": "__overflow__"}) == 0

    def test_many_sets_of_labels_do_not_grow_without_end(self, registry):
        calls = declare(registry, max_children=10)
        first = calls.at(("0",))
        for number in range(10_001):
            calls.at((str(number),))
        assert calls.at(("0",)) is not first
        assert calls.at(("0",)).active is first.active


class TestDeclaration:
    def test_a_name_that_is_taken_registers_none_of_the_three(self, registry):
        Counter("db_exceptions", "Taken.", registry=registry)
        with pytest.raises(DuplicateMetricError):
            declare(registry)
        assert {family.name for family in registry.collect() if family.name.startswith("db")} == {"db_exceptions"}

    def test_declared_twice_the_numbers_are_shared(self, registry, read):
        for calls in (declare(registry, exist_ok=True), declare(registry, exist_ok=True)):
            calls.at(("SELECT",)).begin()
        assert read("active") == 2

    def test_without_exist_ok_a_second_declaration_is_an_error_and_the_first_stays(self, registry, calls, read):
        with pytest.raises(DuplicateMetricError):
            declare(registry)
        calls.at(("SELECT",)).begin()
        assert read("active") == 1

    def test_a_failed_second_declaration_leaves_the_metrics_of_the_first(self, registry, calls, read):
        other = NAMES._replace(exceptions="other_exceptions_total", outcome="result")
        with pytest.raises(DuplicateMetricError):
            declare(registry, other, exist_ok=True)
        calls.at(("SELECT",)).begin()
        assert read("active") == 1

    def test_the_names_have_a_prefix_and_labels_of_their_own(self, registry):
        names = NAMES._replace(outcome="result", type="error_type")
        calls = declare(registry, names, namespace="shop")
        series = calls.at(("SELECT",))
        series.begin()
        series.fail(0.5, ValueError())
        labels = {"operation": "SELECT", "result": "error"}
        assert registry.get_sample_value("shop_db_duration_seconds_count", labels) == 1
        labels = {"operation": "SELECT", "error_type": "ValueError"}
        assert registry.get_sample_value("shop_db_exceptions_total", labels) == 1


class TestRequestTotals:
    @pytest.fixture
    def totals(self) -> Iterator[RequestTotals]:
        token = TOTALS.set(totals := RequestTotals())
        yield totals
        TOTALS.reset(token)

    def test_calls_add_themselves_to_the_request_by_kind(self, calls, totals):
        series = calls.at(("SELECT",))
        series.begin()
        series.end(0.5)
        series.begin()
        series.fail(0.25, ValueError())
        assert (totals.counts, totals.seconds) == ({"db": 2}, {"db": 0.75})

    def test_calls_of_no_kind_add_nothing(self, registry, totals):
        series = declare(registry).at(("SELECT",))
        series.begin()
        series.end(0.5)
        assert totals.counts == {}

    def test_outside_of_a_request_they_count_as_ever(self, calls, registry):
        series = calls.at(("SELECT",))
        series.begin()
        series.end(0.5)
        assert count_outcomes(registry) == {("SELECT", "ok"): 1}

    def test_a_request_that_is_closed_gets_nothing_more(self, calls, totals):
        series = calls.at(("SELECT",))
        series.begin()
        totals.is_open = False
        series.end(0.5)
        assert totals.counts == {}

    def test_tasks_and_threads_of_the_request_add_to_it(self, calls, totals):
        def call() -> None:
            series = calls.at(("SELECT",))
            series.begin()
            series.end(0.5)

        async def call_async() -> None:
            call()

        async def main() -> None:
            await asyncio.gather(call_async(), asyncio.create_task(call_async()), asyncio.to_thread(call))

        asyncio.run(main())
        assert totals.counts == {"db": 3}

    def test_a_thread_of_no_request_adds_nothing(self, calls, totals):
        def call() -> None:
            series = calls.at(("SELECT",))
            series.begin()
            series.end(0.5)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        assert totals.counts == {}

    def test_requests_beside_each_other_have_their_own(self, calls):
        async def serve(amount: int) -> RequestTotals:
            TOTALS.set(totals := RequestTotals())
            for _ in range(amount):
                series = calls.at(("SELECT",))
                series.begin()
                await asyncio.sleep(0)
                series.end(0.5)
            return totals

        async def main() -> list[RequestTotals]:
            return await asyncio.gather(serve(1), serve(2), serve(3))

        assert [totals.counts["db"] for totals in asyncio.run(main())] == [1, 2, 3]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["end", "fail", "cancel", "undo"]), st.integers(0, 9)),
        st.tuples(st.just("clear"), st.sampled_from(["active", "durations", "exceptions"])),
    ),
    max_size=40,
)


@given(STEPS)
def test_any_steps_leave_the_gauge_at_the_number_of_running_calls(steps):
    """A clear leaves out the calls that run then; they end without a trace in the new series."""
    registry = CollectorRegistry()
    calls = declare(registry)
    running: list[tuple[str, bool, object]] = []
    for step, value in steps:
        if step == "begin":
            running.append((value, True, calls.at((value,))))
            running[-1][2].begin()
        elif step == "clear":
            getattr(calls, value).clear()
            if value == "active":
                running = [(operation, False, series) for operation, _, series in running]
        elif running:
            _, _, series = running.pop(value % len(running))
            if step == "end":
                series.end(0.5)
            elif step == "undo":
                series.active.dec()
            else:
                series.fail(0.5, ValueError() if step == "fail" else asyncio.CancelledError())
    for operation in "ab":
        expected = sum(1 for name, is_exposed, _ in running if is_exposed and name == operation)
        assert (registry.get_sample_value("db_active", {"operation": operation}) or 0) == expected


@given(st.lists(st.sampled_from(["ok", "error", "cancelled"]), max_size=30))
def test_every_call_has_one_outcome(ends):
    registry = CollectorRegistry()
    series = declare(registry).at(("a",))
    errors = {"error": ValueError(), "cancelled": asyncio.CancelledError()}
    for end in ends:
        series.begin()
        if end == "ok":
            series.end(0.5)
        else:
            series.fail(0.5, errors[end])
    assert count_outcomes(registry) == {("a", end): ends.count(end) for end in set(ends)}
    assert registry.get_sample_value("db_active", {"operation": "a"}) == 0


def test_around_measures_a_function_and_keeps_its_kind(calls, read):
    async def fetch(number: int) -> int:
        return number

    measured = calls.around(fetch, "SELECT")
    assert asyncio.iscoroutinefunction(measured)
    assert asyncio.run(measured(7)) == 7
    assert calls.around(str, "SELECT")(7) == "7"
    assert read("duration_seconds_count", outcome="ok") == 2


def test_a_metric_that_fails_does_not_fail_the_call(calls, registry, monkeypatch):
    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(calls.durations, "find", fail)
    assert calls.around(str, "SELECT")(7) == "7"
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "calls"}) == 1
