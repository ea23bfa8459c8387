"""Registries made by hypothesis, a reader of expositions that knows nothing of ours, and a tally of what was judged.

The reader splits lines by the grammars of the two formats and judges nothing: that is the business of the checklists.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics import core
from asyncmetrics.errors import ExemplarError
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from tests.thoroughness import examples

_PATIENT = settings.get_profile("patient")
settings.register_profile(
    "conformance",
    _PATIENT,
    max_examples=examples(150),
    suppress_health_check=[*_PATIENT.suppress_health_check, HealthCheck.data_too_large],
)
settings.load_profile("conformance")

# ---------------------------------------------------------------------------------------------------------- the reader

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_PAIR = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_PAIRS = rf"(?:{_PAIR}(?:,{_PAIR})*)?"
_SAMPLE = re.compile(
    rf"(?P<name>{_NAME})(?:\{{(?P<labels>{_PAIRS})\}})? (?P<value>[^ #]+)(?: (?P<time>[^ #]+))?"
    rf"(?: # \{{(?P<labels2>{_PAIRS})\}} (?P<value2>[^ ]+)(?: (?P<time2>[^ ]+))?)?"
)
_COMMENT = re.compile(rf"# (?P<keyword>HELP|TYPE|UNIT) (?P<name>{_NAME}) (?P<rest>.*)", re.DOTALL)
_ONE_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def _labels(block: str | None) -> list[tuple[str, str]]:
    pairs = _ONE_PAIR.findall(block or "")
    return [(name, re.sub(r'\\[\\"n]', lambda found: _UNESCAPED[found[0]], raw)) for name, raw in pairs]


class Line(NamedTuple):
    """One line: ``keyword`` is HELP, TYPE, UNIT or EOF, "" for a sample, "?" for what is none of these."""

    keyword: str
    name: str = ""
    rest: str = ""
    labels: list[tuple[str, str]] = []
    value: str = ""
    time: str | None = None
    exemplar: tuple[list[tuple[str, str]], str, str | None] | None = None

    @property
    def number(self) -> float:
        return float(self.value)

    def label(self, name: str) -> str | None:
        return dict(self.labels).get(name)

    def child(self, *own: str) -> frozenset[tuple[str, str]]:
        """What distinguishes a child from others: the labels without those called one of ``own``."""
        return frozenset(pair for pair in self.labels if pair[0] not in own)


class Family(NamedTuple):
    """The lines between two changes of family: ``metadata`` as it came, and samples."""

    name: str
    metadata: list[Line]
    samples: list[Line]

    @property
    def type(self) -> str:
        return next((line.rest for line in self.metadata if line.keyword == "TYPE"), "unknown")

    @property
    def unit(self) -> str:
        return next((line.rest for line in self.metadata if line.keyword == "UNIT"), "")

    def called(self, suffix: str) -> list[Line]:
        return [line for line in self.samples if line.name == self.name + suffix]

    def children(self, *own: str) -> dict[frozenset[tuple[str, str]], list[Line]]:
        found: dict[frozenset[tuple[str, str]], list[Line]] = {}
        for line in self.samples:
            found.setdefault(line.child(*own), []).append(line)
        return found


class Exposition(NamedTuple):
    """A text, its lines, and its families in the order in which they are announced."""

    text: str
    lines: list[Line]
    families: list[Family]

    @property
    def samples(self) -> list[Line]:
        return [line for line in self.lines if line.keyword == ""]


def _line(raw: str) -> Line:
    if raw == "# EOF":
        return Line("EOF")
    if found := _COMMENT.fullmatch(raw):
        return Line(found["keyword"], found["name"], found["rest"])
    if found := _SAMPLE.fullmatch(raw):
        exemplar = (_labels(found["labels2"]), found["value2"], found["time2"]) if found["value2"] else None
        return Line("", found["name"], "", _labels(found["labels"]), found["value"], found["time"], exemplar)
    return Line("?", rest=raw)


def _goes_on(family: Family, line: Line) -> bool:
    """Tell whether a line goes on with a family: a sample under metadata does that is called so at its beginning."""
    is_sample = line.keyword == ""
    return line.name == family.name or (is_sample and bool(family.metadata) and line.name.startswith(family.name))


def _read(text: str) -> Exposition:
    lines = [_line(raw) for raw in text.removesuffix("\n").split("\n")] if text else []
    families: list[Family] = []
    for line in lines:
        if line.keyword in {"EOF", "?"}:
            continue
        if not families or not _goes_on(families[-1], line):
            families.append(Family(line.name, [], []))
        (families[-1].metadata if line.keyword else families[-1].samples).append(line)
    return Exposition(text, lines, families)


@pytest.fixture(scope="session")
def read():
    """Split an exposition: ``read(text)``."""
    return _read


# ------------------------------------------------------------------------------------------------------ the registries

HOSTILE = st.text(
    st.sampled_from('\\"\n\r{}#,= \t\u2028\x85\x00nEOFüé.') | st.characters(exclude_categories=["Cs"]), max_size=10
)
WILD = HOSTILE | st.sampled_from(["# EOF", "\\", '"', "\n", "a\nb 1", "\ud800", "x" * 200, '"} 1\nevil 2', "# {"])
NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,5}", fullmatch=True) | st.sampled_from(
    ["http.requests", "größe", "a_total", "a_created", "a_bucket", "a_sum", "a_info", "quantile", "le"]
)
LABEL_NAMES = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,4}", fullmatch=True) | st.sampled_from(
    ["größe", "gräße", "a.b", "a_b", "job", "_x"]  # of which some are written alike
)
UNITS = st.sampled_from(["", "", "seconds", "bytes", "ratio", "µs", "total", "info"])
NUMBERS = st.floats() | st.integers(-5, 5) | st.sampled_from([0, 1, 1e6, 1e300, -0.0])
POSITIVE = st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 10)
BOUNDS = st.lists(
    st.floats(-1e9, 1e9) | st.sampled_from([0.0, 0.5, 1.0, 1e6, 1e16]), min_size=1, max_size=4, unique=True
)
EXEMPLARS = st.none() | st.dictionaries(LABEL_NAMES, HOSTILE, max_size=2)
STATES = st.lists(WILD, min_size=1, max_size=3, unique_by=lambda text: text.replace("\ud800", "\ufffd"))
TYPES = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum")


def _shape(draw, kind):
    if kind == "Histogram":
        return {"buckets": sorted(draw(BOUNDS))}
    return {"states": draw(STATES)} if kind == "Enum" else {}


def _use(draw, kind, child):
    match kind:
        case "Counter":
            with suppress(ExemplarError):
                child.inc(draw(POSITIVE), exemplar=draw(EXEMPLARS))
        case "Gauge":
            child.set(draw(NUMBERS))
        case "Summary":
            child.observe(draw(NUMBERS))
        case "Histogram":
            with suppress(ExemplarError):
                child.observe(draw(NUMBERS), exemplar=draw(EXEMPLARS))
        case "Info":
            with suppress(ValueError):  # facts that are labels already
                child.info(draw(st.dictionaries(st.sampled_from(["version", "größe", "a.b"]), WILD, max_size=2)))


def _declare(draw, registry, kind, name):
    unit = "" if kind in {"Info", "Enum"} else draw(UNITS)
    labels = draw(st.lists(LABEL_NAMES, max_size=2, unique=True))
    context = draw(st.sampled_from([[], [], ["tenant"]]))
    options = {"context_labels": context, "unit": unit, "registry": registry, **_shape(draw, kind)}
    try:
        metric = getattr(asyncmetrics, kind)(name, draw(WILD), labels, **options)
    except ValueError:  # names that are written alike, reserved ones, an Enum's own
        return
    for values in draw(st.lists(st.tuples(*[WILD] * len(labels)), max_size=3)) if labels else [()]:
        with asyncmetrics.bound_labels(tenant=draw(WILD)):
            _use(draw, kind, metric.labels(*values) if labels else metric)


def _buckets(draw):
    bounds = [core_text(bound) for bound in sorted(draw(BOUNDS))] + draw(st.sampled_from([["+Inf"], ["+Inf"], []]))
    counts = draw(st.lists(st.integers(-1, 9) | st.just(0.5), min_size=len(bounds), max_size=len(bounds)))
    ordered = sorted(counts) if draw(st.booleans()) else counts
    exemplar = st.none() | st.builds(core.Exemplar, st.dictionaries(LABEL_NAMES, WILD, max_size=2), NUMBERS, st.none())
    return [(bound, count, draw(exemplar)) for bound, count in zip(bounds, ordered, strict=True)]


def core_text(bound: float) -> str:
    """Write a bound in one of the ways in which collectors do."""
    return f"{bound:g}" if bound == int(bound) else repr(bound)


_FAMILIES = {
    "Counter": lambda draw: (draw(NUMBERS), draw(st.none() | NUMBERS)),
    "Gauge": lambda draw: (draw(NUMBERS),),
    "Unknown": lambda draw: (draw(NUMBERS),),
    "Summary": lambda draw: (draw(NUMBERS), draw(NUMBERS)),
    "Histogram": lambda draw: (_buckets(draw), draw(st.none() | NUMBERS)),
    "GaugeHistogram": lambda draw: (_buckets(draw), draw(st.none() | NUMBERS)),
    "Info": lambda draw: (draw(st.dictionaries(LABEL_NAMES, WILD, max_size=2)),),
    "StateSet": lambda draw: (dict.fromkeys(draw(STATES), True),),
}


def _family(draw, name, times):
    kind = draw(st.sampled_from(sorted(_FAMILIES)))
    labels = draw(st.lists(LABEL_NAMES | st.sampled_from(["le", "quantile"]), max_size=2, unique=True))
    unit = {} if kind in {"Info", "StateSet"} else {"unit": draw(UNITS)}
    family = getattr(core, f"{kind}MetricFamily")(name, draw(WILD), labels=labels, **unit)
    for _ in range(draw(st.integers(0, 3))):
        content = _FAMILIES[kind](draw)
        values = draw(st.tuples(*[WILD] * len(labels)))
        if content[0] != []:
            family.add_metric(values, *content, timestamp=draw(st.none() | times))
    return family


@st.composite
def _registries(draw, times):
    target = draw(st.none() | st.dictionaries(LABEL_NAMES, WILD, min_size=1, max_size=2))
    registry = asyncmetrics.CollectorRegistry(target_info=target)
    families = []
    for index in range(draw(st.integers(0, 4))):
        name = f"{draw(NAMES)}_{index}x"  # no two of them are written alike
        if draw(st.booleans()):
            _declare(draw, registry, draw(st.sampled_from(TYPES)), name)
        else:
            families.append(_family(draw, name, times))
    if families:
        registry.register(_Collector(families))
    return registry


class _Collector:
    """A collector of an application's, which knows its names only when it is asked."""

    blocking = False

    def __init__(self, families):
        self.families = families

    def collect(self):
        return iter(self.families)


TIMES = st.floats(-1e9, 1e12) | st.builds(core.Timestamp, st.integers(0, 10**10), st.integers(0, 999_999_999))


@pytest.fixture(scope="session")
def registries():
    """Registries of every kind of metric and family, with texts that have a meaning in an exposition."""
    return _registries(TIMES)


@pytest.fixture(scope="session")
def some():
    """Make as many registries as wanted, always the same ones, with times from a strategy: ``some(40, times)``."""

    def make(count: int, times: st.SearchStrategy) -> list:
        found: list = []

        @settings(max_examples=count, derandomize=True, database=None)
        @given(_registries(times))
        def collect(registry):
            found.append(registry)

        collect()
        return found

    return make


@pytest.fixture(scope="session")
def rendered():
    """Write what is in a registry: ``rendered("text", registry)`` or ``rendered("openmetrics", registry)``."""
    forms = {"text": encode_text, "openmetrics": encode_openmetrics}

    def render(name: str, registry) -> str:
        return b"".join(forms[name](registry.collect())).decode()

    return render
