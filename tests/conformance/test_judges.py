"""Three judges that know nothing of each other: prometheus_client's parsers, promtool, and a real Prometheus."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.thoroughness import examples


def plain(name, labels, value):
    return name, frozenset(labels.items()), repr(float(value))


def is_beyond_them(found):
    """What prometheus_client's parsers stumble over, though it is no fault.

    Labels that begin with ``__`` (which other names are escaped to), exemplars with an escaped text, times before 1970
    or with an exponent, a second point of a child, and infos with times, all of which it takes for one child.
    """
    return (
        any(name.startswith("__") for line in found.samples for name, _ in line.labels)
        or any("\\" in raw.partition(" # {")[2] for raw in found.text.split("\n") if not raw.startswith("#"))
        or any(line.time and re.search("[-e]", line.time) for line in found.samples)
        or len({(line.name, line.child()) for line in found.samples}) < len(found.samples)
        or any(line.time for family in found.families if family.type == "info" for line in family.samples)
    )


@pytest.mark.parametrize(("form", "parse"), [("text", read_text), ("openmetrics", read_openmetrics)])
@given(data=st.data())
def test_prometheus_client_reads_the_same_samples(form, parse, data, registries, rendered, read, tally):
    text = rendered(form, data.draw(registries))
    found = read(text)
    assume(not is_beyond_them(found))
    theirs = {plain(s.name, s.labels, s.value) for family in parse(text) for s in family.samples}
    tally[f"expositions in {form} read by prometheus_client"] += 1
    assert theirs == {plain(line.name, dict(line.labels), line.value) for line in found.samples}, text


@pytest.mark.real
@settings(max_examples=examples(60))
@given(data=st.data())
def test_promtool_takes_the_text(data, binary, registries, rendered, tally):
    text = rendered("text", data.draw(registries))
    command = [binary("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    tally["expositions of text 0.0.4 taken by promtool"] += 1
    assert done.returncode in {0, 3}, done.stderr  # 3 is its opinion of names and helps
