"""The readers beside prometheus_client's and a Prometheus server: the same families, samples and errors.

The module `verdicts` has the differences.
"""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as their_openmetrics
from prometheus_client.parser import text_string_to_metric_families as their_text

from asyncmetrics.errors import ParseError
from asyncmetrics.prometheus_client.openmetrics.parser import text_string_to_metric_families as our_openmetrics
from asyncmetrics.prometheus_client.parser import text_string_to_metric_families as our_text
from tests.formats.reading.verdicts import VERDICTS
from tests.patience import wait_until
from tests.servers.prometheus_server import make_job, run_prometheus

OURS = {"text": our_text, "openmetrics": our_openmetrics}
THEIRS = {"text": their_text, "openmetrics": their_openmetrics}
CONTENT_TYPES = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
THEIR_ERRORS = (ValueError, TypeError, AttributeError, KeyError)  # some of them by accident
REFUSED = "refused"
# They join no lines that are apart, and do not have two families of one name and type as one.
APART = ('# TYPE a gauge\na 1\nb 1\na{c="d"} 1', "a 1\n# TYPE a gauge", "# HELP a b\n# HELP a c\na 1")


def plain(families):
    """Return the comparable content of families of either library, successive ones of one name and type as one."""
    rows = [
        (family.name, family.type, family.documentation, family.unit, [*map(plain_sample, family.samples)])
        for family in families
    ]
    joined = [(key, list(group)) for key, group in groupby(rows, lambda row: row[:2])]
    return [(*key, *group[-1][2:4], [sample for row in group for sample in row[4]]) for key, group in joined]


def plain_sample(sample):
    exemplar = sample.exemplar and (
        sample.exemplar.labels, repr(float(sample.exemplar.value)), plain_time(sample.exemplar.timestamp)
    )  # fmt: skip
    return sample.name, sample.labels, repr(float(sample.value)), plain_time(sample.timestamp), exemplar


def plain_time(timestamp):
    return (timestamp.sec, timestamp.nsec) if hasattr(timestamp, "sec") else timestamp


def read_theirs(form, text):
    try:
        return plain(THEIRS[form](text))
    except THEIR_ERRORS:
        return REFUSED


def read_ours(form, text):
    """Return what our reader returns, or `REFUSED` and its reason."""
    try:
        return plain(OURS[form](text)), ""
    except ParseError as error:
        return REFUSED, error.problem


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: f"{verdict.format}: {verdict.body!r}")
def test_the_verdicts_are_true_of_both_libraries(verdict):
    theirs, (ours, _) = read_theirs(verdict.format, verdict.text), read_ours(verdict.format, verdict.text)
    assert (theirs != REFUSED, ours != REFUSED) == (verdict.theirs, verdict.ours)
    if verdict.theirs and verdict.ours and verdict.body not in APART:
        assert ours == theirs


# ------------------------------------------------------------------------------------------------- random expositions

LABELS = st.lists(
    st.sampled_from(['b="c"', 'b=""', r'd="\\\n\"\x"', 'd="# {},="', 'le="1"', 'quantile="0.5"']),
    max_size=2,
    unique=True,
).map(",".join)
NUMBERS = st.sampled_from(["1", "0", "2", "3", "0.5", "5.", "1e3", "1E+06", "+Inf", "-1", "NaN", "1_0", "0x1", "x", ""])
BAD_LABELS = st.sampled_from(["b", "b=c", 'b="c"d="e"', 'b="c', '1="c"', 'b="c",,', 'b="c",b="c"', '"'])


def make_sample(name, labels, value, rest=""):
    return f"{name}{{{labels}}} {value}{rest}" if labels else f"{name} {value}{rest}"


@st.composite
def text_families(draw, name):
    """Draw the lines of one family of text 0.0.4, faults included, and samples with its name and another suffix."""
    kind = draw(st.sampled_from(["counter", "gauge", "summary", "histogram", "untyped", "", "fast"]))
    metadata = [f"# TYPE {name} {kind}"] if kind else []
    metadata += draw(
        st.lists(st.sampled_from([f"# HELP {name} \t x  y ", f"# HELP {name} \\n\\\\\\q", "# c"]), max_size=2)
    )
    suffixes = {"summary": ["", "_sum", "_count"], "histogram": ["_bucket", "_sum", "_count"]}.get(kind, [""])
    labels = draw(st.sampled_from([LABELS, LABELS, LABELS, BAD_LABELS]))
    times = st.sampled_from(["", "", " 1000", "\t1234567890123", " 000", " 9223372036854775807", " x"])
    samples = draw(
        st.lists(st.builds(make_sample, st.sampled_from(suffixes).map(name.__add__), labels, NUMBERS, times))
    )
    strays = st.sampled_from([f"{name}{suffix}" for suffix in ("_total", "_created", "_x", "_info")])
    if metadata == ["# c"] * len(metadata):  # without metadata each sample is a family of theirs
        samples, strays = [], st.just(name)
    stray = draw(st.lists(st.builds(make_sample, strays, LABELS, st.just("1")), max_size=1))
    return [*draw(st.permutations(metadata)), *draw(st.sampled_from([[], [""]])), *samples, *stray]


