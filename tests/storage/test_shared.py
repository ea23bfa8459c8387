"""Shared storage: what one worker counts, every worker tells; what is merged how; what a fork and a death leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import anyio
import pytest

from asyncmetrics import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from asyncmetrics.errors import StorageError
from asyncmetrics.middleware import MetricsMiddleware
from asyncmetrics.storage import SharedStorage
from tests.patience import PATIENCE_SECONDS, eventually, wait_for


@pytest.fixture
def worker(tmp_path) -> Callable[[], CollectorRegistry]:
    """Make a registry as one more worker on the same directory would have it."""
    return lambda: CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics")))


def forked(work: Callable[[], object]) -> None:
    """Do something in a forked process, which then ends at once, and fail if it fails."""
    pid = os.fork()
    if not pid:
        signal.alarm(PATIENCE_SECONDS)  # what hangs is ended by the kernel
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def lines(registry: CollectorRegistry, name: str) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith(name)]


def test_counters_are_added_up_over_workers(worker):
    one, two = worker(), worker()
    for registry, amount in ((one, 1), (two, 10)):
        Counter("c", "C.", ["n"], registry=registry).labels("x").inc(amount)
    assert [r.get_sample_value("c_total", {"n": "x"}) for r in (one, two)] == [11, 11]


def test_label_sets_that_only_another_worker_has_are_told(worker):
    one, two = worker(), worker()
    Counter("c", "C.", ["n"], registry=one)
    Counter("c", "C.", ["n"], registry=two).labels("theirs").inc()
    assert lines(one, "c_total") == ['c_total{n="theirs"} 1.0']


def test_families_that_only_another_worker_has_are_told(worker):
    one, two = worker(), worker()
    Counter("late", "Made in a handler.", ["n"], registry=two).labels("x").inc(3)
    assert one.get_sample_value("late_total", {"n": "x"}) == 3


def test_histograms_and_summaries_are_added_up(worker):
    one, two = worker(), worker()
    for registry, amount in ((one, 0.5), (two, 5)):
        Histogram("h", "H.", buckets=[1, 10], registry=registry).observe(amount)
        Summary("s", "S.", registry=registry).observe(amount)
    value = one.get_sample_value
    buckets = [value("h_bucket", {"le": le}) for le in ("1.0", "10.0", "+Inf")]
    assert [*buckets, value("h_count"), value("h_sum")] == [1, 2, 2, 2, 5.5]
    assert [value("s_count"), value("s_sum")] == [2, 5.5]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("min", 3), ("max", 7), ("sum", 10), ("mostrecent", 3), ("livemin", 3), ("livemax", 7), ("livesum", 10)],
)
def test_a_gauge_is_merged_by_its_mode(worker, mode, expected):
    one, two = worker(), worker()
    gauges = [Gauge("g", "G.", multiprocess_mode=mode, registry=registry) for registry in (one, two)]
    gauges[1].set(7)
    time.sleep(0.001)
    gauges[0].set(3)
    assert two.get_sample_value("g") == expected


@pytest.mark.parametrize("mode", ["all", "liveall"])
def test_a_gauge_of_all_workers_tells_them_apart(worker, mode):
    one, two = worker(), worker()
    for number, registry in enumerate((one, two)):
        Gauge("g", "G.", ["n"], multiprocess_mode=mode, registry=registry).labels("x").set(number + 5)
    assert lines(one, "g{") == ['g{n="x",worker="0"} 5.0', 'g{n="x",worker="1"} 6.0']


def test_a_gauge_that_has_a_label_called_worker_gets_another(worker):
    registry = worker()
    Gauge("g", "G.", ["worker"], registry=registry).labels("bee").set(1)
    assert lines(registry, "g{") == ['g{worker="bee",worker_slot="0"} 1.0']


def test_each_fact_of_an_info_is_told_once(worker):
    one, two, three = worker(), worker(), worker()
    for registry, version in ((one, "1"), (two, "2"), (three, "2")):
        Info("build", "B.", registry=registry).info({"version": version})
    assert sorted(lines(one, "build_info")) == ['build_info{version="1"} 1.0', 'build_info{version="2"} 1.0']


def test_an_enum_tells_the_state_of_each_worker(worker):
    one, two = worker(), worker()
    Enum("e", "E.", states=["a", "b"], registry=one)
    Enum("e", "E.", states=["a", "b"], registry=two).state("b")
    value = one.get_sample_value
    states = [value("e", {"worker": w, "e": s}) for w in "01" for s in "ab"]
    assert states == [1, 0, 0, 1]


def test_a_gauge_function_is_told_by_its_worker_and_left_out_while_it_fails(worker):
    one, two = worker(), worker()
    answers = [5.0]
    Gauge("g", "G.", registry=one).set_function(lambda: answers[0])
    Gauge("g", "G.", registry=two).set(1)
    assert lines(one, "g{") == ['g{worker="0"} 5.0', 'g{worker="1"} 1.0']
    answers.clear()
    assert lines(one, "g{") == ['g{worker="1"} 1.0']
    assert lines(two, "g{") == ['g{worker="1"} 1.0']


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_gauge_function_is_called_for_the_scrapes_of_other_workers(worker, kind):
    one, two = worker(), worker()
    number = 1.0

    async def later() -> float:
        return number

    Gauge("g", "G.", multiprocess_mode="sum", registry=one).set_function(later if kind == "async" else lambda: number)
    for number in (2.0, 3.0):
        wait_for(lambda: two.get_sample_value("g"), number)


def test_what_gauges_collect_is_merged_by_their_mode_and_goes_with_its_worker(worker):
    one, two = worker(), worker()
    told = {("a",): 1, ("b",): 5}
    for registry in (one, two):
        Gauge("g", "G.", ["n"], multiprocess_mode="livesum", registry=registry).collect_from(lambda: told)
    for expected in ({"a": 2, "b": 10}, {"a": 2}):
        wait_for(lambda: {s.labels["n"]: s.value for f in two.collect() for s in f.samples if s.name == "g"}, expected)
        told.pop(("b",), None)
    one.storage.close()
    assert lines(two, "g{") == ['g{n="a"} 1.0']


@pytest.mark.blocking
async def test_requests_under_way_are_added_up_over_workers(worker):
    one, two = worker(), worker()
    release = anyio.Event()

    async def app(scope, receive, send):
        await release.wait()

    def active():
        return [line.rpartition(" ")[2] for line in lines(one, "http_server_active_requests{")]

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http"}
    async with anyio.create_task_group() as group:
        for registry in (one, two):
            group.start_soon(MetricsMiddleware(app, registry=registry), dict(scope), app, app)
        await eventually(active, ["2.0"])
        release.set()
        await eventually(active, ["0.0"])


def test_exemplars_come_from_the_worker_that_answers(worker):
    one, two = worker(), worker()
    for registry, trace in ((one, "1"), (two, "2")):
        Counter("c", "C.", registry=registry).inc(exemplar={"trace": trace})
        Histogram("h", "H.", buckets=[1], registry=registry).observe(0.5, {"trace": trace})
    found = {s.name: s.exemplar.labels for f in two.collect() for s in f.samples if s.exemplar}
    assert found == {"c_total": {"trace": "2"}, "h_bucket": {"trace": "2"}}


def test_context_labels_and_odd_label_values_are_shared(worker):
    one, two = worker(), worker()
    odd = 'a"b\\c\nd\0e ÿ \ud800'
    Counter("c", "C.", ["n"], context_labels=["tenant"], registry=one).labels(odd).inc()
    Counter("c", "C.", ["n"], context_labels=["tenant"], registry=two)
    assert lines(two, "c_total") == lines(one, "c_total")
    assert two.get_sample_value("c_total", {"n": odd.replace("\ud800", "\ufffd"), "tenant": ""}) == 1


def test_a_worker_that_ends_leaves_its_counts_and_takes_its_live_gauges_along(worker):
    registry = worker()
    counter = Counter("c", "C.", registry=registry)
    gauge = Gauge("g", "G.", multiprocess_mode="livesum", registry=registry)

    def work() -> None:
        counter.inc(5)
        gauge.set(7)
        assert registry.get_sample_value("g") == 7

    counter.inc()
    forked(work)
    assert [registry.get_sample_value("c_total"), registry.get_sample_value("g")] == [6, 0]
    assert lines(registry, "asyncmetrics_workers{") == [
        'asyncmetrics_workers{state="live"} 1.0',
        'asyncmetrics_workers{state="dead"} 1.0',
    ]


def test_a_slot_is_adopted_with_its_counts(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    for _ in range(5):
        forked(lambda: [counter.labels("x").inc(), counter.labels("y").inc(2)])
    assert [registry.get_sample_value("c_total", {"n": n}) for n in "xy"] == [5, 10]
    assert len(list((tmp_path / "metrics").iterdir())) == 4  # two slots


def test_histograms_and_summaries_go_on_from_what_their_slot_holds(worker):
    registry = worker()
    histogram, summary = Histogram("h", "H.", buckets=[1, 10], registry=registry), Summary("s", "S.", registry=registry)
    for _ in range(3):
        forked(lambda: [histogram.observe(5), summary.observe(2)])
    value = registry.get_sample_value
    assert [value("h_count"), value("h_sum"), value("s_count"), value("s_sum")] == [3, 15, 3, 6]
    assert value("h_bucket", {"le": "1.0"}) == 0


@pytest.mark.parametrize("kind", [Counter, Summary, Histogram])
def test_a_child_that_goes_on_in_an_adopted_slot_keeps_its_created_time(worker, kind):
    registry = worker()
    metric = kind("m", "M.", ["n"], registry=registry)
    use = lambda: metric.labels("x").inc() if kind is Counter else metric.labels("x").observe(1)

    def created() -> float:
        (family,) = (family for family in registry.collect() if family.name == "m")
        ((point,),) = filter(None, family.batches())
        return point.created

    forked(use)
    first = created()
    time.sleep(0.01)
    forked(use)
    assert created() == first


def test_a_forked_worker_starts_from_zero_and_never_writes_to_its_parents_slot(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    child = counter.labels("x")
    child.inc(3)
    forked(lambda: child.inc())
    assert child.value == 3
    assert registry.get_sample_value("c_total", {"n": "x"}) == 4


def test_what_a_forked_worker_does_not_use_takes_no_slot(worker, tmp_path):
    registry = worker()
    Counter("c", "C.", registry=registry).inc()
    forked(lambda: None)
    assert len(list((tmp_path / "metrics").iterdir())) == 2


def test_a_gauge_that_a_forked_worker_does_not_use_is_its_parents_alone(worker):
    registry = worker()
    Gauge("g", "G.", multiprocess_mode="min", registry=registry).set(5)
    counter = Counter("c", "C.", registry=registry)

    def work() -> None:
        counter.inc()
        assert registry.get_sample_value("g") == 5

    forked(work)


def test_a_killed_worker_is_not_live(worker):
    registry = worker()
    gauge = Gauge("g", "G.", multiprocess_mode="livesum", registry=registry)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        gauge.set(7)
        os.write(write, b"x")
        signal.pause()
    os.read(read, 1)
    assert registry.get_sample_value("g") == 7
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert registry.get_sample_value("g") == 0
    os.close(read)
    os.close(write)


def test_removing_takes_out_this_workers_part_and_that_of_the_dead(worker):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], registry=registry) for registry in (one, two)]
    forked(lambda: [counters[0].labels(n).inc() for n in "xyz"])
    for n in "xyz":
        counters[0].labels(n).inc(10)
    counters[1].labels("y").inc(100)
    counters[0].remove("x")
    counters[0].remove("y")
    for registry in (one, two):
        assert lines(registry, "c_total") == ['c_total{n="z"} 11.0', 'c_total{n="y"} 100.0'] or sorted(
            lines(registry, "c_total")
        ) == ['c_total{n="y"} 100.0', 'c_total{n="z"} 11.0']


def test_a_removed_child_is_made_anew_from_zero(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    old = counter.labels("x")
    old.inc(5)
    counter.remove("x")
    old.inc()
    assert lines(registry, "c_total") == []
    counter.labels("x").inc(2)
    old.inc()
    assert lines(registry, "c_total") == ['c_total{n="x"} 2.0']


def test_clearing_takes_out_what_dead_workers_had_as_well(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    forked(lambda: counter.labels("theirs").inc())
    counter.labels("mine").inc()
    counter.clear()
    assert lines(registry, "c_total") == []


def test_removing_by_labels_finds_what_only_dead_workers_had(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n", "m"], registry=registry)
    forked(lambda: counter.labels("x", "theirs").inc())
    counter.labels("y", "mine").inc()
    counter.remove_by_labels({"n": "x"})
    assert lines(registry, "c_total") == ['c_total{n="y",m="mine"} 1.0']


def test_churn_keeps_the_files_bounded(worker, tmp_path):
    registry = worker()
    counter = Counter("c", "C.", ["n"], registry=registry)
    sizes = []
    for number in range(5000):
        counter.labels(f"series {number}").inc()
        counter.remove(f"series {number}")
        if number in (1000, 4999):
            sizes.append(sum(path.stat().st_size for path in (tmp_path / "metrics").iterdir()))
    assert sizes[1] < sizes[0] + 20_000
    assert lines(registry, "c_total") == []


def test_a_log_that_is_written_anew_is_read_anew(worker):
    one, two = worker(), worker()
    counter = Counter("c", "C.", ["n"], registry=one)
    other = Counter("c", "C.", ["n"], registry=two)
    for number in range(300):
        counter.labels(str(number)).inc(number)
        other.labels(str(number)).inc(1)
        if number >= 10:
            counter.remove(str(number - 10))
            other.remove(str(number - 10))
        if number % 7 == 0:
            found = {s.labels["n"]: s.value for f in two.collect() for s in f.samples if s.name == "c_total"}
            assert found == {str(n): n + 1.0 for n in range(max(0, number - 9), number + 1)}


@pytest.fixture
def begun(worker, tmp_path) -> tuple[CollectorRegistry, SharedStorage, Callable[[], None]]:
    """A registry, its storage, and what makes another worker, whose log takes many steps to follow, write it anew."""
    storage = SharedStorage(str(tmp_path / "metrics"))
    other = worker()
    first, counter = (Counter(name, "C.", ["n"], registry=other) for name in ("first", "c"))
    for made in (first, counter):
        for number in range(3000):
            made.labels(str(number)).inc()
    registry = CollectorRegistry(storage=storage)
    Counter("c", "C.", ["n"], registry=registry)

    def write_anew() -> None:
        for number in range(2000):
            first.remove(str(number))
        for _ in range(3000):
            first.labels("another")
            first.remove("another")

    return registry, storage, write_anew


def test_logs_are_followed_by_several_at_a_time_while_they_are_written_anew(begun):
    registry, storage, write_anew = begun
    one, two = storage.prepare(), storage.prepare()
    list(islice(one, 3))
    write_anew()
    list(islice(two, 3))
    list(one)
    list(two)
    assert len(lines(registry, "c_total")) == 3000
    assert lines(registry, "asyncmetrics_worker_slot_errors_total") == ["asyncmetrics_worker_slot_errors_total 0.0"]


def test_a_scrape_is_whole_while_another_follows_a_log_that_is_written_anew(begun):
    registry, storage, write_anew = begun
    list(storage.prepare())
    (counter,) = (family for family in registry.collect() if family.name == "c")
    reading = iter(counter.batches())
    found = list(islice(reading, 3))  # it begins to number the series
    write_anew()
    list(islice(storage.prepare(), 2))  # is left in the middle
    found.extend(reading)
    assert sum(point.read_numbers()[0] for batch in found for point in batch) == 3000


def test_families_of_other_workers_are_told_of_while_other_threads_scrape(worker):
    one, two = worker(), worker()

    def work(thread: int) -> None:
        for number in range(50):
            two.unregister(Counter(f"new_{thread}_{number}", "N.", registry=two))
            generate_latest(one)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert lines(one, "asyncmetrics_collector_errors_total") == []


def test_the_limit_of_children_counts_what_the_slot_holds(worker):
    registry = worker()
    counter = Counter("c", "C.", ["n"], max_children=5, registry=registry)
    for generation in range(4):
        forked(lambda: [counter.labels(f"{generation} {number}").inc() for number in range(3)])
    found = lines(registry, "c_total")
    assert sum(float(line.split()[-1]) for line in found) == 12
    assert len(found) == 6
    assert registry.get_sample_value("asyncmetrics_overflowed_label_sets_total", {"metric": "c"}) == 7


def test_families_that_are_defined_otherwise_are_left_out_and_told_of(worker):
    one, two = worker(), worker()
    Histogram("h", "H.", buckets=[1], registry=one).observe(0.5)
    Histogram("h", "H.", buckets=[2], registry=two).observe(0.5)
    assert one.get_sample_value("h_count") == 1
    assert one.get_sample_value("asyncmetrics_worker_conflicting_families") == 1


def test_who_adopts_a_slot_with_another_definition_begins_anew(worker):
    registry = worker()
    Counter("other", "C.", registry=registry).inc()

    def old() -> None:
        Histogram("h", "H.", buckets=[1], registry=worker()).observe(0.5)

    def new() -> None:
        mine = worker()
        Histogram("h", "H.", buckets=[2], registry=mine).observe(0.5)
        assert mine.get_sample_value("h_bucket", {"le": "2.0"}) == 1

    forked(old)
    forked(new)
    assert registry.get_sample_value("h_bucket", {"le": "2.0"}) == 1
    assert registry.get_sample_value("asyncmetrics_worker_dropped_series_total") == 1


def test_registries_that_share_a_storage_do_not_mix(tmp_path):
    storage = SharedStorage(str(tmp_path / "metrics"))
    one, two = CollectorRegistry(storage=storage), CollectorRegistry(storage=storage.named("admin"))
    Counter("c", "C.", registry=one).inc()
    Counter("c", "C.", registry=two).inc(5)
    assert [one.get_sample_value("c_total"), two.get_sample_value("c_total")] == [1, 5]


def test_a_metric_that_is_made_again_does_not_disturb_the_one_before(worker):
    registry = worker()
    old = Counter("c", "C.", registry=registry)
    old.inc()
    registry.unregister(old)
    new = Counter("c", "C.", registry=registry)
    new.inc(5)
    old.inc()
    assert registry.get_sample_value("c_total") == 7


def test_stale_children_leave_all_readings(worker, monkeypatch):
    one, two = worker(), worker()
    counters = [Counter("c", "C.", ["n"], ttl=3600, registry=registry) for registry in (one, two)]
    counters[0].labels("x").inc()
    counters[1].labels("x").inc()
    assert lines(one, "c_total") == lines(two, "c_total") == ['c_total{n="x"} 2.0']
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 3600)
    assert lines(one, "c_total") == lines(two, "c_total") == []
    counters[0].labels("x").inc()
    assert len(lines(one, "c_total")) == 1


def test_a_directory_of_somebody_elses_making_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for name, problem in (("link", "symbolic link"), ("open", "others may write"), ("file", "expected a directory")):
        with pytest.raises(StorageError, match=problem):
            SharedStorage(str(tmp_path / name))


def test_created_is_that_of_the_oldest_part(worker):
    one, two = worker(), worker()
    Counter("c", "C.", registry=one).inc()
    time.sleep(0.01)
    counter = Counter("c", "C.", registry=two)
    (family,) = counter.collect()
    (batch,) = [batch for batch in family.batches() if batch]
    assert batch[0].created < counter._children.by_values[()].created
