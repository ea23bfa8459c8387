"""What a collector yields and no format can write is left out, counted and logged once, or fails the collection."""

from __future__ import annotations

import logging
from decimal import Decimal
from math import inf, nan

import anyio
import prometheus_client
import pytest

from asyncmetrics import Gauge, Metric, generate_latest
from asyncmetrics.core import GaugeMetricFamily, NativeHistogram, Sample, Timestamp
from asyncmetrics.errors import CollectorError
from asyncmetrics.registry.checking import check_family


class Yielding:
    def __init__(self, *families):
        self.families = families

    def collect(self):
        yield from self.families


class Unreadable:
    def __str__(self):
        raise LookupError("no")

    __float__ = __str__


def family(*samples, name="m"):
    made = Metric(name, "M.", "gauge")
    made.samples = list(samples)
    return made


def change(**attributes):
    made = GaugeMetricFamily("m", "M.", 1)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def errors(registry):
    return registry.restricted_registry(["asyncmetrics_collector_errors_total"]).collect()


def counted(registry):
    return {s.labels["collector"]: s.value for family in errors(registry) for s in family.samples}


WRONG_SAMPLES = {
    "value None": Sample("m", {"n": "1"}, None),
    "value text": Sample("m", {"n": "1"}, "x"),
    "value list": Sample("m", {"n": "1"}, [1]),
    "value too large": Sample("m", {"n": "1"}, 10**400),
    "value that raises": Sample("m", {"n": "1"}, Unreadable()),
    "negative time": Sample("m", {"n": "1"}, 1, -1.0),
    "negative Timestamp": Sample("m", {"n": "1"}, 1, Timestamp(-1, 5)),
    "infinite time": Sample("m", {"n": "1"}, 1, inf),
    "time NaN": Sample("m", {"n": "1"}, 1, nan),
    "time text": Sample("m", {"n": "1"}, 1, "now"),
    "time in nanoseconds": Sample("m", {"n": "1"}, 1, 1.7e18),
    "no sample: None": None,
    "no sample: a number": 5,
    "no sample: a tuple": ("m", {"n": "1"}, 1),
    "labels None": Sample("m", None, 1),
    "labels list": Sample("m", ["n"], 1),
    "labels text": Sample("m", "n", 1),
    "label that raises": Sample("m", {"n": Unreadable()}, 1),
    "no name": Sample("", {"n": "1"}, 1),
    "name None": Sample(None, {"n": "1"}, 1),
    "name not printable": Sample("m\n", {"n": "1"}, 1),
}

WRONG_FAMILIES = {
    "None": lambda: None,
    "name empty": lambda: change(name=""),
    "name None": lambda: change(name=None),
    "name not printable": lambda: change(name="m\n"),
    "type unknown": lambda: change(type="meter"),
    "type unhashable": lambda: change(type=[]),
    "samples None": lambda: change(samples=None),
    "samples number": lambda: change(samples=5),
}


@pytest.mark.parametrize("wrong", WRONG_SAMPLES.values(), ids=WRONG_SAMPLES)
@pytest.mark.parametrize("position", [0, 1, 700])
def test_a_wrong_sample_is_left_out_counted_and_logged_once(registry, caplog, wrong, position):
    good = [Sample("m", {"n": f"good-{number}"}, number) for number in range(1000)]
    samples = [*good[:position], wrong, *good[position:]]
    made = family(*samples)
    registry.register(Yielding(made))
    for _ in range(2):
        (found, _) = registry.collect()
        assert found.samples == good
    assert made.samples == samples  # the collector's own
    assert counted(registry) == {"Yielding": 2}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "Yielding" in record.getMessage()
    assert "family 'm': a sample is left out, " in str(record.exc_info[1])


@pytest.mark.parametrize("wrong", WRONG_FAMILIES.values(), ids=WRONG_FAMILIES)
def test_a_wrong_family_is_left_out_counted_and_logged_once(registry, caplog, wrong):
    registry.register(Yielding(wrong(), GaugeMetricFamily("good", "G.", 1)))
    Gauge("other", "O.", registry=registry)
    for _ in range(2):
        assert [family.name for family in registry.collect()] == ["good", "other", "asyncmetrics_collector_errors"]
    assert counted(registry) == {"Yielding": 2}
    assert len(caplog.records) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "wrong",
    [*(family(sample) for sample in WRONG_SAMPLES.values()), *(make() for make in WRONG_FAMILIES.values())],
    ids=[*WRONG_SAMPLES, *(f"family: {name}" for name in WRONG_FAMILIES)],
)
def test_what_is_wrong_fails_the_collection_where_that_is_asked_for(registry, backend, wrong):
    registry.register(Yielding(wrong))

    async def collect():
        with pytest.raises(CollectorError, match="^collector Yielding: "):
            await registry.collect_async(on_error="fail")

    anyio.run(collect, backend=backend)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            family(Sample("m", {"n": "1"}, None)),
            "family 'm': a sample is left out, sample 'm' {'n': '1'}: expected a number as its value, got None",
        ),
        (
            family(Sample("m", {}, "x"), Sample("m", {}, "y")),
            "family 'm': 2 samples are left out, sample 'm': expected a number as its value, got 'x'",
        ),
        (
            family(Sample("m", {}, 1, -5)),
            "family 'm': a sample is left out, sample 'm': expected a Unix time in seconds, from 0 to 1e15, as its t…",
        ),
        (
            family(Sample("m", ["n"], 1)),
            "family 'm': a sample is left out, sample 'm': expected a mapping of names to texts as its labels, …",
        ),
        (family(5), "family 'm': a sample is left out, expected a Sample, got 5"),
        (change(samples=None), "family 'm': expected a list of samples, got None"),
        (change(name=""), "family '': expected a name of one or more printable characters"),
        (None, "expected a metric family, got None"),
    ],
)
async def test_the_error_names_collector_family_and_sample(registry, wrong, message):
    registry.register(Yielding(wrong))
    with pytest.raises(CollectorError) as raised:
        await registry.collect_async(on_error="fail")
    beginning, is_cut, _ = f"collector Yielding: {message}".partition("…")
    assert str(raised.value).startswith(beginning) if is_cut else str(raised.value) == beginning


