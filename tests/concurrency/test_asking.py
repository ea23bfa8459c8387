"""Metrics that ask for exemplars lose nothing between threads, scrapes and signal handlers."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.storage import MemoryStorage, SharedStorage

THREADS, TIMES = 6, 600
STORAGES = {
    "memory": lambda path: MemoryStorage(locking=False),
    "memory with locks": lambda path: MemoryStorage(locking=True),
    "shared": lambda path: SharedStorage(path, locking=False),
}


@pytest.fixture(params=STORAGES)
def registry(request, tmp_path):
    return CollectorRegistry(storage=STORAGES[request.param](str(tmp_path / "m")))


@pytest.fixture(autouse=True)
def switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_that_ask_while_others_scrape_lose_nothing(registry):
    kept = threading.local()

    def provide():
        kept.calls = getattr(kept, "calls", 0) + 1
        return {"n": str(kept.calls)} if kept.calls % 3 else None

    counter = Counter("c", "C.", registry=registry, exemplars=provide)
    histogram = Histogram("h", "H.", buckets=[1, 2], registry=registry, exemplars=provide)
    done = threading.Event()

    def work():
        for number in range(TIMES):
            counter.inc()
            histogram.observe(number % 3 + 0.5)

    def scrape():
        while not done.is_set():
            for family in registry.collect():
                assert family.samples

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    scraper = threading.Thread(target=scrape)
    for thread in (scraper, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    scraper.join()
    buckets = [registry.get_sample_value("h_bucket", {"le": bound}) for bound in ("1.0", "2.0", "+Inf")]
    total = THREADS * TIMES
    assert (registry.get_sample_value("c_total"), buckets) == (total, [total / 3, total * 2 / 3, total])
    found = {sample.name for family in registry.collect() for sample in family.samples if sample.exemplar}
    assert found == {"c_total", "h_bucket"}


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals")
def test_what_a_signal_handler_raises_inside_a_provider_reaches_the_program(registry):
    class Stop(ValueError):
        pass

    def handle(number, frame):
        raise Stop

    def provide():
        signal.raise_signal(signal.SIGUSR1)
        return {"n": "1"}

    counter = Counter("c", "C.", registry=registry, exemplars=provide)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(Stop):
            counter.inc()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert registry.get_sample_value("c_total") == 0
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exemplars"}) is None
