"""Live families whose children hold any numbers: the template is as strict as the filter of samples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar, Metric
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.escaping import ESCAPING_SCHEMES
from asyncmetrics.model.family import LiveFamily

FORMATS = [encode_text, encode_openmetrics]
NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324])
COUNTS = st.integers(-2, 10**6).map(float) | st.just(math.nan)


class Point:
    """A child with only the attributes that formats read."""

    def __init__(self, labelvalues, numbers, exemplar=None):
        self.labelvalues = labelvalues
        self.label_block = None
        self.created = 1.0
        self.value = numbers[0]
        self.exemplar = exemplar
        self._numbers = numbers

    def read_numbers(self):
        return self._numbers

    def read_exemplars(self):
        return {0: self.exemplar} if self.exemplar else {}

    def read_extra_labels(self):
        return {}


def live(kind, points, *, labelnames=("b",), created=False):
    descriptor = Descriptor(kind, "a", "", labelnames)
    return LiveFamily(descriptor, lambda: iter([points]), now=2.0, created=created)


def eager(family):
    copy = Metric(family.name, family.documentation, family.type, family.unit)
    copy.samples = family.samples
    return copy


@pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics"])
@pytest.mark.parametrize("escaping", ESCAPING_SCHEMES)
@pytest.mark.parametrize(
    ("kind", "numbers"), [("counter", [NUMBERS]), ("gauge", [NUMBERS]), ("summary", [COUNTS, NUMBERS])]
)
@given(data=st.data())
def test_any_numbers_are_written_as_those_of_samples(form, escaping, kind, numbers, data, written):
    readings = data.draw(st.lists(st.tuples(*numbers), max_size=3))
    exemplar = data.draw(st.none() | st.just(Exemplar({"id": "\0"}, 1.0, 2.0)))
    points = [Point((str(place),), values, kind == "counter" and exemplar) for place, values in enumerate(readings)]
    family = live(kind, points, created=data.draw(st.booleans()))
    assert written(form, [family], escaping=escaping) == written(form, [eager(family)], escaping=escaping)


@pytest.mark.parametrize("value", [-1.0, math.nan, -math.inf])
@pytest.mark.parametrize("exemplar", [None, Exemplar({}, 1.0)], ids=["plain", "exemplar"])
@pytest.mark.parametrize("labelnames", [(), ("b",)], ids=["unlabelled", "labelled"])
def test_a_live_counter_that_openmetrics_forbids_is_left_out(value, exemplar, labelnames, written):
    values = tuple("x" for _ in labelnames)
    family = live("counter", [Point(values, [value], exemplar)], labelnames=labelnames)
    assert written(encode_openmetrics, [family]) == "# HELP a \n# TYPE a counter\n# EOF\n"
    assert written(encode_text, [family]).count("\na_total") == 1


def test_a_live_exemplar_has_no_nul(written):
    """A client can send a NUL, and Prometheus 2.42 gives up the whole scrape at one there."""
    family = live("counter", [Point(("\0",), [1.0], Exemplar({"id": "x\0"}, 1.0))])
    assert 'a_total{b="\0"} 1.0 # {id="x\ufffd"} 1.0\n' in written(encode_openmetrics, [family])
