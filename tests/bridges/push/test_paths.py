"""Escaping: the name and the labels of every series can be read back from its path, in every style."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.bridges.graphite import Graphite
from asyncmetrics.bridges.push.identity import Identity
from asyncmetrics.bridges.push.paths import Escaper
from asyncmetrics.bridges.push.sink import Sink
from asyncmetrics.bridges.statsd import StatsD
from asyncmetrics.core import Metric
from asyncmetrics.errors import DefinitionError

IDENTITY = Identity("a job", "host:0")
ADDED = {"job": IDENTITY.job, "instance": IDENTITY.instance}

Series = tuple[str, dict[str, str]]

# Quotes, backslashes and line ends in names are written as the text format writes them, before they are escaped.
LABEL_NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\\n'), min_size=1).filter(
    lambda name: name != "__name__"
)
HOSTILE = st.sampled_from(
    ["", ".", "..", "~", "%", "-", ";", "=", ":", "|", "#", ",", "a.b", "%41", "-41", "\u2028", '"}']
)
LABELS = st.dictionaries(LABEL_NAMES | st.just("name"), st.text(st.characters(codec="utf-8")) | HOSTILE, max_size=4)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.isprintable)


def unescape(text: str, mark: str) -> str:
    """Return what an escaped text stands for."""
    assert text, "an empty text is written as the mark alone"
    if text == mark:
        return ""
    return unquote_to_bytes(text if mark == "%" else text.replace("-", "%")).decode()


def read_dotted(path: str, mark: str) -> Series:
    name, *parts = [unescape(part, mark) for part in path.split(".")]
    return name, dict(zip(parts[::2], parts[1::2], strict=True))


def read_tags(path: str, mark: str, between: str = ";", equals: str = "=") -> Series:
    name, *tags = path.split(between)
    pairs = [tag.split(equals, 1) for tag in tags]
    return unescape(name, mark), {unescape(key, mark): unescape(value, mark) for key, value in pairs}


def read_datadog(line: str) -> Series:
    head, _, tags = line.partition("|#")
    return read_tags(f"{head.partition(':')[0]},{tags}", "%", ",", ":")


STYLES: dict[str, tuple[Sink, Callable[[str], Series]]] = {
    "graphite": (Graphite("localhost"), lambda line: read_tags(line.split(" ")[0], "%")),
    "graphite dotted": (Graphite("localhost", tags=False), lambda line: read_dotted(line.split(" ")[0], "%")),
    "statsd": (StatsD(), lambda line: read_dotted(line.split(":")[0], "-")),
    "statsd graphite": (StatsD(tags="graphite"), lambda line: read_tags(line.split(":")[0], "-")),
    "statsd influx": (StatsD(tags="influx"), lambda line: read_tags(line.split(":")[0], "-", ",")),
    "statsd datadog": (StatsD(tags="datadog"), read_datadog),
}


@pytest.mark.parametrize("style", STYLES)
@given(name=NAMES, labels=LABELS)
def test_every_name_and_label_set_is_read_back(style, name, labels):
    sink, read = STYLES[style]
    family = Metric("family", "", "gauge")
    family.add_sample(name, labels, 1.0)
    (part,) = sink.encode([family], 1e9, IDENTITY).parts
    (line,) = part.data.decode("ascii").splitlines()
    assert read(line) == (name, {**ADDED, **labels})


@given(labels=LABELS)
def test_a_tag_is_one_that_the_documentation_of_graphite_allows(labels):
    family = Metric("family", "", "gauge")
    family.add_sample("x", labels, 1.0)
    (part,) = Graphite("localhost").encode([family], 1e9, IDENTITY).parts
    path = part.data.decode("ascii").split(" ")[0]
    for tag in path.split(";")[1:]:
        name, value = tag.split("=", 1)
        assert name
        assert not set(name) & set(";!^=")
        assert name != "name"  # Graphite's own
        assert value
        assert ";" not in value
        assert value[0] != "~"


@pytest.mark.parametrize("make", [lambda prefix: Graphite("h", prefix=prefix), lambda prefix: StatsD(prefix=prefix)])
@pytest.mark.parametrize(
    ("prefix", "remedy"), [("shop.", "write 'shop'"), ("a b", "write 'a.b'"), ("ü", ""), (7, "got 7")]
)
def test_a_prefix_that_is_no_path_is_refused(make, prefix, remedy):
    with pytest.raises(DefinitionError, match="prefix") as caught:
        make(prefix)
    assert remedy in str(caught.value)


def test_texts_are_escaped_alike_at_first_and_later():
    escaper = Escaper("-", "a-z")
    for _ in range(2):
        assert all(escaper[f"/{number}"] == f"-2F{unquoted(number)}" for number in range(53_000))


def unquoted(number: int) -> str:
    return "".join(f"-{ord(digit):X}" for digit in str(number))
