"""Pools: the numbers of live pools are read at a scrape, added up by name, and vanish with their pool."""

from __future__ import annotations

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry
from asyncmetrics.metrics.pools import PoolNumbers, Pools, get_pools
from tests.patience import PATIENCE_SECONDS


class Pool:
    """A pool of a library."""

    def __init__(self, idle: int = 0, used: int = 0, limit: int | None = None, pending: int | None = None) -> None:
        self.numbers = PoolNumbers(idle, used, limit, pending)


class Unreferred:
    __slots__ = ("numbers",)

    def __init__(self, *numbers: int) -> None:
        self.numbers = PoolNumbers(*numbers)


def read(pool: Pool | Unreferred) -> PoolNumbers:
    return pool.numbers


@pytest.fixture
def pools(registry: CollectorRegistry) -> Pools:
    return get_pools(registry, "db_connection")


@pytest.fixture
def counts(samples):
    """Read how many connections there are, by pool and state."""
    return lambda: samples("db_connection_count", "pool", "state")


@pytest.fixture
def samples(registry: CollectorRegistry):
    """Read the samples of one name as a dict from the values of some labels."""

    def read_samples(name: str, *labels: str):
        found = [s for family in registry.collect() for s in family.samples if s.name == name]
        return {tuple(s.labels[label] for label in labels): s.value for s in found}

    return read_samples


def list_series(registry: CollectorRegistry) -> set[str]:
    """Return the names of the families that have any series of a pool."""
    return {family.name for family in registry.collect() if family.name.startswith("db_") and family.samples}


class TestNumbers:
    def test_they_are_those_of_the_pool_at_the_scrape(self, pools, counts):
        pools.add(pool := Pool(idle=2, used=3), "lib", read)
        assert counts() == {("lib-1", "idle"): 2, ("lib-1", "used"): 3}
        pool.numbers = PoolNumbers(1, 4)
        assert counts() == {("lib-1", "idle"): 1, ("lib-1", "used"): 4}

    def test_limits_and_waiting_calls_are_exposed_where_a_pool_knows_them(self, pools, samples):
        pools.add(knows := Pool(limit=10, pending=4), "lib", read)
        pools.add(ignorant := Pool(), "lib", read)
        assert samples("db_connection_max", "pool") == {("lib-1",): 10}
        assert samples("db_connection_pending_requests", "pool") == {("lib-1",): 4}
        del knows, ignorant

    def test_a_pool_that_raises_is_counted_and_the_others_stay(self, pools, counts, samples):
        def fail(_: object) -> PoolNumbers:
            raise RuntimeError("closed at this moment")

        pools.add(good := Pool(idle=1), "lib", read)
        pools.add(broken := Pool(), "lib", fail)
        pools.add(other := Pool(used=1), "lib", read)
        found = counts()
        assert {name for name, _ in found} == {"lib-1", "lib-3"}
        errors = samples("asyncmetrics_internal_errors_total", "where")
        assert errors[("pools",)] >= 1
        del good, broken, other


