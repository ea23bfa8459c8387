"""No step of a scrape grows with the number of series: an event loop is held for one step at most.

The work of a step is measured in bytes: what it allocates beyond what it began with, or frees. That depends on no
clock. A list that has a reference to each series would exceed the limit.
"""

from __future__ import annotations

import gc
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import asyncmetrics
from asyncmetrics import CollectorRegistry
from asyncmetrics.asking import ask_now
from asyncmetrics.exposition.rendering import Rendering
from asyncmetrics.formats.negotiation import negotiate
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.family import LiveFamily
from asyncmetrics.registry.collectables import begin_collection, collect_within
from asyncmetrics.storage import SharedStorage
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.blocking  # no test has a loop, and to watch for one slows down each lock

LIMIT = 200 << 10  # bytes
REFERENCE = 8  # bytes
SERIES = LIMIT // REFERENCE + 400  # so many that a reference to each takes more than the limit
ZLIB_BYTES = 256 << 10  # what a compressor allocates at its start, by the formula in zconf.h
COLUMNS_LIMIT = 4 * LIMIT  # where series have several orders, arrays of one number a series are made: single blocks
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

USES = {
    "Counter": lambda child: child.inc(),
    "Gauge": lambda child: child.set(2.5),
    "Summary": lambda child: child.observe(2.5),
    "Histogram": lambda child: child.observe(2.5),
    "Info": lambda child: child.info({"version": "1"}),
    "Enum": lambda child: child.state("on"),
}


class Series:
    """A metric with many series in a registry; ``options`` are the metric's."""

    def __init__(self, registry: CollectorRegistry, kind: str = "Counter", **options: object) -> None:
        self.use = USES[kind]
        if kind == "Enum":
            options["states"] = ["on", "off"]
        make = getattr(asyncmetrics, kind)
        self.metric = make("jobs", "Jobs.", ["name"], registry=registry, max_children=None, **options)

    def fill(self, count: int, *, shuffled: bool = False) -> Series:
        names = [f"a name of the usual length {number}" for number in range(count)]
        if shuffled:
            random.Random(1).shuffle(names)
        for name in names:
            self.use(self.metric.labels(name))
        return self

    def remove(self, every: int, count: int) -> None:
        for number in range(0, count, every):
            self.metric.remove(f"a name of the usual length {number}")


def steps(registry: CollectorRegistry, accept: str, names: frozenset[str], *, gzip: bool) -> Iterator[object]:
    """Scrape as an exposition on an event loop does."""
    rendering = Rendering(negotiate(accept), names, gzip, 10.0)
    collection = begin_collection(rendering.select_source(registry))
    for collector in collection.collectors:
        outcomes = [(source, ask_now(source)) for source in collection.list_sources(collector)]
        yield from (b"" for _ in collection.take(collector, outcomes))
    yield from collection.prepare()
    yield from rendering.render_pieces(collection.finish(), registry)


