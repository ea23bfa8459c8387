"""Names under the four escaping schemes, beside prometheus_client's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name

from asyncmetrics.model.escaping import ESCAPING_SCHEMES, escape_name

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
