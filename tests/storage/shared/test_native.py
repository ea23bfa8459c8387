"""Native histograms over workers: every bucket is in the sum, whichever worker counted it, and however that ended."""

from __future__ import annotations

import mmap
import os
import signal
from itertools import count
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Histogram
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.native import NativeOptions, find_key, merge_stages
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.storage import MemoryStorage, SharedStorage
from asyncmetrics.storage.automatic_table import AutomaticTable
from asyncmetrics.storage.shared.files import blocks as blocks_module
from asyncmetrics.storage.shared.files.definition import PAIRS
from asyncmetrics.storage.shared.table import SharedChildTable
from tests.forks import run_forked
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.storage.readings import read_lines, read_natives, read_value
from tests.thoroughness import examples

AMOUNTS = [0.0, -0.0, -3.0, 1e-40, 0.5, 1.0, 1.25, 2.5, 1e9, 1.0]
BOTH = pytest.mark.parametrize("buckets", [(), (1, 2)], ids=["native only", "both"])


def declare(registry, buckets=(), **options):
    options = {"native": True, **options}
    return Histogram("h", "H.", ["n"], buckets=buckets, registry=registry, **options)


def observe(child, *amounts):
    for amount in amounts:
        child.observe(amount)


def read_in_memory(amounts, **options):
    """Return the native histogram of these observations in one process."""
    registry = CollectorRegistry(storage=MemoryStorage())
    observe(declare(registry, **options).labels("x"), *amounts)
    return read_natives(registry)["x",]


@BOTH
def test_the_buckets_of_all_workers_are_added(worker, buckets):
    registries = [worker() for _ in range(3)]
    children = [declare(registry, buckets).labels("x") for registry in registries]
    for child in children:
        observe(child, *AMOUNTS)
    for child in children:
        observe(child, 64.0, 1.0)
    expected = read_in_memory([*AMOUNTS, 64.0, 1.0] * 3, buckets=buckets)
    assert [read_natives(registry)["x",] for registry in registries] == [expected] * 3


@BOTH
def test_the_text_of_a_native_histogram_has_the_classic_numbers(worker, buckets):
    registry, other = worker(), worker()
    observe(declare(registry, buckets).labels("x"), 0.5, 1.5)
    observe(declare(other, buckets).labels("x"), 1.5)
    classic = ['h_bucket{le="1.0",n="x"} 1.0', 'h_bucket{le="2.0",n="x"} 3.0'] if buckets else []
    assert read_lines(registry, "h_") == [
        *classic,
        'h_bucket{le="+Inf",n="x"} 3.0',
        'h_count{n="x"} 3.0',
        'h_sum{n="x"} 3.5',
    ]


def test_workers_of_different_resolutions_are_merged_in_the_coarsest(worker):
    registries = [worker(), worker()]
    fine, coarse = (declare(registry, max_buckets=4).labels("x") for registry in registries)
    observe(fine, 1.0, 1.25)
    observe(coarse, *range(1, 100))
    found = [read_natives(registry)["x",] for registry in registries]
    alone = read_in_memory(range(1, 100), max_buckets=4)
    assert found[0] == found[1]
    assert (found[0].schema, found[0].count_value) == (alone.schema, 101)
    assert alone.schema < 5
    assert found[0] == read_in_memory([*range(1, 100), 1.0, 1.25], max_buckets=4)


def test_a_threshold_that_one_worker_has_widened_holds_for_all(worker):
    registries = [worker(), worker()]
    one, other = (declare(registry, max_buckets=2, max_zero_threshold=1.0).labels("x") for registry in registries)
    observe(one, 0.25)
    observe(other, 0.25, 4.0, 8.0)
    native = read_natives(registries[0])["x",]
    assert (native.zero_threshold, native.zero_count, native.count_value) == (0.25, 2, 4)


