"""Children that come and go during a scrape: no error, no line twice, none of an untouched child missing."""

from __future__ import annotations

import threading
from collections import Counter as Tally

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.registry.collectables import collect_within

# Label values so long that a few children fill a chunk, and more children than one segment of the table has.
LONG = "x" * 1000
CHILDREN = 600
UNTOUCHED = range(0, CHILDREN, 3)

numbers = st.integers(0, 2 * CHILDREN)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), numbers),
        st.tuples(st.just("remove"), numbers),
        st.tuples(st.just("remove many"), numbers),
        st.tuples(st.just("create many"), numbers),
    ),
    max_size=8,
)


def _touched(number: int) -> bool:
    return number >= CHILDREN or number not in UNTOUCHED


def _act(metric, action: str, number: int) -> None:
    among = range(number, number + 300) if action.endswith("many") else (number,)
    for each in filter(_touched, among):
        if action.startswith("create"):
            metric.labels(f"{LONG}{each}")
        else:
            metric.remove(f"{LONG}{each}")


@pytest.mark.slow
@pytest.mark.parametrize("encode", [encode_text, encode_openmetrics], ids=["text", "openmetrics"])
@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
@settings(max_examples=10)
@given(st.lists(steps, max_size=30))
def test_between_any_two_pieces(kind, encode, script):
    """Whatever is created and removed between two pieces of a rendering, in any order."""
    registry = CollectorRegistry()
    metric = kind("jobs", "Jobs.", ["name"], registry=registry, max_children=None)
    for number in range(CHILDREN):
        metric.labels(f"{LONG}{number}")
    text, script = b"", iter(script)
    for piece in encode(collect_within(registry)):
        text += piece
        for action, number in next(script, ()):
            _act(metric, action, number)
    lines = Tally(line.rpartition(" ")[0] for line in text.decode().splitlines() if not line.startswith("#"))
    assert set(lines.values()) == {1}
    ending = 'le="+Inf"' if kind is Histogram else " "
    alone = [line for line in text.decode().splitlines() if ending in line and not line.startswith("#")]
    told = Tally(line[line.index(LONG) + len(LONG) :].partition('"')[0] for line in alone)
    assert all(told[str(number)] >= 1 for number in UNTOUCHED)


@pytest.mark.slow
def test_ten_thousand_a_second_from_another_thread(scrape, run, registry):
    """Scrapes of 20 000 children that stay, while a thread makes and removes others as fast as it can."""
    counter = Counter("jobs", "Jobs.", ["name"], registry=registry, max_children=None)
    for number in range(20_000):
        counter.labels(f"stays-{number}")
    stop = threading.Event()
    made = 0

    def churn() -> None:
        nonlocal made
        while not stop.is_set():
            for number in range(100):
                counter.labels(f"goes-{made}-{number}").inc()
            for number in range(100):
                counter.remove(f"goes-{made}-{number}")
            made += 1

    async def main():
        app = make_asgi_app(registry)
        results = []
        while len(results) < 20 or made < 100:
            results.append((await scrape(app)).lines)
            await anyio.sleep(0)
        return results

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        results = run(main)
    finally:
        stop.set()
        thread.join()
    for lines in results:
        names = [line.rpartition(" ")[0] for line in lines]
        assert len(names) == len(set(names))
        assert sum('"stays-' in name for name in names) == 20_000
