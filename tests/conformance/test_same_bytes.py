"""prometheus_client beside us, from one random description: the same bytes in the text formats, and named differences.

A description is a list of metrics and of families of a custom collector. `build` makes a registry of it with either
library, under the same names and arguments.
"""

from __future__ import annotations

import math
import re

import prometheus_client
import prometheus_client.core
import prometheus_client.openmetrics.exposition
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
import asyncmetrics.core
import asyncmetrics.prometheus_client.openmetrics.exposition
from asyncmetrics.model.escaping import escape_name

# Texts without carriage returns, which only HELP texts may not have, and without surrogates, which theirs cannot write.
TEXTS = st.text(
    st.sampled_from('\\"\n{}#,= \t\u2028\x85\x00nEOFüé.%') | st.characters(exclude_categories=["Cs"]), max_size=8
)
HELP = TEXTS.map(lambda text: text.replace("\r", ""))
LEGACY = st.sampled_from(["jobs", "jobs_done", "_x", "a:b", "Z9", "a_total", "up_created"])
OTHERS = st.sampled_from(["http.requests", "größe", "a_b.c", "jobs done".replace(" ", "é")])
LABELS = st.sampled_from(["a", "z", "method", "Z", "_y", "k1", "k_2", "ke", "l", "lf", "q", "r"])
OTHER_LABELS = LABELS | st.sampled_from(["http.route", "größe"])
UNITS = st.sampled_from(["", "", "seconds", "bytes"])
POSITIVE = st.floats(0, 1e18) | st.integers(0, 10**9) | st.sampled_from([1e6, 999999.5, 1e15, 1e16, 123456789.0])
NUMBERS = st.floats() | st.integers(-(10**9), 10**9) | POSITIVE
OBSERVED = st.floats(allow_nan=False, min_value=-1e9) | POSITIVE
TIMES = (
    st.none()
    | st.floats(0, 1e12)
    | st.integers(0, 10**10)
    | st.tuples(st.integers(0, 10**10), st.integers(0, 10**9 - 1))
)
BOUNDS = st.lists(
    st.floats(-1e9, 1e9) | st.sampled_from([0.5, 1.0, 1e6, 1e7, 2.5e16]), min_size=1, max_size=4, unique=True
)
STATES = st.lists(TEXTS, min_size=1, max_size=3, unique=True)
LIVE = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum")
CUSTOM = ("Counter", "Gauge", "Summary", "Histogram", "GaugeHistogram", "Info", "StateSet", "Unknown")


def _draw_live(draw, name, label_names):
    kind = draw(st.sampled_from(LIVE))
    options = {"documentation": draw(HELP), "labelnames": draw(st.lists(label_names, max_size=3, unique=True))}
    if kind not in {"Info", "Enum"}:
        options |= {"unit": draw(UNITS)}
    if kind == "Enum":
        options |= {"states": draw(STATES)}
        name = name.replace(":", "_")
    if kind == "Histogram":
        options |= {"buckets": sorted(draw(BOUNDS))}
    uses = {
        "Counter": st.tuples(st.just("inc"), POSITIVE),
        "Gauge": st.tuples(st.just("set"), NUMBERS),
        "Summary": st.tuples(st.just("observe"), OBSERVED),
        "Histogram": st.tuples(st.just("observe"), OBSERVED),
        "Info": st.tuples(st.just("info"), st.dictionaries(st.sampled_from(["Version", "b", "s.t", "zz"]), TEXTS)),
        "Enum": st.tuples(st.just("state"), st.sampled_from(options.get("states", [""]))),
    }[kind]
    values = [draw(st.tuples(*[TEXTS] * len(options["labelnames"]))) for _ in range(draw(st.integers(0, 3)))]
    return kind, name, options, [(labels, draw(st.lists(uses, max_size=2))) for labels in values]


def _draw_buckets(draw):
    bounds = [repr(bound) for bound in sorted(draw(BOUNDS))]
    return [(bound, count) for count, bound in enumerate([*bounds, "+Inf"])]


