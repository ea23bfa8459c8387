"""Three workers observe while they are killed at random: Prometheus has every observation that was answered."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.patience import wait_until
from tests.real.native.expected import Bucket, find_exact_quantile, find_fraction, find_quantile, list_buckets
from tests.servers.prometheus_server import Prometheus, make_job
from tests.servers.worker_servers import Workers, run_workers

pytestmark = [pytest.mark.real, pytest.mark.slow]

WORKERS, KILLS = 3, 5
FEATURES = "native-histograms"  # without the zeros at the start of series, which 3.5 counts as resets
QUANTILES = (0.05, 0.5, 0.9, 0.99)


class Clients:
    """Threads that ask workers to observe, and one that kills workers, until there were enough kills."""

    def __init__(self, server: Workers) -> None:
        self.answered: list[float] = []
        self.failed: list[float] = []
        self.pids: set[str] = set()
        self.kills = 0
        self._server = server
        self._stop = threading.Event()

    def run(self) -> None:
        """Ask and kill, and return when all threads have ended."""
        threads = [threading.Thread(target=self._ask, args=(seed,)) for seed in range(3)]
        threads.append(threading.Thread(target=self._kill))
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: self.kills >= KILLS and len(self.pids) >= WORKERS + KILLS)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            size = round(chance.choice((1, 1, 1, 0, -1)) * chance.lognormvariate(0, 3), 6)
            try:
                status, pid = self._server.get(f"/observe/{size}")
            except (OSError, http.client.HTTPException):
                self.failed.append(size)
                continue
            assert status == 200
            self.answered.append(size)
            self.pids.add(pid)

    def _kill(self) -> None:
        chance = random.Random(7)
        while not self._stop.wait(chance.uniform(0.2, 0.8)):
            pids = self._server.pids()
            if len(pids) > 1:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
                    self.kills += 1


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory in memory where workers may make theirs."""
    path = Path(f"/dev/shm/native-{random.getrandbits(32):x}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def chaos(start, place) -> Iterator[tuple[Prometheus, Clients]]:
    """A Prometheus that has scraped the workers to the end, and what clients saw."""
    with run_workers("uvicorn", "", WORKERS, place, {}, "native_app") as server:
        with start([make_job("workers", f"http://127.0.0.1:{server.port}")], features=FEATURES) as prometheus:
            prometheus.wait_for('up{job="workers"} == 1', bool)
            clients = Clients(server)
            clients.run()
            server.await_value(WORKERS, "asyncmetrics_workers", state="live")
            count = server.value("sizes_count")
            prometheus.wait_for(f"histogram_count(sizes) == {count}", bool)
            print(
                f"{clients.kills} kills, {len(clients.pids)} workers, {len(clients.answered)} answered, "
                f"{len(clients.failed)} failed, {count:.0f} counted"
            )
            yield prometheus, clients


def read_buckets(prometheus: Prometheus, name: str) -> list[Bucket]:
    (row,) = prometheus.query(name)
    return [Bucket(*map(float, bucket)) for _, *bucket in row["histogram"][1]["buckets"]]


def count_by_low(amounts: Sequence[float], schema: int) -> Counter[str]:
    """Return the counts by the lower bounds, rounded."""
    return Counter({f"{low:.9g}": int(count) for low, _, count in list_buckets(amounts, schema, 2.0**-128)})


def test_every_bucket_has_what_was_answered_and_at_most_what_failed_besides(chaos):
    prometheus, clients = chaos
    found = Counter({f"{low:.9g}": int(count) for low, _, count in read_buckets(prometheus, "sizes")})
    assert not count_by_low(clients.answered, 5) - found
    assert not found - count_by_low([*clients.answered, *clients.failed], 5)


def test_a_quantile_is_at_most_a_bucket_from_the_exact_one(chaos, generation):
    prometheus, clients = chaos
    buckets, width = read_buckets(prometheus, "sizes"), 2.0 ** (1 / 32) * (1 + 1e-9)
    for quantile in QUANTILES:
        found = prometheus.value(f"histogram_quantile({quantile}, sizes)")
        assert found == pytest.approx(find_quantile(buckets, quantile, generation.rule), rel=1e-9)
        # A failed request may have been counted: the rank may move by their number.
        slack = len(clients.failed) / len(clients.answered)
        low, _ = find_exact_quantile(clients.answered, max(quantile - slack, 0))
        _, high = find_exact_quantile(clients.answered, min(quantile + slack, 1))
        assert min(low / width, low * width) <= found <= max(high / width, high * width)


def test_a_fraction_is_what_the_rule_says(chaos, generation):
    prometheus, _ = chaos
    buckets = read_buckets(prometheus, "sizes")
    found = prometheus.value("histogram_fraction(-1, 3, sizes)")
    assert found == pytest.approx(find_fraction(buckets, -1, 3, generation.rule), rel=1e-9)


def test_a_histogram_that_lost_resolution_has_as_many_observations(chaos):
    prometheus, _ = chaos
    fine, coarse = read_buckets(prometheus, "sizes"), read_buckets(prometheus, "coarse_sizes")
    assert sum(bucket.count for bucket in coarse) == sum(bucket.count for bucket in fine)
    assert len(coarse) < len(fine) / 2


def test_no_count_went_back(chaos):
    prometheus, clients = chaos
    assert len(clients.pids) >= WORKERS + KILLS
    assert prometheus.value("sum(resets(sizes[1h]))") == 0
    assert prometheus.value("sum(resets(coarse_sizes[1h]))") == 0
