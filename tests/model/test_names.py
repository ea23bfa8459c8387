"""Names under the four escaping schemes, and bounds as text, beside prometheus_client's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name
from prometheus_client.utils import floatToGoString

from asyncmetrics.model.descriptor import format_bound
from asyncmetrics.model.names import ESCAPING_SCHEMES, clean_text, escape_name, to_label_text

NAMES = st.text(st.sampled_from("aZ_:.-0 é") | st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(name=NAMES, scheme=st.sampled_from([s for s in ESCAPING_SCHEMES if s != "allow-utf-8"]))
def test_a_name_is_escaped_as_prometheus_client_does(name, scheme):
    if ":" not in name:  # theirs forgets that a metric's name may have one
        assert escape_name(name, scheme) == escape_metric_name(name, scheme)
    if not name.startswith("__"):  # theirs takes a reserved name for one that needs escaping
        assert escape_name(name, scheme, label=True) == escape_label_name(name, scheme)


@given(NAMES)
def test_under_allow_utf_8_a_name_stays(name):
    assert escape_name(name, "allow-utf-8") == name


@given(st.floats(min_value=1e-6, max_value=1e300))
def test_a_bound_is_written_as_prometheus_client_writes_it(bound):
    assert format_bound(bound) == floatToGoString(bound)


@given(st.floats(allow_nan=False))
def test_a_bound_is_read_back_exactly(bound):
    assert float(format_bound(bound)) == bound


@given(st.text())
def test_clean_text_can_be_encoded_and_is_the_same_where_it_could_be(text):
    cleaned = clean_text(text)
    cleaned.encode()
    assert len(cleaned) == len(text)
    assert all(a == b or b == "\ufffd" for a, b in zip(text, cleaned, strict=True))


@pytest.mark.parametrize(("value", "text"), [(1, "1"), ("a\udc80", "a\ufffd"), (b"x", "b'x'")])
def test_a_label_is_text(value, text):
    assert to_label_text(value) == text