class TestNames:
    def test_a_pool_without_a_name_is_called_by_its_kind_and_a_number(self, pools, counts):
        kept = [Pool(), Pool(), Pool()]
        names = [pools.add(pool, kind, read).name for pool, kind in zip(kept, ["a", "a", "b"], strict=True)]
        assert names == ["a-1", "a-2", "b-1"]

    def test_the_number_of_a_pool_that_is_gone_is_used_again(self, pools):
        kept = [Pool(), Pool()]
        for pool in kept:
            pools.add(pool, "lib", read)
        pools.remove(kept[0])
        assert pools.add(Pool(), "lib", read).name == "lib-1"

    def test_pools_of_one_name_are_added_up(self, pools, counts, samples):
        kept = [Pool(1, 2, 5, 1), Pool(3, 4, 5, 0), Pool(1, 1)]
        for pool in kept:
            pools.add(pool, "lib", read, "main")
        assert counts() == {("main", "idle"): 5, ("main", "used"): 7}
        assert samples("db_connection_max", "pool") == {("main",): 10}
        assert samples("db_connection_pending_requests", "pool") == {("main",): 1}

    def test_a_pool_that_is_added_again_stays_as_it_is(self, pools, counts):
        pool = Pool(idle=1)
        first = pools.add(pool, "lib", read, "main")
        assert pools.add(pool, "lib", read, "other") is first
        assert counts() == {("main", "idle"): 1, ("main", "used"): 0}

    def test_a_pool_that_is_exposed_is_found(self, pools):
        pool = Pool()
        series = pools.add(pool, "lib", read)
        assert pools.find(pool) is series
        pools.remove(pool)
        assert pools.find(pool) is None

    def test_more_pools_than_the_limit_share_one_series(self, pools, registry):
        kept = [Pool() for _ in range(1010)]
        for number, pool in enumerate(kept):
            pools.add(pool, "lib", read, str(number)).count_timeout()
        assert registry.get_sample_value("db_connection_timeouts_total", {"pool": "__overflow__"}) == 10


