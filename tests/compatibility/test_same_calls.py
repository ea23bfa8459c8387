"""The same calls on both libraries: the same samples, the same kind of exception, whatever is called in which order."""

from __future__ import annotations

from math import inf

import prometheus_client
import prometheus_client.core
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asyncmetrics
import asyncmetrics.core
from asyncmetrics import prometheus_client as drop_in
from tests.compatibility.libraries import part
from tests.thoroughness import examples

KINDS = (ValueError, TypeError, KeyError, AttributeError)
VALUES = st.sampled_from(["a", "b", "", 'q"\\\n', 1, 2.5, None, True])
LABELS = st.lists(VALUES, max_size=3).map(tuple)
NAMED = st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES, max_size=3)
AMOUNTS = st.floats(-5, 1e6) | st.integers(-5, 10**6) | st.sampled_from([inf, "1", None, [], True])
NUMBERS = st.floats(-5, 1e6) | st.integers(-5, 10**6) | st.sampled_from([inf, -inf, None, [], True])
FINITE = st.floats(-5, 1e6) | st.integers(-5, 10**6) | st.sampled_from([None, [], "one"])
EXEMPLARS = st.none() | st.sampled_from([{}, {"trace_id": "abc"}, {"trace_id": "x" * 129}])
NAMES = ("c", "g", "s", "h", "i", "e")
BOTH = pytest.mark.parametrize("ours", [asyncmetrics, drop_in], ids=["roof", "drop-in"])


@pytest.fixture(scope="module", autouse=True)
def _no_created_samples():
    for library in (prometheus_client, drop_in):
        library.disable_created_metrics()
    yield
    for library in (prometheus_client, drop_in):
        library.enable_created_metrics()


def metrics(library, labelnames):
    """Declare one metric of each type."""
    registry = library.CollectorRegistry()
    options = {"labelnames": labelnames, "registry": registry}
    made = {
        "c": library.Counter("c_total", "C.", **options),
        "g": library.Gauge("g", "G.", **options),
        "s": library.Summary("s", "S.", **options),
        "h": library.Histogram("h", "H.", buckets=[0, 1, "2.5"], **options),
        "i": library.Info("i", "I.", **options),
        "e": library.Enum("e", "E.", states=["on", "off"], **options),
    }
    return registry, made


# What is called: of which metrics, on the metric or on a child of it, with which arguments.
ON_CHILDREN = {
    "inc": ("cg", st.tuples(FINITE)),
    "dec": ("g", st.tuples(FINITE)),
    "set": ("g", st.tuples(NUMBERS)),
    "observe": ("sh", st.tuples(st.floats(-5, 1e6) | st.integers(-5, 10**6))),  # theirs counts what it refuses
    "reset": ("c", st.just(())),
    "state": ("e", st.tuples(st.sampled_from(["on", "off", "broken", None]))),
    "info": (
        "i",
        st.tuples(st.dictionaries(st.sampled_from(["v", "w", "x"]), st.sampled_from(["1", None]), max_size=2)),
    ),
}
ON_METRICS = {
    "remove": LABELS,
    "remove_by_labels": st.tuples(NAMED.map(lambda found: found or None)),
    "clear": st.just(()),
}


@st.composite
def calls(draw):
    if draw(st.integers(0, 3)) == 0:
        method = draw(st.sampled_from(sorted(ON_METRICS)))
        return draw(st.sampled_from(NAMES)), None, method, draw(ON_METRICS[method])
    method = draw(st.sampled_from(sorted(ON_CHILDREN)))
    owners, arguments = ON_CHILDREN[method]
    return draw(st.sampled_from(owners)), draw(LABELS | NAMED), method, draw(arguments)