_CONTENTS = {
    "Counter": lambda draw: {"value": draw(POSITIVE), "created": draw(st.none() | POSITIVE)},
    "Gauge": lambda draw: {"value": draw(NUMBERS)},
    "Unknown": lambda draw: {"value": draw(NUMBERS)},
    "Summary": lambda draw: {"count_value": draw(POSITIVE), "sum_value": draw(POSITIVE)},
    "Histogram": lambda draw: {"buckets": _draw_buckets(draw), "sum_value": draw(st.none() | NUMBERS)},
    "GaugeHistogram": lambda draw: {"buckets": _draw_buckets(draw), "gsum_value": draw(NUMBERS)},
    "Info": lambda draw: {"value": draw(st.dictionaries(st.sampled_from(["Version", "b.c", "zz"]), TEXTS))},
    "StateSet": lambda draw: {"value": dict.fromkeys(draw(STATES), True)},
}


def _draw_custom(draw, name, label_names):
    kind = draw(st.sampled_from(CUSTOM))
    if kind == "StateSet":
        name = name.replace(":", "_")
    unit = {} if kind in {"Info", "StateSet"} else {"unit": draw(UNITS)}
    labels = draw(st.lists(label_names, max_size=3, unique=True))
    seen, children = set(), []
    for _ in range(draw(st.integers(0, 3))):
        values = draw(st.tuples(*[TEXTS] * len(labels)))
        if values not in seen:  # a series that occurs twice is no valid one
            seen.add(values)
            children.append((values, _CONTENTS[kind](draw), draw(TIMES)))
    strays = draw(st.lists(st.sampled_from(["_stray", "_gsum", "_created", "_count", ""]), unique=True, max_size=2))
    used = {"_gsum", "_count", "", "_created"} if kind != "Gauge" else {""}
    return kind, name, {"labels": labels, "documentation": draw(HELP), **unit}, children, sorted({*strays} - used)


@st.composite
def descriptions(draw, names=LEGACY | OTHERS, label_names=OTHER_LABELS):
    live, custom = [], []
    for index in range(draw(st.integers(1, 4))):
        name = f"{draw(names)}{index}x"
        if draw(st.booleans()):
            live.append(_draw_live(draw, name, label_names))
        else:
            custom.append(_draw_custom(draw, name, label_names))
    return live, custom


class _Collector:
    def __init__(self, families):
        self.families = families

    def collect(self):
        return iter(self.families)


def build(library, description):
    """Return a registry with what the description says, made with ``library``."""
    live, custom = description
    registry = library.CollectorRegistry()
    for kind, name, options, children in live:
        metric = getattr(library, kind)(name, registry=registry, **options)
        for values, uses in children:
            child = metric.labels(*values) if values else metric
            for method, argument in uses:
                if method != "info" or not {*argument} & {*options["labelnames"]}:
                    getattr(child, method)(argument)
    families = [_build_family(library.core, *one) for one in custom]
    if families:
        registry.register(_Collector(families))
    return registry


def _build_family(core, kind, name, options, children, strays):
    family = getattr(core, f"{kind}MetricFamily")(name, **options)
    for values, content, time in children:
        when = core.Timestamp(*time) if isinstance(time, tuple) else time
        family.add_metric(values, *content.values(), timestamp=when)
    for suffix in strays:
        core.Metric.add_sample(family, family.name + suffix, {"z": "1", "a": "2"}, 1e6, 5)
    return family


@pytest.fixture(autouse=True)
def _without_created():
    prometheus_client.disable_created_metrics()
    yield
    prometheus_client.enable_created_metrics()


@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8"])
@given(description=descriptions())
def test_the_text_formats_have_the_same_bytes(escaping, description):
    ours = asyncmetrics.generate_latest(build(asyncmetrics, description), escaping)
    assert ours.decode() == prometheus_client.generate_latest(build(prometheus_client, description), escaping).decode()


@given(description=descriptions(names=LEGACY, label_names=LABELS))
def test_under_values_names_of_the_legacy_form_have_the_same_bytes(description):
    ours, theirs = build(asyncmetrics, description), build(prometheus_client, description)
    assert asyncmetrics.generate_latest(ours, "values") == prometheus_client.generate_latest(theirs, "values")


