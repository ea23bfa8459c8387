"""Megabytes of a text or of a family cost time that grows with their length, and no faster.

An entry of a table makes an input of ``n`` parts. What a request or an application brings is in the module
`test_linear_requests`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from asyncmetrics.core import Exemplar, Metric, Timestamp
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.reading.text import parse_prometheus
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.escaping import ESCAPING_SCHEMES

Call = Callable[[], object]


def test_assert_linear_fails_where_the_time_is_cubic(assert_linear):
    """These tests can fail. The time is cubic, because other work on the machine may hide a quadratic one."""
    with pytest.raises(pytest.fail.Exception, match="times as long"):
        assert_linear(lambda n: lambda: [None for _ in range(n) for _ in range(n) for _ in range(n)], 30)


def lines(line: Callable[[int], str], n: int) -> str:
    return "\n".join(map(line, range(n)))


# Some of them are no expositions: how long it takes to refuse them is the question as well.
TEXTS: dict[str, Callable[[int], str]] = {
    "number": lambda n: "a " + "1" * n,
    "number and a letter": lambda n: "a " + "1" * n + "x",
    "number with a point": lambda n: "a " + "1" * n + "." + "1" * n + "x",
    "number with an exponent": lambda n: "a 1e" + "1" * n + "x",
    "fraction": lambda n: "a ." + "0" * n + "1",
    "timestamp": lambda n: "a 1 " + "1" * n,
    "timestamp of zeros": lambda n: "a 1 " + "0" * n + "1",
    "timestamp of zeros and a letter": lambda n: "a 1 " + "0" * n + "x",
    "timestamp with many decimals": lambda n: "a 1 1." + "1" * n,
    "timestamp and a letter": lambda n: "a 1 " + "1" * n + "x",
    "timestamp with a point": lambda n: "a 1 1." + "1" * n + "x",
    "exemplar's value": lambda n: "# TYPE a counter\na_total 1 # {} " + "1" * n + "x",
    "exemplar's timestamp": lambda n: "# TYPE a counter\na_total 1 # {} 1 " + "1" * n + "x",
    "exemplar's labels": lambda n: "# TYPE a counter\na_total 1 # {" + ",".join(f'b{i}="x"' for i in range(n)) + "} 1",
    "bound": lambda n: '# TYPE a histogram\na_bucket{le="' + "1" * n + 'x"} 1',
    "quantile": lambda n: '# TYPE a summary\na{quantile="' + "4" * n + 'x"} 1',
    "value with line feeds": lambda n: 'a{b="' + r"\n" * n + '"} 1',
    "value with quotes": lambda n: 'a{b="' + r"\"" * n + '"} 1',
    "value with backslashes": lambda n: 'a{b="' + r"\\" * n + '"} 1',
    "value with other escapes": lambda n: 'a{b="' + r"\x" * n + '"} 1',
    "unterminated value": lambda n: 'a{b="' + "x" * n,
    "unterminated value with quotes": lambda n: 'a{b="' + r"\"" * n,
    "unterminated value with backslashes": lambda n: 'a{b="' + "\\" * (2 * n + 1),
    "opening quotes": lambda n: 'a{"' + '"b="' * n,
    "unterminated name": lambda n: '{"' + r"\"" * n,
    "labels": lambda n: "a{" + ",".join(f'b{i}="x"' for i in range(n)) + "} 1",
    "labels in quotes": lambda n: '{"a",' + ",".join(f'"b{i}"="x"' for i in range(n)) + "} 1",
    "labels before a name": lambda n: "{" + ",".join(f'"b{i}"="x"' for i in range(n)) + ',"a"} 1',
    "names in quotes": lambda n: "{" + ",".join(f'"a{i}"' for i in range(n)) + "} 1",
    "blanks around a comma": lambda n: "a{" + " " * n + "," + " " * n + "x",
    "labels and no end": lambda n: "a{" + ",".join(f'b{i}="x"' for i in range(n)),
    "labels between blanks": lambda n: "a { " + " , ".join(f'b{i} = "x"' for i in range(n)) + " } 1",
    "commas": lambda n: "a{" + "," * n,
    "braces": lambda n: "a" + "{" * n,
    "blanks": lambda n: "a" + " " * n + "x",
    "blanks in braces": lambda n: "a{" + " " * n + "x",
    "blanks at the end": lambda n: "a 1" + " " * n + "x",
    "metric name": lambda n: "a" * n + " 1",
    "metric name in quotes": lambda n: '{"' + "ä" * n + '"} 1',
    "metric name and no value": lambda n: "a" * n + "-",
    "label name": lambda n: "a{" + "b" * n + '="x"} 1',
    "label name twice": lambda n: "a{" + "b" * n + '="x",' + "b" * n + '="x"} 1',
    "comments": lambda n: lines(lambda i: f"# {i}", n),
    "comment of blanks": lambda n: " " * n + "#" + " " * n + "x",
    "HELP": lambda n: "# HELP a " + r"\n\\\x" * n,
    "HELP between blanks": lambda n: "#" + " " * n + "HELP" + " " * n + "-",
    "HELP of a long name": lambda n: "# HELP " + "a" * n + "-",
    "HELP of a name in quotes": lambda n: '# HELP "' + r"\"" * n + '"x',
    "HELP of a name without an end": lambda n: '# HELP "' + r"\"" * n,
    "TYPE": lambda n: "# TYPE a " + "gauge" * n,
    "UNIT": lambda n: "# UNIT a_" + "s" * n + " " + "s" * n,
    "families": lambda n: lines(lambda i: f"# TYPE a{i} gauge\n# HELP a{i} b\na{i} 1", n),
    "families without metadata": lambda n: lines(lambda i: f"a{i} 1", n),
    "families with long names": lambda n: lines(lambda i: "a" * 500 + f"{i} 1", n // 20),
    "samples of one family": lambda n: "# TYPE a gauge\n" + lines(lambda i: f'a{{b="{i}"}} 1', n),
    "samples of a long name": lambda n: f"# TYPE {'a' * n} gauge\n" + lines(lambda i: f'a{{b="{i}"}} 1', n),
    "samples with the same labels": lambda n: lines(lambda i: "a 1", n),
    "samples of one child": lambda n: "# TYPE a gauge\n" + lines(lambda i: f"a 1 {i}", n),
    "buckets": lambda n: "# TYPE a histogram\n" + lines(lambda i: f'a_bucket{{le="{i}.0"}} {i}', n),
    "histograms": lambda n: "# TYPE a histogram\n" + lines(lambda i: f'a_bucket{{b="{i}",le="+Inf"}} 1', n),
    "samples before their types": lambda n: (
        lines(lambda i: f"a{i}_sum 1", n) + "\n" + lines(lambda i: f"# TYPE a{i} summary", n)
    ),
    "lines of one family apart": lambda n: lines(lambda i: f"a {i}\n# HELP b {i}\nc{i} 1\n# TYPE a counter", n),
    "samples at one time": lambda n: lines(lambda i: f"a {i} 5", n),
    "HELP of blanks": lambda n: "# HELP a" + " " * n + "x" + " " * n,
    "repeated families": lambda n: lines(lambda i: f"# HELP a b\n# TYPE a gauge\na {i}\nb 1", n),
    "blank lines": lambda n: "\n" * n,
    "carriage returns": lambda n: "a 1\r" * n,
}


@pytest.mark.parametrize("parse", [parse_prometheus, parse_openmetrics], ids=["text", "openmetrics"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_in_linear_time(assert_linear, name, parse):
    def prepare(n: int) -> Call:
        text = TEXTS[name](n) + "\n# EOF\n"
        return lambda: list(parse(text))

    assert_linear(prepare, 500)


def family(kind: str, samples: Iterable[tuple], *, name: str = "a", documentation: object = "", unit: str = ""):
    made = Metric(name, documentation, kind, unit)
    for suffix, *rest in samples:
        made.add_sample(f"{made.name}{suffix}", *rest)
    return made


def exemplar(labels=None, value: object = 1.0, timestamp: object = None) -> list[tuple]:
    return [("_total", {}, 1, None, Exemplar(labels or {}, value, timestamp))]


def buckets(*bounds: object) -> list[tuple]:
    return [("_bucket", {"le": bound}, 1) for bound in (*bounds, "+Inf")]


# What a custom collector may yield; an int of many digits has no text, and is left out.
FAMILIES: dict[str, Callable[[int], Metric | list[Metric]]] = {
    "bound": lambda n: family("histogram", buckets("1" * n)),
    "bound and a letter": lambda n: family("histogram", buckets("1" * n + "x")),
    "bound of a gaugehistogram": lambda n: family("gaugehistogram", buckets("2" * n + "x")),
    "bound that is an int": lambda n: family("histogram", buckets(10**n)),
    "quantile": lambda n: family("summary", [("", {"quantile": "0." + "1" * n}, 1)]),
    "quantile and a letter": lambda n: family("summary", [("", {"quantile": "3" * n + "x"}, 1)]),
    "value": lambda n: family("gauge", [("", {}, "1" * n)]),
    "value and a letter": lambda n: family("gauge", [("", {}, "1" * n + "x")]),
    "value that is an int": lambda n: family("gauge", [("", {}, 10**n)]),
    "timestamp": lambda n: family("gauge", [("", {}, 1, "1" * n)]),
    "timestamp that is an int": lambda n: family("gauge", [("", {}, 1, 10**n)]),
    "timestamp with nanoseconds": lambda n: family("gauge", [("", {}, 1, Timestamp(10**n, 1))]),
    "exemplar's labels": lambda n: family("counter", exemplar({f"ä{i}": "x" for i in range(n)})),
    "exemplar's label": lambda n: family("counter", exemplar({"ä" * n: '"\ud800' * n})),
    "exemplar's value": lambda n: family("counter", exemplar(value=10**n)),
    "exemplar's timestamp": lambda n: family("counter", exemplar(timestamp=Timestamp(10**n, 1))),
    "name": lambda n: family("counter", [("_total", {}, 1)], name="ä_." * n),
    "name of a stateset": lambda n: family("stateset", [("", {"ä_." * n: "x"}, 1)], name="ä_." * n),
    "unit": lambda n: family("gauge", [("", {}, 1)], unit="ä_." * n),
    "documentation": lambda n: family("gauge", [("", {}, 1)], documentation='\\\n\r"\ud800' * n),
    "documentation that is an int": lambda n: family("gauge", [("", {}, 1)], documentation=10**n),
    "label name": lambda n: family("gauge", [("", {'ä_."' * n: "x"}, 1)]),
    "label name that is an int": lambda n: family("gauge", [("", {10**n: "x"}, 1)]),
    "label value": lambda n: family("gauge", [("", {"b": '\\\n\r"\ud800' * n}, 1)]),
    "label value that is an int": lambda n: family("gauge", [("", {"b": 10**n}, 1)]),
    "label value that is a list": lambda n: family("histogram", [("_count", {"b": ["x"] * n}, 1)]),
    "labels": lambda n: family("gauge", [("", {f"ä_{i}": "x" for i in range(n)}, 1)]),
    "labels that are written alike": lambda n: family("gauge", [("", {chr(0x4E00 + i): "x" for i in range(n)}, 1)]),
    "samples": lambda n: family("gauge", [("", {"b": str(i)}, 1) for i in range(n)]),
    "samples with other names": lambda n: family("gauge", [(f"_ä{i}", {}, 1) for i in range(n)]),
    "samples with another name": lambda n: family("gauge", [("_b", {"b": str(i)}, 1) for i in range(n)]),
    "the same sample": lambda n: family("gauge", [("", {"b": "c"}, 1)] * n),
    "samples of one child": lambda n: family("gauge", [("", {}, 1, float(-i)) for i in range(n)]),
    "totals of gaugehistograms": lambda n: family(
        "gaugehistogram", [("_gcount", {"b": "x" * 500 + str(i)}, 1) for i in range(n)]
    ),
    "buckets in disorder": lambda n: family("histogram", buckets(*(f"{i}" for i in reversed(range(n))))),
    "histograms in disorder": lambda n: family(
        "histogram", [("_bucket", {"b": str(i), "le": le}, 1) for le in ("+Inf", "1") for i in range(n)]
    ),
    "states": lambda n: family("stateset", [("", {"a": str(i)}, 1) for i in range(n)]),
    "families": lambda n: [family("gauge", [("", {}, 1)], name=f"ä{i}") for i in range(n)],
    "families that are written alike": lambda n: [
        family("gauge", [("", {}, 1)], name=chr(0x4E00 + i)) for i in range(n)
    ],
}


@pytest.mark.parametrize("form", [encode_text, encode_openmetrics], ids=["text", "openmetrics"])
@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_written_in_linear_time(assert_linear, name, escaping, form):
    def prepare(n: int) -> Call:
        made = FAMILIES[name](n)
        families = made if isinstance(made, list) else [made]
        return lambda: [len(chunk) for chunk in form(families, escaping=escaping)]

    assert_linear(prepare, 500)


COLLECTED: dict[str, Callable[[int], list[Metric]]] = {
    "families of one name": lambda n: [family("gauge", [("", {"b": str(i)}, 1)]) for i in range(n)],
    "families that are the same": lambda n: [family("gauge", [("", {"b": "c"}, 1)])] * n,
    "families of other types": lambda n: [family(("gauge", "info")[i % 2], [("", {"b": str(i)}, 1)]) for i in range(n)],
    "families whose samples are none": lambda n: [family("gauge", [("", {"b": [i]}, 1)]) for i in range(n)],
    "what is no family": lambda n: ["x" * 1000] * n,
}


@pytest.mark.parametrize("name", COLLECTED)
def test_what_a_collector_yields_is_put_together_in_linear_time(assert_linear, registry, name, caplog):
    yielded = []
    registry.register(type("Yielding", (), {"collect": lambda self: yielded})())

    def prepare(n: int) -> Call:
        yielded[:] = COLLECTED[name](n)
        return lambda: list(registry.collect())

    assert_linear(prepare, 1000)