@given(lines=st.tuples(*[text_families(f"a{number}") for number in range(2)]))
def test_text_expositions_are_read_the_same(lines):
    text = "\n".join([*lines[0], *lines[1], ""])
    assert read_ours("text", text)[0] == read_theirs("text", text), text


HISTOGRAM = ['a_bucket{le="1"} 1', 'a_bucket{le="2.0"} 2', 'a_bucket{le="+Inf"} 3', "a_count 3", "a_sum 2"]
NEGATIVE = ['a_bucket{le="-1"} 1', 'a_bucket{le="+Inf"} 3']
AGES = [*HISTOGRAM[:3], "a_gcount 3", "a_gsum 2"]
POOLS = {
    "counter": ["a_total 1", 'a_total{b="c"} 2 1.5', 'a_total{b="c"} 3 2', "a_created 1", "a_total -1", "a_total NaN"],
    "gauge": ["a 1", 'a{b="c"} NaN 1', 'a{b="c"} -1 1.0000000001', 'a{b="c"} 5 10', 'a{b="d"} 1', "a_total 1"],
    "summary": ['a{quantile="0.5"} 1', 'a{quantile="2"} 1', "a_count 2", "a_sum 3", "a_sum -1", 'a_count{b="c"} 0.5'],
    "histogram": [
        *HISTOGRAM,
        *NEGATIVE,
        *(line.replace("{", '{b="c",') for line in HISTOGRAM[:3]),
        'a_bucket{le="x"} 1',
    ],
    "gaugehistogram": [*AGES, *NEGATIVE, "a_gsum -1", "a_gsum NaN"],
    "info": ['a_info{b="c"} 1', 'a_info{b="d"} 1', "a_info 2", "a 1"],
    "stateset": ['a{a="x"} 0', 'a{a="y"} 1', 'a{a="x",b="c"} 1', 'a{a="x"} 2', "a 1"],
    "unknown": ["a 1", 'a{b="c"} 1 5', 'a{b="c"} 1 5', 'a{b="c"} 1 4', "a_sum 1"],
}
EXEMPLARS = ["", "", "", ' # {id="x y"} 0.5', " # {} 1 1.5", " # {} 1 x", ' # {id="x"}']
OTHERS = [
    "# HELP a x",
    '# HELP a   \\n\\\\\\"',
    "# UNIT a ",
    "# UNIT a s",
    "# TYPE a gauge",
    "b 1",
    "a_created 1",
    "# HELP b",
    "",
]
# What OpenMetrics demands and theirs does not, see the module `verdicts`.
OUR_RULES = re.compile(r"this sample occurs twice|an exemplar lies within its bucket|.* has no label (le|quantile)")


@st.composite
def openmetrics_expositions(draw):
    """Draw a family whose samples are some of a valid one, often in their order, with other lines between them."""
    kind = draw(st.sampled_from(sorted(POOLS)))
    pool = POOLS[kind]
    chosen = draw(st.lists(st.integers(0, len(pool) - 1), max_size=len(pool), unique=draw(st.booleans())))
    samples = [pool[index] for index in (sorted(chosen) if draw(st.booleans()) else chosen)]
    lines = [f"# TYPE a {kind}", *(line + draw(st.sampled_from(EXEMPLARS)) for line in samples)]
    for other in draw(st.lists(st.sampled_from(OTHERS), max_size=1)):
        lines.insert(draw(st.integers(0, len(lines))), other)
    return "\n".join([*lines, "# EOF", ""])


@given(text=openmetrics_expositions())
def test_openmetrics_expositions_are_read_the_same(text):
    ours, problem = read_ours("openmetrics", text)
    assert ours == read_theirs("openmetrics", text) or OUR_RULES.match(problem), problem or text


# ------------------------------------------------------------------------------------------------ a Prometheus server


@pytest.fixture(scope="module")
def health(tmp_path_factory):
    """A function that returns the state of the target for each verdict: ``up``, or the error of its last scrape."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            verdict = VERDICTS[int(self.path[1:])]
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPES[verdict.format])
            self.end_headers()
            self.wfile.write(verdict.text.encode())

        def log_message(self, *_):
            pass

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever).start()
        stack.callback(server.shutdown)
        jobs = [make_job(str(i), f"http://127.0.0.1:{server.server_port}", f"/{i}") for i in range(len(VERDICTS))]
        prometheus = stack.enter_context(run_prometheus(tmp_path_factory.mktemp("prometheus"), jobs, "2s"))

        def read():
            targets = prometheus.targets()
            return {int(target["scrapePool"]): target["lastError"] or target["health"] for target in targets}

        yield read


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.xdist_group("verdicts")
def test_the_verdicts_are_true_of_prometheus(health):
    """Each target is scraped every 2 s: on a busy machine, one of the scrapes may fail or get no body."""

    def list_wrong():
        states = health()
        found = {verdict: states.get(index, "unknown") for index, verdict in enumerate(VERDICTS)}
        return [
            (verdict, state)
            for verdict, state in found.items()
            if state == "unknown" or "deadline exceeded" in state or (state == "up") is not verdict.prometheus
        ]

    assert wait_until(list_wrong, lambda wrong: not wrong) == []