SUFFIXES = ["", "_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"]


def _rename(text, escaping, families):
    """Return their text with our names: they escape the whole name of a sample, we the name of the family."""
    escape = prometheus_client.openmetrics.exposition.escape_metric_name
    names = {
        escape(name + suffix, escaping): escape_name(name, escaping) + suffix
        for name in families
        for suffix in SUFFIXES
    }
    return re.sub(
        r"^((?:# (?:HELP|TYPE) )?)([^\s{]+)", lambda found: found[1] + names[found[2]], text, flags=re.MULTILINE
    )


@pytest.mark.parametrize("escaping", ["dots", "values"])
@given(
    description=descriptions(label_names=st.sampled_from(["a", "z", "http.route"])).filter(
        lambda description: not any({"_stray", "_count"}.intersection(one[4]) for one in description[1])
    )
)
def test_under_dots_and_values_only_the_names_of_metrics_differ(escaping, description):
    """Theirs: ``# TYPE jobs__done__total counter``. Ours and client_golang's: ``jobs_done_total``."""
    ours, theirs = build(asyncmetrics, description), build(prometheus_client, description)
    families = [family.name for family in theirs.collect()]
    text = _rename(prometheus_client.generate_latest(theirs, escaping).decode(), escaping, families)
    kinds = {one[0] for one in (*description[0], *description[1])}
    if not kinds & {"Enum", "StateSet", "Info"}:  # whose own labels have names with `_`, which theirs escapes as well
        assert asyncmetrics.generate_latest(ours, escaping).decode() == text


def test_creation_times_of_metrics_are_gauges_after_their_family():
    description = (
        [
            (kind, f"m_{kind}", {"documentation": "", "labelnames": ["b", "a"]}, [(("x", "y"), [])])
            for kind in ("Counter", "Summary", "Histogram", "Gauge")
        ],
        [],
    )
    prometheus_client.enable_created_metrics()
    asyncmetrics.enable_created_metrics()
    try:
        texts = [lib.generate_latest(build(lib, description)).decode() for lib in (asyncmetrics, prometheus_client)]
    finally:
        asyncmetrics.disable_created_metrics()
    ours, theirs = (re.sub(r"(_created\{.*\}) \S+", r"\1 now", text) for text in texts)
    assert ours.count("_created{") == 3
    assert ours == theirs


def _collect_from(*families):
    registry = asyncmetrics.CollectorRegistry()
    registry.register(_Collector(families))
    return registry