def test_each_worker_is_exposed_apart_if_the_metric_asks_for_it(worker):
    registries = [worker(), worker()]
    for number, registry in enumerate(registries, 1):
        observe(declare(registry, per_worker=True).labels("x"), *[1.0] * number)
    counts = {labels: native.count_value for labels, native in read_natives(registries[0]).items()}
    assert counts == {("x", "0"): 1, ("x", "1"): 2}


@BOTH
def test_a_worker_continues_in_the_blocks_of_one_that_has_ended(worker, path, buckets):
    registry = worker()
    histogram = declare(registry, buckets)
    for _ in range(20):
        run_forked(lambda: observe(histogram.labels("x"), *AMOUNTS))
    assert read_natives(registry)["x",] == read_in_memory(AMOUNTS * 20, buckets=buckets)
    (family,) = (member.parts["buckets"] for member in list_families(path, registry, slot=1))
    assert len(family.keys) == 1  # block


def list_families(path, registry, slot):
    """Return what the log of a slot has of the histogram."""
    slots = registry.storage._worker.reader.slots
    (reader,) = (reader for reader in slots.list_readers() if reader.number == slot)
    return reader.log.named["", "h"]


def test_a_worker_continues_in_the_coarsest_stage_of_one_that_has_ended(worker):
    registry = worker()
    histogram = declare(registry, max_buckets=4)
    amounts = [1.5**power for power in range(30)]
    for amount in amounts:
        run_forked(lambda amount=amount: observe(histogram.labels("x"), amount, amount))
    expected = read_in_memory([amount for amount in amounts for _ in range(2)], max_buckets=4)
    assert read_natives(registry)["x",] == expected


@BOTH
@settings(max_examples=examples(30))
@given(
    limit=st.integers(1, 8),
    widest=st.sampled_from([0.01, 1.0]),
    powers=st.tuples(*[st.lists(st.integers(-80, 20), max_size=30)] * 2),
)
def test_a_worker_widens_the_zero_bucket_and_leaves_it_to_the_next(tmp_path_factory, buckets, limit, widest, powers):
    path, amounts = str(tmp_path_factory.mktemp("workers")), [0.5]
    for part in powers:
        registry = CollectorRegistry(storage=SharedStorage(path, serves=False))
        child = declare(registry, buckets, max_buckets=limit, max_zero_threshold=widest).labels("x")
        observe(child, *(1.1**power for power in part), 0.5)
        amounts += [*(1.1**power for power in part), 0.5]
        native = read_natives(registry)["x",]
        keys = [find_key(amount, native.schema, native.zero_threshold) for amount in amounts[1:]]
        stage = native.schema, native.zero_threshold, {key: float(keys.count(key)) for key in keys}
        assert native == merge_stages([stage], native.sum_value, native.nh_exemplars)
        assert native == child.read_native()
        registry.storage.close()


def test_another_thread_may_halve_the_resolution_while_a_bucket_gets_its_cell(worker):
    registry = worker()
    child = declare(registry).labels("x")

    class Places(dict):
        def values(self):
            child._make_stage(4, 0.0, {})  # what the other thread does
            return super().values()

    child._places[5] = Places()
    observe(child, *AMOUNTS)
    assert read_value(registry, "asyncmetrics_worker_dropped_series_total") == 0
    assert read_natives(registry)["x",] == read_in_memory(AMOUNTS)


