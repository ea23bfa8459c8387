"""The contract of every storage, as tests: inherit them, return your storage, and let pytest find them.

::

    class TestMine(StorageContract):
        def make_storage(self) -> Storage:
            return MyStorage()

A test declares metrics, takes some steps with them, and reads the samples. `StorageContract.run` does that in one
process. The tests of a shared storage override it to take the steps in several processes, which must make no
difference.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from asyncmetrics.children.table import OVERFLOW, ChildTable
from asyncmetrics.errors import AmountError, LabelError
from asyncmetrics.metrics import Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage.protocol import Storage
from asyncmetrics.testing.native_storage import NativeHistogramContract
from asyncmetrics.testing.steps import Declare, Reader, Step

__all__ = ("StorageContract",)

_ODD = 'quote " backslash \\ line \n NUL \0 ÿ \ud800 # EOF'
_THREADS, _TURNS = 4, 5000


class StorageContract(NativeHistogramContract):
    """The tests. Gauges have the mode ``sum``, which has the same result in one process and in several."""

    @abstractmethod
    def make_storage(self) -> Storage:
        """Return a new, empty storage."""

    def run(self, declare: Declare, steps: Sequence[Step]) -> Reader:
        """Declare the metrics, take the steps in order, and return the samples."""
        registry = CollectorRegistry(storage=self.make_storage())
        declared = declare(registry)
        for step in steps:
            step(declared)
        return Reader(registry)

    def open(self, kind: str = "counter", labelnames: Iterable[str] = ("n",), **options: Any) -> ChildTable[Any]:
        """Return a child table of a new storage."""
        descriptor = Descriptor(kind, "m", "M.", tuple(labelnames))  # type: ignore[arg-type]  # one of them
        storage = self.make_storage()
        return storage.open(descriptor, SelfMetrics(storage), **options)

    def test_a_counter_counts(self) -> None:
        """Increments of any amount add up, separately for each series."""
        read = self.run(
            lambda registry: Counter("c", "C.", ["n"], registry=registry),
            [
                lambda c: c.labels("x").inc(),
                lambda c: c.labels("x").inc(2),
                lambda c: c.labels("y").inc(0.5),
                lambda c: c.labels("x").inc(True),
            ],
        )
        assert [read.value("c_total", n="x"), read.value("c_total", n="y")] == [4, 0.5]

    def test_a_series_is_exposed_once_its_labels_are_chosen(self) -> None:
        """It starts at zero, and is not exposed before."""
        read = self.run(
            lambda registry: (Counter("c", "C.", ["n"], registry=registry), Counter("d", "D.", registry=registry)),
            [lambda metrics: metrics[0].labels("x")],
        )
        assert read.labels("c_total") == [{"n": "x"}]
        assert [read.value("c_total", n="x"), read.value("d_total")] == [0, 0]

    def test_a_gauge_goes_up_and_down(self) -> None:
        """It accepts every double."""
        read = self.run(
            lambda registry: Gauge("g", "G.", ["n"], registry=registry, multiprocess_mode="sum"),
            [
                lambda g: g.labels("x").inc(5),
                lambda g: g.labels("x").dec(),
                lambda g: g.labels("inf").set(float("-inf")),
                lambda g: g.labels("x").dec(0.5),
            ],
        )
        assert [read.value("g", n="x"), read.value("g", n="inf")] == [3.5, float("-inf")]

    def test_a_summary_counts_and_adds(self) -> None:
        """An observation of NaN is dropped and counted."""
        read = self.run(
            lambda registry: Summary("s", "S.", registry=registry),
            [lambda s: s.observe(2), lambda s: s.observe(-0.5), lambda s: s.observe(float("nan"))],
        )
        assert [read.value("s_count"), read.value("s_sum")] == [2, 1.5]
        assert read.value("asyncmetrics_dropped_observations_total", metric="s") == 1

    def test_a_histogram_counts_by_size(self) -> None:
        """A bound belongs to its bucket, and infinity to the last one."""
        read = self.run(
            lambda registry: Histogram("h", "H.", buckets=[1, 2], registry=registry),
            [
                lambda h: h.observe(1),
                lambda h: h.observe(1.5),
                lambda h: h.observe(float("inf")),
                lambda h: h.observe(0),
            ],
        )
        assert [read.value("h_bucket", le=le) for le in ("1.0", "2.0", "+Inf")] == [2, 3, 4]
        assert [read.value("h_count"), read.value("h_sum")] == [4, float("inf")]

    def test_a_histogram_of_negative_bounds_has_no_sum(self) -> None:
        """OpenMetrics 1.0, "Histogram"."""
        read = self.run(
            lambda registry: Histogram("h", "H.", buckets=[-1, 1], registry=registry),
            [lambda h: h.observe(-2), lambda h: h.observe(0)],
        )
        assert [read.value("h_bucket", le=le) for le in ("-1.0", "1.0", "+Inf")] == [1, 2, 2]
        assert [read.value("h_count"), read.value("h_sum")] == [2, None]

    def test_an_info_exposes_its_facts(self) -> None:
        """Equal facts are one series."""
        read = self.run(
            lambda registry: Info("i", "I.", registry=registry),
            [lambda i: i.info({"version": "2"})] * 3,
        )
        assert read.labels("i_info") == [{"version": "2"}]

    def test_an_enum_is_in_one_state(self) -> None:
        """The other states are 0."""
        read = self.run(
            lambda registry: Enum("e", "E.", states=["a", "b"], registry=registry), [lambda e: e.state("b")]
        )
        on = [sample.labels["e"] for sample in read.samples if sample.name == "e" and sample.value == 1]
        assert "b" in on
        assert sum(sample.value for sample in read.samples if sample.name == "e") == len(on)

    def test_a_refused_amount_changes_nothing(self) -> None:
        """A counter refuses negative, infinite and non-numeric amounts."""

        def refused(counter: Any) -> None:
            for amount in (-1, float("nan"), float("inf"), "1", None, 10**400):
                with suppress(AmountError, TypeError):
                    counter.inc(amount)
                    raise RuntimeError(f"{amount!r} was accepted")

        read = self.run(lambda registry: Counter("c", "C.", registry=registry), [lambda c: c.inc(3), refused])
        assert read.value("c_total") == 3

    def test_label_values_are_exposed_unchanged(self) -> None:
        """Only lone surrogates, which UTF-8 cannot encode, are replaced."""
        read = self.run(
            lambda registry: Counter("c", "C.", ["n", "m"], registry=registry),
            [lambda c: c.labels(_ODD, "").inc(), lambda c: c.labels("", _ODD).inc(2)],
        )
        clean = _ODD.replace("\ud800", "\ufffd")
        assert [read.value("c_total", n=clean, m=""), read.value("c_total", n="", m=clean)] == [1, 2]

    def test_a_limit_sends_new_label_sets_to_one_series(self) -> None:
        """Their uses are counted."""
        read = self.run(
            lambda registry: Counter("c", "C.", ["n"], max_children=2, registry=registry),
            [lambda c: [c.labels(str(number)).inc() for number in range(5)]],
        )
        assert read.value("c_total", n=OVERFLOW) == 3
        assert read.value("asyncmetrics_overflowed_label_sets_total", metric="c") == 3

    def test_a_removed_series_starts_again_at_zero(self) -> None:
        """It is not exposed until the process that removed it uses it again."""

        def remove(counter: Any) -> None:
            counter.labels("x").inc(5)
            counter.labels("y").inc(5)
            counter.remove("x")
            counter.remove("y")
            counter.remove("never there")
            counter.labels("y").inc()

        read = self.run(lambda registry: Counter("c", "C.", ["n"], registry=registry), [remove])
        assert read.labels("c_total") == [{"n": "y"}]
        assert read.value("c_total", n="y") == 1

    def test_clearing_removes_all_series(self) -> None:
        """Series that are created later stay."""

        def clear(counter: Any) -> None:
            for number in range(600):
                counter.labels(str(number)).inc()
            counter.clear()
            counter.labels("new").inc()

        read = self.run(lambda registry: Counter("c", "C.", ["n"], registry=registry), [clear])
        assert read.labels("c_total") == [{"n": "new"}]

    def test_a_reset_sets_a_counter_to_zero(self) -> None:
        """Later increments count from there."""

        def reset(counter: Any) -> None:
            counter.inc(5)
            counter.reset()
            counter.inc()

        assert self.run(lambda registry: Counter("c", "C.", registry=registry), [reset]).value("c_total") == 1

    def test_threads_lose_nothing(self) -> None:
        """They increment, observe and create series at the same time."""

        def work(metrics: Any) -> None:
            counter, histogram = metrics

            def turns() -> None:
                for number in range(_TURNS):
                    counter.labels(str(number % 100)).inc()
                    histogram.observe(number % 3)

            threads = [threading.Thread(target=turns) for _ in range(_THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        read = self.run(
            lambda registry: (
                Counter("c", "C.", ["n"], registry=registry),
                Histogram("h", "H.", buckets=[0, 1], registry=registry),
            ),
            [work],
        )
        each = _THREADS * _TURNS / 100
        assert [read.value("c_total", n=str(number)) for number in range(100)] == [each] * 100
        assert read.value("h_count") == _THREADS * _TURNS

    def test_thousands_of_series_are_each_exposed_once(self) -> None:
        """With the sum of all steps."""
        read = self.run(
            lambda registry: Counter("c", "C.", ["n"], registry=registry),
            [lambda c: [c.labels(str(number)).inc(number) for number in range(5000)]] * 3,
        )
        found = {sample.labels["n"]: sample.value for sample in read.samples if sample.name == "c_total"}
        assert found == {str(number): 3.0 * number for number in range(5000)}
        assert len(read.labels("c_total")) == 5000

    def test_a_gauge_function_is_called_at_a_collection(self) -> None:
        """A series whose function fails is not exposed."""

        def failing() -> float:
            raise LookupError

        read = self.run(
            lambda registry: Gauge("g", "G.", ["n"], registry=registry, multiprocess_mode="max"),
            [
                lambda g: g.labels("works").set_function(lambda: 7),
                lambda g: g.labels("fails").set_function(failing),
                lambda g: g.collect(),
                lambda g: g.collect(),  # by the first of three processes, which has no need to wait for its turn
            ],
        )
        assert read.labels("g") == [{"n": "works"}]

    def test_a_table_finds_each_child_once(self) -> None:
        """It accepts values of any type, and refuses too few or too many."""
        table = self.open(labelnames=["n", "m"])
        child = table.find(("1", 2))
        assert table.find((1, "2")) is child
        assert table.by_values["1", "2"] is child
        assert child.labelvalues == ("1", "2")
        for wrong in ((), ("1",), ("1", "2", "3")):
            with suppress(LabelError):
                table.find(wrong)
                raise RuntimeError(f"{wrong} was accepted")

    def test_a_named_storage_keeps_its_tables_apart(self) -> None:
        """The storage collects none of them, and its metrics may have the same names."""
        storage = self.make_storage()
        registry = CollectorRegistry(storage=storage)
        part = CollectorRegistry(storage=storage.named("part"))
        Counter("c", "C.", registry=part).inc(2)
        assert registry.get_sample_value("c_total") is None
        Counter("c", "C.", registry=registry).inc(3)
        assert (registry.get_sample_value("c_total"), part.get_sample_value("c_total")) == (3, 2)

    def test_children_may_come_and_go_during_a_reading(self) -> None:
        """The reading misses no child that stays, and has none twice."""
        table = self.open()
        for number in range(3000):
            table.find((f"stays {number}",))
        seen: list[tuple[str, ...]] = []
        for turn, batch in enumerate(table.read()):
            seen += [point.labelvalues for point in batch]
            table.find((f"comes {turn}",))
            table.remove((f"comes {turn - 1}",))
        assert len(set(seen)) == len(seen)
        assert {key for key in seen if key[0].startswith("stays")} == {(f"stays {number}",) for number in range(3000)}

    def test_a_point_is_consistent(self) -> None:
        """Count and sum have the same observations."""
        registry = CollectorRegistry(storage=self.make_storage())
        histogram = Histogram("h", "H.", buckets=[1, 2], registry=registry)
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                histogram.observe(2.0)

        thread = threading.Thread(target=work)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # so that threads switch in the middle of an observation
        thread.start()
        try:
            for _ in range(300):
                read = Reader(registry)
                assert read.value("h_sum") == 2 * (read.value("h_count") or 0)
                assert read.value("h_bucket", le="+Inf") == read.value("h_count")
        finally:
            sys.setswitchinterval(interval)
            stop.set()
            thread.join()

    def test_created_is_never_in_the_future(self) -> None:
        """It is known from the first reading on."""
        table = self.open()
        before = time.time()
        table.find(("x",)).inc()
        (point,) = [point for batch in table.read() for point in batch]
        assert before - 1 <= point.created <= time.time()

    def test_one_lead_of_a_name_leads(self) -> None:
        """The first process that asks leads; it may do so again after it has released the lead."""
        lead = self.make_storage().lead("push")
        with lead:
            assert lead.is_leader()
            assert lead.is_leader()
        assert lead.is_leader()
        lead.release()