@pytest.mark.parametrize(
    "value", [5, 5.0, True, "5", " 5 ", b"5", Decimal(5), nan, inf, -inf, type("F", (float,), {})(5)]
)
@pytest.mark.parametrize("time", [None, 0, 5, 5.5, Timestamp(5, 5), "5", Decimal(5)])
def test_what_can_be_converted_to_a_number_is_a_number(registry, value, time):
    registry.register(Yielding(family(Sample("m", {"n": "1"}, value, time))))
    assert [family.name for family in registry.collect()] == ["m"]
    assert generate_latest(registry).startswith(b"# HELP m M.\n# TYPE m gauge\nm{")


def test_a_sample_of_another_class_is_a_sample(registry):
    other = prometheus_client.samples.Sample("m", {"n": "1"}, 1.0)
    registry.register(Yielding(family(other)))
    assert generate_latest(registry).endswith(b'm{n="1"} 1.0\n')


def test_samples_may_come_from_any_iterable(registry):
    samples = [Sample("m", {"n": str(number)}, number) for number in range(600)]
    for name, some in (("a", tuple(samples)), ("b", iter(samples)), ("c", samples)):
        made = family(name=name)
        made.samples = some
        registry.register(Yielding(made))
    assert [len(family.samples) for family in registry.collect()] == [600, 600, 600]


def test_samples_that_raise_cost_their_family_only(registry):
    def samples():
        yield Sample("m", {}, 1)
        raise LookupError("torn")

    made = family()
    made.samples = samples()
    registry.register(Yielding(made, GaugeMetricFamily("good", "G.", 1)))
    assert [family.name for family in registry.collect()] == ["good", "asyncmetrics_collector_errors"]


def test_a_family_that_is_right_is_not_copied_for_a_scrape(registry):
    class Samples(list):
        def __iter__(self):
            read.append(len(self))
            return super().__iter__()

    read = []
    made = family()
    made.samples = Samples(Sample("m", {"n": str(number)}, number) for number in range(1000))
    registry.register(Yielding(made))
    generate_latest(registry)
    assert read == [1000]  # by the format


def test_a_name_that_ends_without_its_unit_is_kept(registry):
    made = change(unit="bytes")
    for _ in range(2):
        registry.register(Yielding(made))
    assert [family.name for family in registry.collect()] == ["m"]
    assert made.restrict(frozenset(["m"])).name == "m"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["custom", "live"])
def test_other_tasks_run_while_many_samples_are_collected(registry, backend, kind):
    if kind == "custom":
        registry.register(Yielding(family(*(Sample("m", {"n": str(number)}, number) for number in range(200_000)))))
    else:
        gauge = Gauge("m", "M.", ["n"], registry=registry, max_children=None)
        for number in range(30_000):
            gauge.labels(number)

    async def run():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await anyio.sleep(0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await registry.collect_async()
            tasks.cancel_scope.cancel()
        return ticks

    assert anyio.run(run, backend=backend) > 5


def test_right_samples_are_checked_by_the_batch():
    """A step checks 256 samples at once; sample by sample there would be four times as many steps."""
    large = family(*(Sample("m", {"n": str(number)}, number) for number in range(2560)))
    assert sum(1 for _ in check_family(large)) == 10


@pytest.mark.parametrize("value", [None, 1.0])
def test_a_native_histogram_is_left_out_of_the_text_and_no_error(registry, value):
    histogram = Metric("h", "H.", "histogram")
    histogram.add_sample("h", {}, value, native_histogram=NativeHistogram(1, 1, 0, 0, 0))
    registry.register(Yielding(histogram))
    assert generate_latest(registry) == b"# HELP h H.\n# TYPE h histogram\n"
    assert [found.name for found in registry.collect()] == ["h", "asyncmetrics_omitted_samples"]