def test_a_zero_bucket_that_gets_wider_costs_no_cells(worker, path):
    registry = worker()
    child = declare(registry, max_buckets=20, max_zero_threshold=1.0).labels("x")
    observe(child, *(2 ** (power / 32) for power in range(-400, 0)))
    assert read_natives(registry)["x",].count_value == 400
    assert read_natives(registry)["x",].zero_threshold > 0.5
    assert len(child._blocks) <= -(-401 // PAIRS)


@BOTH
def test_a_forked_process_counts_from_zero(worker, buckets):
    registry = worker()
    child = declare(registry, buckets).labels("x")
    observe(child, *AMOUNTS)
    run_forked(lambda: observe(child, *AMOUNTS))
    observe(child, 3.0)
    assert read_natives(registry)["x",] == read_in_memory([*AMOUNTS, *AMOUNTS, 3.0], buckets=buckets)


@BOTH
def test_a_removed_histogram_leaves_nothing_to_the_next(worker, buckets):
    registry = worker()
    histogram = declare(registry, buckets)
    for number in range(200):  # more than enough to rewrite the log
        observe(histogram.labels("x"), number + 0.5, 2.0)
        observe(histogram.labels("y"), 2.0)
        histogram.remove("x")
    observe(histogram.labels("x"), 8.0)
    natives = read_natives(registry)
    assert natives["x",] == read_in_memory([8.0], buckets=buckets)
    assert natives["y",] == read_in_memory([2.0] * 200, buckets=buckets)


def test_a_removed_child_counts_on_and_is_not_exposed(worker):
    registry = worker()
    histogram = declare(registry)
    removed = histogram.labels("x")
    observe(removed, *AMOUNTS)
    histogram.remove("x")
    observe(histogram.labels("x"), 8.0)
    observe(removed, *AMOUNTS, 77.0)
    assert read_natives(registry)["x",] == read_in_memory([8.0])
    assert removed.read_native().count_value == 2 * len(AMOUNTS) + 1


def test_a_child_in_the_cells_of_one_that_is_being_removed_starts_from_zero(worker, monkeypatch):
    registry = worker()
    histogram = declare(registry)
    old = histogram.labels("x")
    observe(old, *AMOUNTS)
    files = registry.storage._worker
    queue, remove = files.queue, SharedChildTable._remove

    def queue_and_work(work):
        piece = queue(work)
        files.work()  # as another thread may do
        return piece

    def remove_and_make(table, child):
        remove(table, child)
        observe(histogram.labels("x"), 8.0)
        observe(old, 1.0, 77.0)

    monkeypatch.setattr(files, "queue", queue_and_work)
    monkeypatch.setattr(SharedChildTable, "_remove", remove_and_make)
    histogram.remove("x")
    observe(old, 1.0)
    assert read_natives(registry)["x",] == read_in_memory([8.0])


def test_a_series_is_removed_from_the_slots_of_workers_that_have_ended(worker):
    registry = worker()
    histogram = declare(registry)
    run_forked(lambda: [observe(histogram.labels(n), *AMOUNTS) for n in "xy"])
    histogram.remove("x")
    assert list(read_natives(registry)) == [("y",)]
    run_forked(lambda: observe(histogram.labels("x"), 8.0))
    assert read_natives(registry)["x",] == read_in_memory([8.0])


def test_a_histogram_of_other_options_replaces_the_blocks(worker):
    registry = worker()
    run_forked(lambda: observe(declare(registry).labels("x"), *AMOUNTS))
    run_forked(lambda: observe(declare(registry, native=3).labels("x"), 8.0))
    run_forked(lambda: observe(declare(registry).labels("x"), 4.0))
    declare(registry)
    assert read_natives(registry)["x",] == read_in_memory([4.0])


def test_a_child_that_has_expired_leaves_its_blocks_to_the_next(worker, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    registry = CollectorRegistry(storage=SharedStorage(worker().storage._worker.path, serves=False))
    histogram = declare(registry, ttl=10)
    observe(histogram.labels("x"), *AMOUNTS)
    now[0] += 11
    assert read_natives(registry) == {}
    assert read_natives(registry) == {}  # now the child is freed
    observe(histogram.labels("x"), 8.0)
    assert read_natives(registry)["x",] == read_in_memory([*AMOUNTS, 8.0])


def test_buckets_without_room_are_counted_as_dropped_and_the_others_are_exposed(worker, monkeypatch):
    registry = worker()
    child = declare(registry, (1, 2)).labels("x")
    observe(child, 1.5)

    def fail(*_):
        raise OSError(28, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(blocks_module, "make_block", fail)
        patch.setattr("asyncmetrics.storage.shared.native.make_block", fail)
        observe(child, *(2.0**power for power in range(40)))
        observe(child, *(2.0**power for power in range(40)))
    assert read_value(registry, "h_count", n="x") == 81
    assert read_natives(registry)["x",].count_value == 1 + 2 * 13  # the rest of one block
    assert read_value(registry, "asyncmetrics_worker_dropped_series_total") == 27


def test_a_worker_that_has_lost_its_files_continues_in_new_ones(worker, path):
    registry = worker()
    child = declare(registry).labels("x")
    observe(child, *AMOUNTS)
    for name in list(path.iterdir()):
        name.unlink()
    registry.storage._worker.do(registry.storage._worker.reattach)
    observe(child, 8.0)
    assert read_natives(registry)["x",] == read_in_memory([*AMOUNTS, 8.0])


# Two words, each stored whole: `struct.pack_into` clears its bytes first, and a kill in between leaves zeros.
PROGRESS_BYTES = 16


@BOTH
def test_kills_lose_at_most_the_observation_in_flight(worker, buckets):
    """Most observations make a bucket, and some make a block or a stage."""
    registry = worker()
    histogram = declare(registry, buckets, max_buckets=40)
    begun = done = 0
    for generation in range(12):
        progress = memoryview(mmap.mmap(-1, PROGRESS_BYTES)).cast("Q")
        pid = os.fork()
        if not pid:
            signal.alarm(PATIENCE_SECONDS)
            child = histogram.labels("x")
            for number in count():
                progress[0] = number + 1
                child.observe(1.01 ** ((number * 37 + generation) % 2000))
                progress[1] = number + 1
        wait_until(lambda: progress[1] > 150 * (generation % 4))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        begun, done = begun + progress[0], done + progress[1]
        native, classic = read_natives(registry)["x",].count_value, read_value(registry, "h_count", n="x")
        assert done <= classic <= native <= begun
    before = read_natives(registry)["x",].count_value
    run_forked(lambda: observe(histogram.labels("x"), 3.0, 3.0))
    assert read_natives(registry)["x",].count_value == before + 2


@BOTH
def test_children_of_before_the_conversion_to_shared_storage_count_there(path, buckets):
    memory, shared = MemoryStorage(), SharedStorage(str(path))
    options = NativeOptions(max_buckets=10)
    descriptor = Descriptor("histogram", "h", "H.", ("n",), buckets=(*buckets, float("inf")), native=options)
    make = memory.choose_child_class(descriptor)
    table = AutomaticTable(lambda: None, shared, descriptor, make, SelfMetrics(memory))
    child = table.find(("x",))
    record = child.recorder()
    amounts = [1.25**power for power in range(20)]  # more than one stage
    observe(child, *amounts)
    table.convert(is_inherited=False)
    observe(child, *amounts, 3.0)
    record(1.0)
    observe(table.find(("x",)), 1.0)
    (point,) = (point for batch in table.read() for point in batch)
    expected = read_in_memory([*amounts, *amounts, 3.0, 1.0, 1.0], buckets=buckets, max_buckets=10)
    assert (point.read_native(), point.read_numbers()[-2]) == (expected, 43)


@BOTH
def test_threads_observe_without_loss_while_the_resolution_falls(path, buckets):
    for locking in (False, True):
        registry = CollectorRegistry(storage=SharedStorage(str(path / str(locking)), locking=locking))
        child = declare(registry, buckets, max_buckets=10).labels("x")

        def work(child=child):
            for number in range(600):
                child.observe(1.1 ** (number % 300))
                child.observe(-(1.1 ** (number % 300)))

        threads = [Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        native = read_natives(registry)["x",]
        assert native == child.read_native()
        assert (native.count_value, read_value(registry, "h_bucket", n="x", le="+Inf")) == (4800, 4800)
