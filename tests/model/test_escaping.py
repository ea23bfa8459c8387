"""Names under the four escaping schemes, beside prometheus_client's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name

from asyncmetrics.core import unescape_name
from asyncmetrics.errors import DefinitionError
from asyncmetrics.model.escaping import ESCAPING_SCHEMES, escape_name

NAMES = st.text(st.sampled_from("aZ_:.-0 é") | st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(name=NAMES, scheme=st.sampled_from([s for s in ESCAPING_SCHEMES if s != "allow-utf-8"]))
def test_a_name_is_escaped_as_prometheus_client_does(name, scheme):
    if ":" not in name:  # theirs forgets that a metric's name may have one
        assert escape_name(name, scheme, keep_legacy=False) == escape_metric_name(name, scheme)
    if not name.startswith("__"):  # theirs takes a reserved name for one that needs escaping
        assert escape_name(name, scheme, label=True, keep_legacy=False) == escape_label_name(name, scheme)


@given(name=st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True), scheme=st.sampled_from(ESCAPING_SCHEMES))
def test_a_name_of_the_legacy_form_stays_under_every_scheme(name, scheme):
    """As in client_golang."""
    assert escape_name(name, scheme) == escape_name(name, scheme, label=True) == name


SUFFIXES = st.sampled_from(["", "_total", "_created", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info"])


@given(name=NAMES.filter(lambda name: not name.startswith("U__")), suffix=SUFFIXES)
def test_values_comes_back_with_every_character_and_the_suffix(name, suffix):
    assert unescape_name(escape_name(name, "values") + suffix, "values") == name + suffix


@given(name=st.text(st.sampled_from("aZ_:."), min_size=1).filter(lambda name: "." in name), suffix=SUFFIXES)
def test_dots_comes_back_with_dots_and_underscores(name, suffix):
    assert unescape_name(escape_name(name, "dots") + suffix, "dots") == name + suffix


@given(name=NAMES, scheme=st.sampled_from(["underscores", "allow-utf-8"]))
def test_other_schemes_have_nothing_to_unescape(name, scheme):
    assert unescape_name(name, scheme) == name


@pytest.mark.parametrize(
    "name",
    ["jobs_done", "U__", "U__a_zz_b", "U__a_d800_", "U__a_110000_", "U__a_1234567_", "U__a_", "U__a_2e", "u__a_2e_"],
)
def test_what_values_cannot_have_written_stays(name):
    assert unescape_name(name, "values") == (name if name != "U__" else "")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(DefinitionError, match="escaping"):
        unescape_name("a", "commas")


@given(name=st.text(st.sampled_from("U_dot2e."), max_size=30), scheme=st.sampled_from(ESCAPING_SCHEMES))
def test_any_text_can_be_unescaped(name, scheme):
    assert isinstance(unescape_name(name, scheme), str)


@given(NAMES)
def test_under_allow_utf_8_a_name_stays(name):
    assert escape_name(name, "allow-utf-8") == name