REFUSED = {
    "a time before 1970": (lambda family: family.add_metric(["x"], 1, timestamp=-5), []),
    "the label __name__": (lambda family: family.add_sample("a", {"__name__": "b"}, 1), ["a 1.0"]),
    "a label without a name": (lambda family: family.add_sample("a", {"": "b"}, 1), ["a 1.0"]),
    "two labels with one written name": (
        lambda family: family.add_sample("a", {"c.d": "1", "c_d": "2"}, 1),
        ['a{c_d="2"} 1.0'],
    ),
    "a series that occurs twice": (lambda family: [family.add_metric(["x"], n) for n in (1, 2)], ['a{b="x"} 1.0']),
    "a series at several times": (
        lambda family: [family.add_metric(["x"], when, timestamp=when) for when in (2, 3, 1)],
        ['a{b="x"} 3.0 3000'],
    ),
    "a series with and without a time": (
        lambda family: [family.add_metric(["x"], 1, timestamp=when) for when in (2, None, 3)],
        ['a{b="x"} 1.0'],
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_a_server_refuses_is_written_otherwise(fault):
    add, lines = REFUSED[fault]
    family = asyncmetrics.core.GaugeMetricFamily("a", "", labels=["b"])
    add(family)
    text = asyncmetrics.generate_latest(_collect_from(family)).decode()
    assert [line for line in text.splitlines() if line.startswith(("a ", "a{"))] == lines


def test_a_carriage_return_in_a_help_text_is_a_blank():
    registry = asyncmetrics.CollectorRegistry()
    asyncmetrics.Gauge("a", "one\r\ntwo", registry=registry)
    assert b"# HELP a one \\ntwo\n" in asyncmetrics.generate_latest(registry)


# ---------------------------------------------------------------------------------------------------------- OpenMetrics


def _write_openmetrics(description):
    return (
        asyncmetrics.prometheus_client.openmetrics.exposition.generate_latest(
            build(asyncmetrics, description)
        ).decode(),
        prometheus_client.openmetrics.exposition.generate_latest(build(prometheus_client, description)).decode(),
    )


def _is_plain(description):
    """Return whether a description has nothing that the two write differently in OpenMetrics."""
    live, custom = description
    return not custom and all(_is_plain_metric(*one) for one in live)


def _is_plain_metric(kind, name, options, children):
    amounts = [argument for _, uses in children for _, argument in uses]
    if kind in {"Summary", "Histogram"} and not all(0 <= amount < math.inf for amount in amounts):
        return False  # a sum that is negative or NaN
    return ":" not in name and "." not in name and (kind != "Histogram" or options["buckets"][0] >= 0)


@given(description=descriptions().filter(_is_plain))
def test_openmetrics_has_the_same_bytes_for_metrics(description):
    ours, theirs = _write_openmetrics(description)
    assert ours == theirs


def _family(core, kind, *samples, name="a", **options):
    family = core.Metric(name, "", kind, **options)
    for sample in samples:
        family.add_sample(*sample)
    return family


# What each library writes for a family: the lines of the samples, and the metadata where these differ.
DIFFERENCES = {
    "a counter is never negative or NaN": (
        lambda core: _family(core, "counter", ("a_total", {}, -1.0)),
        [],
        ["a_total -1.0"],
    ),
    "a sum is never negative, and a histogram has no count without it": (
        lambda core: _family(
            core, "histogram", ("a_bucket", {"le": "+Inf"}, 1.0), ("a_count", {}, 1.0), ("a_sum", {}, -1.0)
        ),
        ['a_bucket{le="+Inf"} 1.0'],
        ['a_bucket{le="+Inf"} 1.0', "a_count 1.0", "a_sum -1.0"],
    ),
    "a histogram has its last bucket": (
        lambda core: _family(core, "histogram", ("a_bucket", {"le": "1.0"}, 1.0)),
        [],
        ['a_bucket{le="1.0"} 1.0'],
    ),
    "bounds are canonical": (
        lambda core: _family(
            core, "histogram", ("a_bucket", {"le": "-10000000.0"}, 1.0), ("a_bucket", {"le": "+Inf"}, 1.0)
        ),
        ['a_bucket{le="-1e+07"} 1.0', 'a_bucket{le="+Inf"} 1.0'],
        ['a_bucket{le="-10000000.0"} 1.0', 'a_bucket{le="+Inf"} 1.0'],
    ),
    "the samples of one series of a histogram stand together": (
        lambda core: _family(
            core,
            "gaugehistogram",
            ("a_bucket", {"le": "+Inf", "b": "1"}, 1.0),
            ("a_bucket", {"le": "+Inf", "b": "2"}, 1.0),
            ("a_gcount", {"b": "1"}, 1.0),
            ("a_gsum", {"b": "1"}, 2.0),
        ),
        ['a_bucket{b="1",le="+Inf"} 1.0', 'a_gcount{b="1"} 1.0', 'a_gsum{b="1"} 2.0', 'a_bucket{b="2",le="+Inf"} 1.0'],
        ['a_bucket{b="1",le="+Inf"} 1.0', 'a_bucket{b="2",le="+Inf"} 1.0', 'a_gcount{b="1"} 1.0', 'a_gsum{b="1"} 2.0'],
    ),
    "the value of an info is 1": (lambda core: _family(core, "info", ("a_info", {}, 2.0)), [], ["a_info 2.0"]),
    "a state is 0 or 1": (lambda core: _family(core, "stateset", ("a", {"a": "b"}, 2.0)), [], ['a{a="b"} 2.0']),
    "a quantile is from 0 to 1": (
        lambda core: _family(core, "summary", ("a", {"quantile": "2"}, 1.0)),
        [],
        ['a{quantile="2"} 1.0'],
    ),
    "a series is written once": (
        lambda core: _family(core, "gauge", ("a", {}, 1.0), ("a", {}, 2.0)),
        ["a 1.0"],
        ["a 1.0", "a 2.0"],
    ),
    "a sample of no type of the family is a family of its own at the end": (
        lambda core: _family(core, "gauge", ("b", {}, 1.0), ("a", {}, 2.0)),
        ["a 2.0", "# HELP b ", "# TYPE b unknown", "b 1.0"],
        ["b 1.0", "a 2.0"],
    ),
    "a time is a float": (lambda core: _family(core, "gauge", ("a", {}, 1.0, 5)), ["a 1.0 5.0"], ["a 1.0 5"]),
    "a unit is the end of the name": (
        lambda core: _rename_family(_family(core, "gauge", unit="seconds"), "b"),
        [],
        ["# UNIT b seconds"],
    ),
    "a colon in a name that is escaped": (
        lambda core: _family(core, "gauge", ("a:b.c", {}, 1.0), name="a:b.c"),
        ["a:b_c 1.0"],
        ["a_b_c 1.0"],
    ),
    "an exemplar is left out where none is allowed": (
        lambda core: _family(core, "gauge", ("a", {}, 1.0, None, core.Exemplar({"b": "c"}, 1.0))),
        ["a 1.0"],
        ValueError,
    ),
    "an exemplar has at most 128 characters": (
        lambda core: _family(core, "counter", ("a_total", {}, 1.0, None, core.Exemplar({"b": "c" * 128}, 1.0))),
        ["a_total 1.0"],
        [f'a_total 1.0 # {{b="{"c" * 128}"}} 1.0'],
    ),
    "the names of an exemplar's labels are escaped": (
        lambda core: _family(core, "counter", ("a_total", {}, 1.0, None, core.Exemplar({"b.c": "d"}, 1.0))),
        ['a_total 1.0 # {b_c="d"} 1.0'],
        ['a_total 1.0 # {b.c="d"} 1.0'],
    ),
}


def _rename_family(family, name):
    family.name = name
    return family


def _list_lines(library, make):
    registry = library.CollectorRegistry()
    registry.register(_Collector([make(library.core)]))
    generate = {
        asyncmetrics: asyncmetrics.prometheus_client.openmetrics.exposition.generate_latest,
        prometheus_client: prometheus_client.openmetrics.exposition.generate_latest,
    }[library]
    return generate(registry).decode().removesuffix("# EOF\n").splitlines()[2:]


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_openmetrics_differs_in_this(difference):
    make, ours, theirs = DIFFERENCES[difference]
    assert _list_lines(asyncmetrics, make) == ours
    if theirs is ValueError:
        with pytest.raises(ValueError, match="exemplars"):
            _list_lines(prometheus_client, make)
    else:
        assert _list_lines(prometheus_client, make) == theirs


def test_openmetrics_has_no_count_for_a_histogram_with_a_negative_bound():
    """OpenMetrics 1.0, "Histogram": with a negative bound there is no sum, and no count without a sum."""
    description = [("Histogram", "a", {"documentation": "", "labelnames": [], "buckets": [-1.0]}, [])], []
    ours, theirs = _write_openmetrics(description)
    assert {*theirs.split("\n")} - {*ours.split("\n")} == {"a_count 0.0"}


def test_under_dots_and_values_theirs_escapes_the_legacy_names_of_openmetrics():
    """Their samples do not belong to their TYPE line then."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("jobs_done", "", registry=registry)
    theirs = prometheus_client.openmetrics.exposition.generate_latest(registry, "values").decode()
    assert "# TYPE jobs_done counter\nU__jobs__done__total 0.0\n" in theirs
    registry = asyncmetrics.CollectorRegistry()
    asyncmetrics.Counter("jobs_done", "", registry=registry)
    ours = asyncmetrics.prometheus_client.openmetrics.exposition.generate_latest(registry, "values").decode()
    assert "# HELP jobs_done \n# TYPE jobs_done counter\njobs_done_total 0.0\n" in ours