def heaviest(work: Iterator[object]) -> int:
    """Return the bytes of the step that allocates or frees most."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    most, is_over = 0, False
    try:
        while not is_over:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            is_over = next(work, work) is work
            after, peak = tracemalloc.get_traced_memory()
            most = max(most, peak - before, before - after)
    finally:
        tracemalloc.stop()
        gc.enable()
    return most


@pytest.fixture
def worker(tmp_path) -> Callable[[], CollectorRegistry]:
    """Make a registry as one more worker on the same directory would have it, but without a thread of its own.

    What that allocates would be counted as the work of a step.
    """
    return lambda: CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics"), serves=False))


def scraped(registry: CollectorRegistry, accept: str = TEXT, *names: str, gzip: bool = False) -> int:
    return heaviest(steps(registry, accept, frozenset(names), gzip=gzip))


KINDS = [
    pytest.param("Counter", {}, id="counter"),
    *(
        pytest.param("Gauge", {"multiprocess_mode": mode}, id=f"gauge {mode}")
        for mode in ("all", "livesum", "mostrecent")
    ),
    *(pytest.param(kind, {}, id=kind.lower()) for kind in ("Summary", "Info", "Enum")),
    pytest.param("Counter", {"ttl": 1000.0}, id="counter with a time to live"),
]
WITH_REMOVALS = [KINDS[0], KINDS[2], KINDS[5]]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), [kind for kind in KINDS if kind not in WITH_REMOVALS])
def test_scrapes_of_another_workers_series(worker, kind, options):
    theirs = Series(worker(), kind, **options).fill(SERIES)
    registry = worker()
    Series(registry, kind, **options)
    assert [heavy for heavy in (scraped(registry), scraped(registry)) if heavy > LIMIT] == []
    del theirs


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), WITH_REMOVALS)
def test_scrapes_of_another_workers_series_and_after_it_rewrote_its_log_and_removed_some(worker, kind, options):
    theirs = Series(worker(), kind, **options).fill(SERIES)
    registry = worker()
    Series(registry, kind, **options)
    bytes_of = {"first": scraped(registry), "second": scraped(registry)}
    theirs.metric._children._worker.arena.rewrite_log()
    bytes_of |= {"after the log was rewritten": scraped(registry)}
    theirs.remove(3, SERIES)
    bytes_of |= {"first after removals": scraped(registry), "second after removals": scraped(registry)}
    assert {which: heavy for which, heavy in bytes_of.items() if heavy > LIMIT} == {}


@pytest.mark.slow
def test_scrapes_of_another_workers_histograms(worker):
    theirs = Series(worker(), "Histogram").fill(SERIES)  # a page of their cells is the largest step
    registry = worker()
    Series(registry, "Histogram")
    assert [heavy for heavy in (scraped(registry), scraped(registry)) if heavy > COLUMNS_LIMIT] == []
    del theirs


# What is particular to them: a column of values, a worker's label, a fold, rows, and ages.
IN_ORDERS = [KINDS[0], *KINDS[1:3], KINDS[4], KINDS[-1]]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), IN_ORDERS)
def test_scrapes_of_series_that_workers_have_in_different_orders(worker, kind, options):
    theirs = [Series(worker(), kind, **options).fill(SERIES, shuffled=shuffled) for shuffled in (False, True)]
    registry = worker()
    Series(registry, kind, **options)
    assert [heavy for heavy in (scraped(registry), scraped(registry)) if heavy > COLUMNS_LIMIT] == []
    del theirs


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), [KINDS[0], KINDS[-1], pytest.param("Info", {}, id="info")])
def test_scrapes_of_a_workers_own_series(worker, kind, options):
    registry = worker()
    Series(registry, kind, **options).fill(SERIES)
    assert [heavy for heavy in (scraped(registry), scraped(registry)) if heavy > LIMIT] == []


@pytest.mark.slow
def test_a_scrape_after_a_log_was_rewritten_and_another_scrape_was_abandoned(worker):
    theirs = Series(worker()).fill(SERIES)
    registry = worker()
    Series(registry)
    scraped(registry)
    (family,) = (family for family in collect_within(registry) if family.name == "jobs")
    given_up = iter(family.read_batches())
    while not next(given_up):
        pass
    theirs.metric._children._worker.arena.rewrite_log()
    assert scraped(registry) <= LIMIT
    assert heaviest(iter([given_up.close() for _ in range(1)])) <= LIMIT
    assert scraped(registry) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("where", ["memory", "shared"])
@pytest.mark.parametrize(
    ("scrape", "limit"),
    [
        pytest.param(partial(scraped, accept=OPENMETRICS), LIMIT, id="openmetrics"),
        pytest.param(partial(scraped, accept=PROTOBUF), LIMIT, id="protobuf"),
        pytest.param(partial(scraped, gzip=True), LIMIT + ZLIB_BYTES, id="gzip"),
        pytest.param(lambda registry: scraped(registry, TEXT, "jobs_total"), LIMIT, id="names"),
    ],
)
def test_scrapes_in_every_form(worker, registry, where, scrape, limit):
    theirs = Series(registry if where == "memory" else worker()).fill(SERIES * limit // LIMIT)
    if where == "shared":
        registry = worker()
        Series(registry)
    assert [heavy for heavy in (scrape(registry), scrape(registry)) if heavy > limit] == []
    del theirs


@pytest.mark.slow
@pytest.mark.parametrize("where", ["memory", "shared"])
def test_scrapes_while_all_series_go_stale(worker, registry, where, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    if where == "shared":
        registry = worker()
    Series(registry, ttl=100.0).fill(SERIES)
    heavy = []
    for now in (1000.0, 2000.0, 2001.0, 2002.0):
        heavy.append(scraped(registry))
    assert [step for step in heavy if step > LIMIT] == []


FORMS = {"plain": {}, "gzip": {"gzip": True}, "names": {"names": frozenset({"jobs_total"})}}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_empty_slice_is_a_step_of_its_own(form):
    options = {"names": frozenset(), "gzip": False, **form}
    rendering = Rendering(negotiate(TEXT), options["names"], options["gzip"], 10.0)
    read = lambda: iter([()] * 50)  # noqa: E731
    family = LiveFamily(Descriptor("counter", "jobs", "Jobs.", ("name",)), read, now=0.0)
    assert len(list(rendering.render_pieces([family], CollectorRegistry()))) >= 50


def test_a_step_does_not_wait_for_a_thread_that_reads_for_long(worker):
    theirs = Series(worker()).fill(10)
    registry = worker()
    Series(registry)
    held, end = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        end.wait(PATIENCE_SECONDS)

    (family,) = (family for family in collect_within(registry) if family.name == "jobs")
    reading = iter(family.read_batches())
    thread = threading.Thread(target=registry.storage._worker.reader.use_slots, args=(hold,))
    thread.start()
    try:
        assert held.wait(PATIENCE_SECONDS)
        found = [next(reading) for _ in range(20)]
        assert (end.is_set(), found) == (False, [()] * 20)
    finally:
        end.set()
        thread.join()
    assert sum(len(batch) for batch in reading) == 10
    del theirs


@pytest.mark.parametrize("begun", range(0, 60, 6))
def test_a_scrape_is_whole_while_another_one_numbers_the_series_again(worker, begun):
    """Wherever it is when one of two workers rewrites its log, and another scrape begins."""
    theirs = [Series(worker()).fill(3000), Series(worker()).fill(3000)]
    registry = worker()
    Series(registry)
    (family,) = (family for family in collect_within(registry) if family.name == "jobs")
    one, two = iter(family.read_batches()), iter(family.read_batches())
    found = [next(one, ()) for _ in range(begun)]
    theirs[0].metric._children._worker.arena.rewrite_log()
    for _ in range(25):
        next(two, None)
    found.extend(one)
    assert sum(point.read_numbers()[0] for batch in found for point in batch) == 6000


@pytest.mark.parametrize("begun", range(2, 40, 2))
def test_scrapes_are_whole_around_the_rewriting_of_a_log(worker, begun):
    """One has begun before, and a second one begins while the first is numbering the series of another worker."""
    Series(first := worker()).fill(3000)
    theirs = Series(second := worker())
    for number in range(1000):
        theirs.metric.labels(f"goes {number}").inc()
    registry = worker()
    Series(registry)
    one, two = (steps(registry, TEXT, frozenset(), gzip=False) for _ in range(2))
    for _ in range(begun):
        next(one)
    for number in range(1000):
        theirs.metric.remove(f"goes {number}")
    for number in range(900):
        theirs.metric.labels(f"comes {number}").inc()
    pieces = [next(two) for _ in range(9)]
    for _ in one:
        pass
    pieces.extend(two)
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)).count(b"jobs_total{") == 3900
    del first, second
