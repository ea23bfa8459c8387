"""The native histograms that an exposition in protobuf has."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics import CollectorRegistry, Counter, Histogram, Summary
from asyncmetrics.formats.reading.protobuf import list_native_names
from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.registry.collectables import collect_within
from tests.thoroughness import examples

KINDS = {"classic": {}, "both": {"native": True}, "alone": {"native": True, "buckets": ()}}


@given(st.lists(st.sampled_from(list(KINDS)), max_size=5), st.lists(st.floats(-10, 10), max_size=3))
@settings(max_examples=examples(60), deadline=None)
def test_they_are_those_that_are_declared(kinds, amounts):
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc()
    Summary("sizes", "Sizes.", registry=registry).observe(1)
    for number, kind in enumerate(kinds):
        taken = Histogram(f"größe.{number}", "G.", ["kind"], registry=registry, **KINDS[kind])
        for amount in (0, *amounts):
            taken.labels("a").observe(amount)
    found = list(list_native_names(b"".join(encode_protobuf(collect_within(registry), escaping="allow-utf-8"))))
    assert found == [f"größe.{number}" for number, kind in enumerate(kinds) if kind != "classic"]


def test_an_empty_exposition_has_none():
    assert list(list_native_names(b"")) == []


@pytest.mark.parametrize("body", [b"\x05abc", b"\x80", b"\xff" * 20, b"\x02\x0a\x07"])
def test_a_body_that_is_cut_off_is_refused(body):
    with pytest.raises(ValueError, match="expected"):
        list(list_native_names(body))


@given(st.binary(max_size=200))
def test_any_other_body_is_refused_or_read(body):
    with contextlib.suppress(ValueError):
        list(list_native_names(body))
