"""Exemplars of several workers: the newest one of each bucket is exposed, whichever worker answers."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Histogram, generate_latest
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.files.slot_reader import SlotReader
from tests.forks import run_forked
from tests.patience import wait_until
from tests.thoroughness import examples


def make_trace(number: int) -> dict[str, str]:
    """Return the labels of an exemplar that all workers see."""
    return {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"}


def read_traces(registry: CollectorRegistry) -> dict[tuple[str, ...], int]:
    """Return the number of each exemplar's trace, by the name and the labels of its sample."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {
        (sample.name, *sample.labels.values()): int(sample.exemplar.labels["trace_id"], 16)
        for sample in samples
        if sample.exemplar is not None
    }


def render_openmetrics(registry: CollectorRegistry) -> str:
    """Return the exposition in the text format that has exemplars."""
    return b"".join(encode_openmetrics(registry.collect())).decode()


def test_the_newest_exemplar_of_each_bucket_is_exposed_by_every_worker(worker):
    one, two = worker(), worker()
    first, second = (Histogram("h", "H.", buckets=[1, 2], registry=registry) for registry in (one, two))
    first.observe(0.5, make_trace(1))
    second.observe(0.5, make_trace(2))
    second.observe(1.5, make_trace(3))
    first.observe(1.5, make_trace(4))
    first.observe(9, make_trace(5))
    expected = {("h_bucket", "1.0"): 2, ("h_bucket", "2.0"): 4, ("h_bucket", "+Inf"): 5}
    assert read_traces(one) == read_traces(two) == read_traces(worker()) == expected


def test_each_of_many_buckets_has_an_exemplar(worker):
    one, two = worker(), worker()
    histogram = Histogram("h", "H.", buckets=range(1, 40), registry=one)
    for number in range(1, 41):
        histogram.observe(number, make_trace(number))
    assert sorted(read_traces(two).values()) == list(range(1, 41))


@pytest.mark.slow
def test_the_exemplar_of_a_series_that_has_expired_does_not_come_back(path: Path):
    registry = CollectorRegistry(storage=(storage := SharedStorage(str(path), serves=False)))
    counter = Counter("c", "C.", ["n"], ttl=0.01, registry=registry)
    counter.labels("x").inc(1, make_trace(1))
    wait_until(lambda: not read_traces(registry))

    def is_removed() -> bool:
        for table in storage._worker.list_tables():
            table.run_chore()
        return not any(family.index for family in storage._worker.arena.families.values() if family.definition.ages)

    wait_until(is_removed)
    counter.labels("x").inc()
    assert read_traces(registry) == {}


def test_the_newest_exemplar_of_a_counter_is_exposed_by_every_worker(worker):
    one, two, three = worker(), worker(), worker()
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in (one, two, three)]
    for number, counter in enumerate([*counters, counters[0]]):
        counter.labels("x").inc(2, make_trace(10 + number))
    counters[1].labels("y").inc(1, make_trace(20))
    for registry in (one, two, three):
        assert read_traces(registry) == {("c_total", "x"): 13, ("c_total", "y"): 20}


