"""Scrapes that another worker answers let the children of all workers take new exemplars."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.storage import SharedStorage
from asyncmetrics.storage.shared.scrape_watch import ScrapeWatch
from tests.patience import wait_until


@pytest.fixture
def provider() -> Callable[[], dict[str, str]]:
    """A provider whose exemplars have the number of the call."""
    numbers = count(1)
    return lambda: {"n": str(next(numbers))}


def read_number(metric: Any) -> int:
    """Return the number of the first exemplar of a metric, without a scrape."""
    return int(metric.labels().read_exemplars()[0].labels["n"])


def test_a_bucket_takes_another_exemplar_after_a_scrape_of_another_worker(path: Path, provider):
    storage = SharedStorage(str(path), serves=False)  # no thread: the test does what it would do
    counter = Counter("c", "C.", exemplars=provider, registry=CollectorRegistry(storage=storage))
    other = CollectorRegistry(storage=SharedStorage(str(path)))
    watch = ScrapeWatch(storage._worker)
    watch.run_chore()
    counter.inc()
    counter.inc()
    watch.run_chore()
    counter.inc()
    assert read_number(counter) == 1
    list(other.collect())
    watch.run_chore()
    counter.inc()
    counter.inc()
    assert read_number(counter) == 2
    watch.run_chore()
    counter.inc()
    assert read_number(counter) == 2


def test_a_scrape_of_this_worker_is_no_scrape_of_another(path: Path, provider):
    storage = SharedStorage(str(path), serves=False)
    registry = CollectorRegistry(storage=storage)
    counter = Counter("c", "C.", exemplars=provider, registry=registry)
    watch = ScrapeWatch(storage._worker)
    watch.run_chore()
    counter.inc()
    list(registry.collect())
    counter.inc()
    watch.run_chore()
    counter.inc()
    assert read_number(counter) == 2


@pytest.mark.slow
def test_the_keeper_watches_for_metrics_that_ask(path: Path, provider):
    storage = SharedStorage(str(path))
    histogram = Histogram("h", "H.", buckets=[1], exemplars=provider, registry=CollectorRegistry(storage=storage))
    other = CollectorRegistry(storage=SharedStorage(str(path)))

    def observe() -> int:
        list(other.collect())
        histogram.observe(0.5)
        return read_number(histogram)

    assert observe() == 1
    wait_until(lambda: observe() > 2)