def outcome(work):
    """What comes of a call: its kind of exception, if any."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return next((kind for kind in KINDS if isinstance(error, kind)), type(error))
    return None


def perform(made, call):
    name, labels, method, arguments = call
    target = made[name]
    if labels is not None:
        target = target.labels(**labels) if isinstance(labels, dict) else target.labels(*labels)
    getattr(target, method)(*arguments)


def samples(registry):
    found = [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in registry.collect()
        if not family.name.startswith("asyncmetrics_")
        for sample in family.samples
    ]
    return sorted(found, key=repr)


@BOTH
@settings(max_examples=examples(300))
@given(program=st.lists(calls(), max_size=12))
def test_calls_on_labelled_metrics(ours, program):
    (our_registry, made), (their_registry, theirs) = (
        metrics(library, ["x", "y"]) for library in (ours, prometheus_client)
    )
    for call in program:
        mine, other = outcome(lambda call=call: perform(made, call)), outcome(lambda call=call: perform(theirs, call))
        assert mine == other, call
    assert samples(our_registry) == samples(their_registry)


@BOTH
@settings(max_examples=examples(200))
@given(program=st.lists(calls(), max_size=12))
def test_calls_on_metrics_without_labels(ours, program):
    (our_registry, made), (their_registry, theirs) = (metrics(library, ()) for library in (ours, prometheus_client))
    for name, _, method, arguments in program:
        call = (name, None, method, arguments)
        mine, other = outcome(lambda call=call: perform(made, call)), outcome(lambda call=call: perform(theirs, call))
        assert mine == other, call
    assert samples(our_registry) == samples(their_registry)


@BOTH
@settings(max_examples=examples(200))
@given(
    amounts=st.lists(st.tuples(st.floats(0, 1e6), EXEMPLARS), max_size=5),
    kind=st.sampled_from(["Counter", "Histogram"]),
)
def test_exemplars(ours, amounts, kind):
    """But that one which is refused costs its observation: prometheus_client raises after it has counted."""
    found = []
    for library in (ours, prometheus_client):
        registry = library.CollectorRegistry()
        metric = getattr(library, kind)("m", "M.", registry=registry)
        use = metric.inc if kind == "Counter" else metric.observe
        outcomes = [outcome(lambda a=amount, e=exemplar: use(a, exemplar=e)) for amount, exemplar in amounts]
        (family,) = registry.collect()
        found.append((outcomes, [sample.exemplar and sample.exemplar[:2] for sample in family.samples]))
    assert found[0] == found[1]


DECLARATIONS = {
    "names": st.sampled_from(["a", "a_total", "a_seconds", "", "1a", "a:b", "é", None]),
    "labelnames": st.sampled_from([(), ["x"], ["x", "y"], ["le"], ["__x"], ["quantile"]]),
    "namespace": st.sampled_from(["", "ns"]),
    "subsystem": st.sampled_from(["", "sub"]),
    "unit": st.sampled_from(["", "seconds", "total"]),
}


@BOTH
@settings(max_examples=examples(300))
@given(kind=st.sampled_from(["Counter", "Gauge", "Summary", "Histogram", "Info", "Enum"]), data=st.data())
def test_declarations(ours, kind, data):
    """The same names come of the same arguments, and the same label names are refused."""
    name = data.draw(st.sampled_from(["a", "a_total", "a_seconds", "a_info", "", "a:b", "é"]))
    options = {key: data.draw(values) for key, values in DECLARATIONS.items() if key != "names"}
    if kind == "Enum":
        name = name.replace(":", "_")  # no label can be called so, and the states' would be
        options["states"] = data.draw(st.sampled_from([["on", "off"], ["on"], None, []]))
    if kind == "Histogram":
        options["buckets"] = data.draw(st.sampled_from([[1, 2], [2, 1], [], [inf], ["1", "+Inf"], [-1, 1]]))
    if kind == "Summary" and "quantile" in options["labelnames"]:
        options["labelnames"] = ()
    families = []
    for library in (ours, prometheus_client):
        registry = library.CollectorRegistry()
        declare = lambda library=library, registry=registry: getattr(library, kind)(  # noqa: E731
            name, "Help.", registry=registry, **options
        )
        failed = outcome(declare)
        families.append(failed or [(f.name, f.type, f.unit, f.documentation) for f in registry.collect()])
    assert families[0] == families[1]


FAMILIES = ("Counter", "Gauge", "Summary", "Histogram", "GaugeHistogram", "Info", "StateSet", "Unknown", "Untyped")
CONTENT = {
    "Counter": [(1,), (2.5, 7.0), (2.5, 7.0, 9.0)],
    "Gauge": [(1,), (2.5, 9.0)],
    "Unknown": [(1,), (2.5, 9.0)],
    "Untyped": [(1,), (2.5, 9.0)],
    "Summary": [(1, 2.5), (1, 2.5, 9.0)],
    "Histogram": [([("1.0", 1), ("+Inf", 2)], 3.5), ([("-1.0", 1), ("+Inf", 2)], 3.5), ([("+Inf", 2)], None)],
    "GaugeHistogram": [([("1.0", 1), ("+Inf", 2)], 3.5), ([("-1.0", 1), ("+Inf", 2)], 3.5, 9.0)],
    "Info": [({"v": "1"},), ({},)],
    "StateSet": [({"on": True, "off": False},), ({},)],
}


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labelled", [False, True])
def test_families_of_custom_collectors(ours, family, labelled):
    for arguments in CONTENT[family]:
        found = []
        for library in (ours, prometheus_client):
            made = getattr(part(library, "core"), f"{family}MetricFamily")(
                "a_total", "A.", labels=["x"] if labelled else None
            )
            made.add_metric(["1"] if labelled else [], *arguments)
            found.append((made.name, made.type, made.unit, made.documentation, [s[:5] for s in made.samples]))
        assert found[0] == found[1]


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_one_number(ours, family):
    found = []
    for library in (ours, prometheus_client):
        arguments = CONTENT[family][0]
        made = getattr(part(library, "core"), f"{family}MetricFamily")("a", "A.", *arguments)
        found.append([sample[:5] for sample in made.samples])
    assert found[0] == found[1]


@BOTH
@pytest.mark.parametrize("names", [["c_total"], ["h_bucket", "g"], ["h_sum"], ["i_info", "e"], ["nothing"], []])
def test_restricted_registries(ours, names):
    found = []
    for library in (ours, prometheus_client):
        registry, made = metrics(library, ())
        made["h"].observe(2)
        found.append(samples(registry.restricted_registry(names)))
    assert found[0] == found[1]


@BOTH
@pytest.mark.parametrize("labels", [None, {}, {"env": "test"}])
def test_target_info(ours, labels):
    found = []
    for library in (ours, prometheus_client):
        registry = library.CollectorRegistry(target_info=labels)
        found.append((samples(registry), registry.get_sample_value("target_info", labels)))
        registry.set_target_info({"env": "other"})
        taken = outcome(lambda registry=registry, library=library: library.Info("target", "T.", registry=registry))
        found[-1] += (samples(registry), taken, registry.get_target_info())
    assert found[0] == found[1]


@BOTH
def test_registering_twice_and_unregistering_what_is_not_there(ours):
    found = []
    for library in (ours, prometheus_client):
        registry, made = metrics(library, ())
        twice = outcome(lambda r=registry, m=made: r.register(m["c"]))
        registry.unregister(made["c"])
        again = outcome(lambda r=registry, m=made: r.unregister(m["c"]))
        found.append((twice, again, registry.get_sample_value("c_total"), registry.get_sample_value("g")))
    assert found[0] == found[1] == (ValueError, KeyError, None, 0.0)


@BOTH
@pytest.mark.parametrize("times", [(1, 0), (1, 5), (-1, 5), (1, 999_999_999)])
@pytest.mark.parametrize("others", [(1, 0), (2, 0), (-2, 5)])
def test_timestamps(ours, times, others):
    found = []
    for library in (ours, prometheus_client):
        one, other = part(library, "core").Timestamp(*times), part(library, "core").Timestamp(*others)
        found.append((float(one), repr(one), one == other, one < other, one > other))
    assert found[0] == found[1]