def test_an_exemplar_keeps_its_span_its_value_and_its_time(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc(0.25, {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})
    Histogram("h", "H.", buckets=[1], registry=one).observe(0.1, make_trace(7))

    def read(registry: CollectorRegistry) -> list[object]:
        return [s.exemplar for f in registry.collect() for s in f.samples if s.exemplar]

    assert read(two) == read(one)
    assert len(read(two)) == 2


def test_other_labels_than_the_ids_of_a_trace_stay_in_their_worker(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc(1, {"user": "ada"})
    Counter("c", "C.", registry=two)
    assert "ada" in render_openmetrics(one)
    assert "ada" not in render_openmetrics(two)


def test_a_newer_exemplar_of_another_worker_replaces_one_with_other_labels(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc(1, {"user": "ada"})
    Counter("c", "C.", registry=two).inc(1, make_trace(1))
    assert read_traces(one) == read_traces(two) == {("c_total",): 1}


def test_openmetrics_has_the_exemplars_of_other_workers(worker):
    one, two = worker(), worker()
    Histogram("h", "H.", ["n"], buckets=[1], registry=one).labels("x").observe(0.5, make_trace(255))
    Counter("c", "C.", registry=one).inc(1, make_trace(254))
    text = render_openmetrics(two)
    assert f'trace_id="{255:032x}"' in text
    assert f'trace_id="{254:032x}"' in text


def test_an_exemplar_of_a_dead_worker_stays_until_it_is_replaced(worker):
    one = worker()
    counter = Counter("c", "C.", ["n"], registry=one)

    def work() -> None:
        counter.labels("x").inc(1, make_trace(1))
        counter.labels("y").inc(1, make_trace(2))

    run_forked(work)
    assert read_traces(one) == {("c_total", "x"): 1, ("c_total", "y"): 2}
    run_forked(lambda: counter.labels("x").inc(1, make_trace(3)))
    assert read_traces(one) == {("c_total", "x"): 3, ("c_total", "y"): 2}


def test_a_worker_that_takes_over_a_slot_exposes_and_replaces_its_exemplars(path: Path):
    for number in range(3):
        registry = CollectorRegistry(storage=(storage := SharedStorage(str(path))))
        counter = Counter("c", "C.", registry=registry)
        assert read_traces(registry) == ({("c_total",): number} if number else {})
        counter.inc(1, make_trace(number + 1))
        assert read_traces(registry) == {("c_total",): number + 1}
        storage.close()


def test_a_forked_worker_has_exemplars_of_its_own(worker):
    one = worker()
    counter = Counter("c", "C.", registry=one)
    counter.inc(1, make_trace(1))

    def work() -> None:
        assert read_traces(one) == {("c_total",): 1}
        counter.inc()
        assert read_traces(one) == {("c_total",): 1}
        counter.inc(1, make_trace(2))
        assert read_traces(one) == {("c_total",): 2}

    run_forked(work)
    assert read_traces(one) == {("c_total",): 2}


def test_a_removed_series_comes_back_without_its_exemplars(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    child = counter.labels("x")
    child.inc(1, make_trace(1))
    counter.remove("x")
    counter.labels("x").inc()
    child.inc(1, make_trace(2))  # the removed child, which no scrape exposes
    assert read_traces(one) == read_traces(two) == {}
    counter.labels("x").inc(1, make_trace(3))
    assert read_traces(one) == read_traces(two) == {("c_total", "x"): 3}


def test_clearing_removes_the_exemplars_of_dead_workers(worker):
    one = worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    run_forked(lambda: counter.labels("x").inc(1, make_trace(1)))
    counter.clear()
    run_forked(lambda: counter.labels("x").inc())
    assert read_traces(one) == {}


def test_an_exemplar_that_was_removed_from_the_slot_of_a_dead_worker_does_not_come_back(worker):
    one, two = worker(), worker()
    first, second = (Counter("c", "C.", ["n"], registry=registry) for registry in (one, two))
    run_forked(lambda: first.labels("x").inc(1, make_trace(1)))
    first.remove("x")
    second.labels("x").inc()
    assert read_traces(one) == read_traces(two) == {}


def test_resetting_a_counter_drops_its_exemplar_for_all_workers(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", registry=one)
    counter.inc(1, make_trace(1))
    counter.reset()
    assert read_traces(one) == read_traces(two) == {}
    counter.inc(1, make_trace(2))
    assert read_traces(one) == read_traces(two) == {("c_total",): 2}


def test_resetting_a_removed_child_leaves_the_exemplar_of_its_successor(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    removed = counter.labels("x")
    removed.inc(1, make_trace(1))
    counter.remove("x")
    counter.labels("x").inc(1, make_trace(2))
    removed.reset()
    assert read_traces(two) == {("c_total", "x"): 2}


def test_exemplars_per_worker_are_those_of_each_worker(worker):
    one, two = worker(), worker()
    for number, registry in enumerate((one, two)):
        Counter("c", "C.", per_worker=True, registry=registry).inc(1, make_trace(number + 1))
        Histogram("h", "H.", buckets=[1], per_worker=True, registry=registry).observe(0.5, make_trace(number + 1))
    expected = {("c_total", "0"): 1, ("c_total", "1"): 2, ("h_bucket", "0", "1.0"): 1, ("h_bucket", "1", "1.0"): 2}
    assert {(name, *sorted(labels, reverse=False)): n for (name, *labels), n in read_traces(two).items()} == expected


def test_the_text_format_reads_no_exemplars(worker, monkeypatch):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc(1, make_trace(1))
    Histogram("h", "H.", buckets=[1], registry=one).observe(0.5, make_trace(1))
    reads = []
    monkeypatch.setattr(SlotReader, "read_series", lambda *args: reads.append(args) or b"")
    assert b"c_total 1.0" in generate_latest(two)
    assert not reads
    render_openmetrics(two)
    assert reads


def test_a_full_disk_costs_exemplars_and_no_counts(worker, monkeypatch):
    one, two = worker(), worker()
    histogram = Histogram("h", "H.", ["n"], buckets=[1], registry=one)
    for number in range(2000):
        histogram.labels(str(number)).observe(0.5)
    assert read_traces(two) == {}  # it has its files now

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(2000):
        histogram.labels(str(number)).observe(0.5, make_trace(number + 1))
    assert two.get_sample_value("h_count", {"n": "1999"}) == 2
    assert two.get_sample_value("asyncmetrics_worker_dropped_series_total") > 0
    assert len(read_traces(one)) == 2000  # its own children have them all
    assert 0 < len(read_traces(two)) < 2000


def test_exemplars_survive_the_rewriting_of_the_log(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    for number in range(1, 200):
        counter.labels(str(number)).inc(1, make_trace(number))
    assert len(read_traces(two)) == 199
    for number in range(1, 150):
        counter.remove(str(number))
    for number in range(300, 400):
        counter.labels(str(number)).inc(1, make_trace(number))
    assert read_traces(two) == {("c_total", str(number)): number for number in [*range(150, 200), *range(300, 400)]}


def test_files_that_were_removed_get_the_exemplars_again(worker, path: Path):
    one = worker()
    counter = Counter("c", "C.", registry=one)
    counter.inc(1, make_trace(1))
    for file in path.iterdir():
        file.unlink()
    assert read_traces(one) == {("c_total",): 1}
    assert read_traces(worker()) == {("c_total",): 1}


_WORKERS = st.integers(0, 2)
_KEYS = st.sampled_from("xyz")
_OPERATIONS = st.one_of(
    st.tuples(st.just("inc"), _WORKERS, _KEYS),
    st.tuples(st.just("plain"), _WORKERS, _KEYS),
    st.tuples(st.just("remove"), _WORKERS, _KEYS),
    st.tuples(st.just("restart"), _WORKERS, st.just("")),
    st.tuples(st.just("stop"), _WORKERS, st.just("")),
)


class _Workers:
    """Three workers, and a model of the exemplars that the slot of each has."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.storages: dict[int, SharedStorage] = {}
        self.registries: dict[int, CollectorRegistry] = {}
        self.counters: dict[int, Counter] = {}
        self.slots: dict[int, int] = {}
        self.model: dict[int, dict[str, int]] = {}
        self.numbers = iter(range(1, 10_000))
        for number in range(3):
            self.start(number)

    def start(self, number: int) -> None:
        self.slots[number] = min(set(range(3)) - set(self.slots.values()))
        self.model.setdefault(self.slots[number], {})
        self.storages[number] = SharedStorage(self.path)
        self.registries[number] = CollectorRegistry(storage=self.storages[number])
        self.counters[number] = Counter("c", "C.", ["n"], registry=self.registries[number])

    def stop(self, number: int) -> None:
        self.storages.pop(number).close()
        del self.counters[number], self.registries[number], self.slots[number]

    def do(self, name: str, number: int, key: str) -> None:
        if number not in self.storages:
            self.start(number)
        own = self.model[self.slots[number]]
        if name == "inc":
            own[key] = next(self.numbers)
            self.counters[number].labels(key).inc(1, make_trace(own[key]))
        elif name == "plain":
            self.counters[number].labels(key).inc()
        elif name == "remove":
            self.counters[number].remove(key)
            for slot in {self.slots[number], *self.model} - {s for n, s in self.slots.items() if n != number}:
                self.model[slot].pop(key, None)
        else:
            self.stop(number)
            if name == "restart":
                self.start(number)

    def list_expected(self) -> dict[tuple[str, ...], int]:
        keys = {key for own in self.model.values() for key in own}
        return {("c_total", key): max(own.get(key, 0) for own in self.model.values()) for key in keys}

    def list_found(self) -> list[dict[tuple[str, ...], int]]:
        return [read_traces(registry) for registry in self.registries.values()]


@settings(max_examples=examples(90), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_OPERATIONS, max_size=30))
def test_any_operations_leave_the_newest_exemplars(tmp_path_factory: pytest.TempPathFactory, operations):
    workers = _Workers(str(tmp_path_factory.mktemp("workers")))
    for operation in operations:
        workers.do(*operation)
        for found in workers.list_found():
            assert found == workers.list_expected()
    for storage in workers.storages.values():
        storage.close()


def read_native_traces(registry: CollectorRegistry) -> list[int]:
    """Return the numbers of the traces that a native histogram has, in their order."""
    found = [s.native_histogram for family in registry.collect() for s in family.samples if s.native_histogram]
    return [int(one.labels["trace_id"], 16) for histogram in found for one in histogram.nh_exemplars or ()]


def test_a_native_histogram_has_the_newest_exemplars_of_all_workers_by_their_times(worker):
    one, two = worker(), worker()
    first, second = (Histogram("h", "H.", native=True, buckets=(), registry=registry) for registry in (one, two))
    for number, (histogram, amount) in enumerate(
        [(first, 1.1), (second, 4.1), (first, 8.5), (second, 1.2), (first, -3), (second, 0), (first, 4.2)], 1
    ):
        histogram.observe(amount, make_trace(number))
    for registry in (one, two, worker()):
        assert read_native_traces(registry) == [3, 4, 5, 6, 7]
        assert read_traces(registry) == {("h_bucket", "+Inf"): 7}


def test_a_native_histogram_has_at_most_ten_exemplars_of_any_number_of_workers(worker):
    one, two = worker(), worker()
    first, second = (Histogram("h", "H.", native=True, buckets=(), registry=registry) for registry in (one, two))
    for power in range(40):
        (first, second)[power % 2].observe(2.0**power, make_trace(power + 1))
    assert read_native_traces(one) == read_native_traces(two) == list(range(31, 41))


def test_a_native_histogram_with_classic_buckets_has_one_exemplar_a_bucket(worker):
    one, two = worker(), worker()
    first, second = (Histogram("h", "H.", native=True, buckets=[1, 2], registry=registry) for registry in (one, two))
    for number, (histogram, amount) in enumerate([(first, 0.5), (second, 0.1), (first, 1.5), (second, 9.0)], 1):
        histogram.observe(amount, make_trace(number))
    for registry in (one, two, worker()):
        assert read_native_traces(registry) == [2, 3, 4]
        assert read_traces(registry) == {("h_bucket", "1.0"): 2, ("h_bucket", "2.0"): 3, ("h_bucket", "+Inf"): 4}


@pytest.mark.parametrize("locking", [False, True])
@pytest.mark.parametrize(
    "options", [{"buckets": [1]}, {"native": True, "buckets": [1]}, {"native": True, "buckets": ()}], ids=str
)
def test_exemplars_that_a_metric_asks_for_are_those_of_all_workers(path: Path, options, locking):
    traces = count(1)
    registries = [CollectorRegistry(storage=SharedStorage(str(path), locking=locking)) for _ in range(2)]
    one, two = registries
    first, second = (
        Histogram("h", "H.", exemplars=lambda: make_trace(next(traces)), registry=registry, **options)
        for registry in registries
    )
    first.observe(0.75)
    second.observe(0.75)
    first.observe(0.75)  # has its exemplar until the next scrape
    for registry in registries:
        assert set(read_traces(registry).values()) == {2}
    first.observe(0.75)
    second.observe(7)
    second.observe(7)
    for registry in registries:
        expected = {4} if options["buckets"] == () else {3, 4}
        assert set(read_traces(registry).values()) == expected
        if "native" in options:
            assert read_native_traces(registry) == [3, 4]
