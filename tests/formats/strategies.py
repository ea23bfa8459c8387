"""Families from hypothesis, valid in one format or the other, with hostile texts, and expositions as one string.

A parser returns these families equal. In both formats: samples with a suffix of their family's
type, no series twice, HELP without carriage returns, no family whose samples are named like another's. Text 0.0.4: the
types that it has, no unit, times in whole milliseconds from 1970 on, no ``_created`` and no exemplars. OpenMetrics: the
samples of a child together and in the order of their times, histograms complete, canonical ``le`` and ``quantile``,
exemplars without NUL and within their bucket, times as `Timestamp` or as float. Names need a legacy spelling, or
``allow-utf-8``.
"""

from __future__ import annotations

from itertools import accumulate

from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, Metric, Sample, Timestamp
from asyncmetrics.model.descriptor import format_bound

# Texts with all characters that have a meaning in an exposition.
HOSTILE = st.text(
    st.sampled_from('\\"\n\r{}#,= \t\u2028\x85\x00nEOFü') | st.characters(exclude_categories=["Cs"]), max_size=12
)
LEGACY = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True)
UTF8 = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from('."\\ {}'), min_size=1, max_size=6)
_OWN = {"le", "quantile"}
LABEL_NAMES = LEGACY.filter(lambda name: name not in _OWN and not name.startswith("__"))  # which belong to Prometheus
UTF8_LABELS = UTF8.filter(lambda name: name not in _OWN)
HELP = HOSTILE.map(lambda text: text.replace("\r", ""))
ANY = st.floats(allow_nan=False)
COUNTS = st.floats(min_value=0, allow_nan=False)
WHOLE = st.integers(0, 10**6).map(float)
# Times in milliseconds are cut in text, as in prometheus_client: of other years than ours some lose a millisecond.
MILLISECONDS = st.integers(1_600_000_000_000, 1_800_000_000_000).map(lambda number: number / 1000)
EXACT = st.builds(Timestamp, st.integers(0, 10**12), st.integers(0, 999_999_999))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT_TYPES = ("counter", "gauge", "summary", "histogram", "unknown")
ALL_TYPES = (*TEXT_TYPES, "gaugehistogram", "info", "stateset")


@st.composite
def _exemplars(draw, times):
    labels = draw(st.dictionaries(LEGACY, HOSTILE.map(lambda text: text.replace("\x00", "")), max_size=3))
    return Exemplar(labels, draw(ANY), draw(st.none() | times))


def _within(exemplar, bound):
    return exemplar and exemplar._replace(value=min(exemplar.value, bound))


def _buckets(draw, name, labels, time, exemplars):
    start = draw(st.sampled_from([-1.5, 0.0, 0.25]))
    bounds = [*accumulate([start, *draw(st.lists(st.floats(0.5, 1e9), max_size=3))]), float("inf")]
    counts = accumulate(draw(st.lists(st.integers(0, 10**6), min_size=len(bounds), max_size=len(bounds))))
    return bounds[0] < 0, [
        Sample(
            f"{name}_bucket", {**labels, "le": format_bound(bound)}, float(count), time, _within(draw(exemplars), bound)
        )
        for bound, count in zip(bounds, counts, strict=True)
    ]


@st.composite
def _child(draw, kind, name, labels, time, exemplars, created):
    match kind:
        case "counter":
            samples = [Sample(f"{name}_total", labels, draw(COUNTS), time, draw(exemplars))]
        case "gauge" | "unknown":
            samples = [Sample(name, labels, draw(ANY), time)]
        case "info":
            facts = draw(st.dictionaries(LABEL_NAMES, HOSTILE, max_size=3))
            samples = [Sample(f"{name}_info", {**labels, **facts}, 1.0, time)]
        case "stateset":
            samples = [Sample(name, {**labels, name: state}, float(state == "on"), time) for state in ("on", "off")]
        case "summary":
            quantiles = [Sample(name, {**labels, "quantile": text}, draw(COUNTS), time) for text in ("0.5", "1.0")]
            totals = [
                Sample(f"{name}_count", labels, draw(WHOLE), time),
                Sample(f"{name}_sum", labels, draw(COUNTS), time),
            ]
            samples = quantiles + totals
        case _:
            negative, samples = _buckets(draw, name, labels, time, exemplars)
            count_name, sum_name = ("_gcount", "_gsum") if kind == "gaugehistogram" else ("_count", "_sum")
            if not negative or kind == "gaugehistogram":
                samples.append(Sample(name + count_name, labels, samples[-1].value, time))
                samples.append(Sample(name + sum_name, labels, draw(COUNTS), time))
    if created and kind in {"counter", "summary", "histogram"} and draw(st.booleans()):
        samples.append(Sample(f"{name}_created", labels, draw(COUNTS), time))
    return samples


def _distinct(children, name):
    """Return label sets without the label ``name``, each once."""
    plain = [{key: text for key, text in labels.items() if key != name} for labels in children]
    return {tuple(sorted(labels.items())): labels for labels in plain}.values()


@st.composite
def make_families(draw, types, times, *, names=LEGACY, label_names=LABEL_NAMES, openmetrics):
    exemplars = st.none() | _exemplars(times) if openmetrics else st.none()
    families = []
    for index, kind in enumerate(draw(st.lists(st.sampled_from(types), max_size=4))):
        has_unit = openmetrics and kind not in {"info", "stateset"}
        unit = draw(st.sampled_from(["", "seconds", "bytes"])) if has_unit else ""
        # A number and a letter keep the samples of two families from having one name.
        name = f"{draw(names)}{index}x"
        if kind == "stateset" and name.startswith("__"):  # it is also the name of a label
            name = f"s{name}"
        family = Metric(name, draw(HELP), kind, unit)
        most = 1 if kind == "info" else 3  # the facts of an info are labels, which might make two children one
        children = draw(st.lists(st.dictionaries(label_names, HOSTILE, max_size=3), max_size=most))
        for labels in _distinct(children, family.name):
            time = draw(st.none() | times)
            family.samples += draw(_child(kind, family.name, labels, time, exemplars, openmetrics))
        families.append(family)
    return families