class TestRecords:
    def test_waits_uses_creations_and_timeouts_are_recorded_by_pool(self, pools, registry):
        series = pools.add(pool := Pool(), "lib", read)
        series.observe_wait(0.5)
        series.observe_use(0.25)
        series.observe_creation(0.125)
        series.count_timeout()
        labels = {"pool": "lib-1"}
        for name, expected in (
            ("wait_time_seconds_sum", 0.5),
            ("use_time_seconds_sum", 0.25),
            ("create_time_seconds_sum", 0.125),
            ("timeouts_total", 1),
        ):
            assert registry.get_sample_value(f"db_connection_{name}", labels) == expected
        del pool

    def test_records_of_threads_are_added_up(self, pools, registry):
        series = pools.add(pool := Pool(), "lib", read)
        threads = [threading.Thread(target=lambda: [series.observe_wait(1) for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert registry.get_sample_value("db_connection_wait_time_seconds_sum", {"pool": "lib-1"}) == 400
        del pool


def use(series) -> None:
    series.observe_wait(0.5)
    series.observe_use(0.5)
    series.observe_creation(0.5)
    series.count_timeout()


class TestEnd:
    def test_a_pool_that_is_removed_vanishes_with_all_its_series(self, pools, registry):
        pool = Pool(1, 1, 1, 1)
        use(pools.add(pool, "lib", read))
        assert len(list_series(registry)) == 7
        pools.remove(pool)
        assert list_series(registry) == set()

    def test_a_pool_that_is_collected_vanishes_with_all_its_series(self, pools, registry):
        pool = Pool(1, 1, 1, 1)
        use(pools.add(pool, "lib", read))
        del pool
        gc.collect()
        assert list_series(registry) == set()

    def test_a_pool_without_weak_references_is_kept_until_it_is_removed(self, pools, counts):
        pool = Unreferred(1, 2)
        pools.add(pool, "lib", read)
        gc.collect()
        assert counts() == {("lib-1", "idle"): 1, ("lib-1", "used"): 2}
        pools.remove(pool)
        assert counts() == {}

    def test_the_series_stay_while_another_pool_has_the_name(self, pools, registry, counts):
        first, second = Pool(1, 0), Pool(2, 0)
        use(pools.add(first, "lib", read, "main"))
        use(pools.add(second, "lib", read, "main"))
        pools.remove(first)
        assert counts() == {("main", "idle"): 2, ("main", "used"): 0}
        assert registry.get_sample_value("db_connection_timeouts_total", {"pool": "main"}) == 2
        pools.remove(second)
        assert list_series(registry) == set()

    @pytest.mark.parametrize("name", ["", "main"])
    def test_a_call_that_outlives_its_pool_brings_no_series_back(self, name, pools, registry):
        pool = Pool()
        series = pools.add(pool, "lib", read, name)
        pools.remove(pool)
        use(series)
        assert list_series(registry) == set()

    def test_a_pool_that_is_added_after_its_removal_records_again(self, pools, registry):
        pool = Pool()
        pools.add(pool, "lib", read, "main")
        pools.remove(pool)
        use(pools.add(pool, "lib", read, "main"))
        assert registry.get_sample_value("db_connection_timeouts_total", {"pool": "main"}) == 1

    def test_the_removal_of_an_unknown_pool_changes_nothing(self, pools, counts):
        pools.add(pool := Pool(), "lib", read)
        pools.remove(Pool())
        assert len(counts()) == 2
        del pool

    def test_many_pools_leave_nothing_behind(self, pools, registry):
        for _ in range(2000):
            pool = Pool()
            use(pools.add(pool, "lib", read))
            del pool
        gc.collect()
        assert list_series(registry) == set()


class TestOneRegistry:
    def test_the_same_prefix_has_the_same_pools(self, registry, pools):
        assert get_pools(registry, "db_connection") is pools

    def test_two_prefixes_have_pools_of_their_own(self, registry, pools, counts, samples):
        others = get_pools(registry, "http_connection")
        pools.add(one := Pool(1, 0), "a", read)
        others.add(two := Pool(0, 1), "b", read)
        assert counts() == {("a-1", "idle"): 1, ("a-1", "used"): 0}
        assert samples("http_connection_count", "pool", "state") == {("b-1", "idle"): 0, ("b-1", "used"): 1}
        del one, two

    def test_two_namespaces_have_pools_of_their_own(self, registry, pools, counts, samples):
        others = get_pools(registry, "db_connection", namespace="shop")
        pools.add(pool := Pool(1, 0), "a", read)
        others.add(pool, "b", read)
        assert {name for name, _ in counts()} == {"a-1"}
        assert {name for name, _ in samples("shop_db_connection_count", "pool", "state")} == {"b-1"}

    def test_the_labels_may_have_other_names(self, registry, samples):
        pools = get_pools(registry, "db_connection", pool="pool_name", state="pool_state")
        pools.add(pool := Pool(1, 0), "a", read)
        assert ("a-1", "idle") in samples("db_connection_count", "pool_name", "pool_state")
        del pool

    def test_another_registry_has_others(self, registry, pools, counts):
        others = get_pools(CollectorRegistry(), "db_connection")
        others.add(pool := Pool(), "a", read)
        assert others is not pools
        assert counts() == {}
        del pool

    def test_a_registry_that_is_dropped_is_not_kept(self):
        registries = [CollectorRegistry() for _ in range(3)]
        for registry in registries:
            get_pools(registry, "db_connection")
        gc.collect()
        before = _count_registries()
        del registries, registry
        gc.collect()
        assert before - _count_registries() == 3


def _count_registries() -> int:
    return sum(1 for found in gc.get_objects() if type(found) is CollectorRegistry)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "drop"]), st.sampled_from(["", "x", "y"]), st.integers(0, 5)),
        max_size=30,
    )
)
def test_any_steps_leave_the_sums_of_the_pools_that_live(steps):
    registry = CollectorRegistry()
    pools = get_pools(registry, "db_connection")
    alive: list[tuple[str, Pool]] = []
    for step, name, number in steps:
        if step == "add":
            pool = Pool(number, number + 1)
            alive.append((pools.add(pool, "lib", read, name).name, pool))
        elif alive:
            _, pool = alive.pop(number % len(alive))
            if step == "remove":
                pools.remove(pool)
        pool = None  # the last reference, if it was dropped
    expected: dict[tuple[str, str], float] = {}
    for name, one in alive:
        for state, connections in (("idle", one.numbers.idle), ("used", one.numbers.used)):
            expected[name, state] = expected.get((name, state), 0) + connections
    found = {
        (sample.labels["pool"], sample.labels["state"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "db_connection_count"
    }
    assert found == expected
