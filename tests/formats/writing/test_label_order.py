"""Labels are sorted by name in every format, wherever the label comes from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncmetrics
from asyncmetrics import CollectorRegistry
from asyncmetrics.core import Metric
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.formats.writing.text import encode_text
from asyncmetrics.model.label_blocks import LabelPlace, make_block_writer
from asyncmetrics.registry.collectables import collect_within

both = pytest.mark.parametrize("form", [encode_text, encode_openmetrics], ids=["text", "openmetrics"])


def list_blocks(text, name):
    return re.findall(rf"^{name}\{{(.*)\}} \S+$", text, re.MULTILINE)


@both
@pytest.mark.parametrize(
    ("names", "block"),
    [
        (["z", "a"], 'a="2",le="+Inf",z="1"'),
        (["b", "a"], 'a="2",b="1",le="+Inf"'),
        (["z", "m"], 'le="+Inf",m="2",z="1"'),
        (["z"], 'le="+Inf",z="1"'),
    ],
)
def test_the_bound_of_a_bucket_has_its_place(form, names, block, written):
    registry = CollectorRegistry()
    asyncmetrics.Histogram("h", "", names, buckets=[1], registry=registry).labels(*"12"[: len(names)])
    text = written(form, collect_within(registry))
    assert block in list_blocks(text, "h_bucket")
    assert list_blocks(text, "h_count") == [block.replace('le="+Inf",', "").replace(',le="+Inf"', "")]


@both
def test_a_value_that_looks_like_a_label_does_not_move_the_bound(form, written):
    registry = CollectorRegistry()
    asyncmetrics.Histogram("h", "", ["a", "z"], buckets=[1], registry=registry).labels(',z="1', '",z="\\')
    assert list_blocks(written(form, collect_within(registry)), "h_bucket")[0] == (r'a=",z=\"1",le="1.0",z="\",z=\"\\"')


@both
@pytest.mark.parametrize("value", [",z=", '",z=', "\\,z=", ",z=,z=", "\n,z="])
def test_a_value_that_ends_as_a_label_begins_does_not_move_the_bound(form, value, written):
    registry = CollectorRegistry()
    asyncmetrics.Histogram("h", "", ["a", "z"], buckets=[1], registry=registry).labels(value, value)
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    block = list_blocks(written(form, collect_within(registry)), "h_bucket")[0]
    assert block == f'a="{escaped}",le="1.0",z="{escaped}"'


@both
def test_a_state_and_a_fact_have_their_places(form, written):
    registry = CollectorRegistry()
    asyncmetrics.Enum("mode", "", ["a", "z"], states=["100%"], registry=registry).labels("1", "2")
    asyncmetrics.Info("build", "", ["m"], registry=registry).labels("1").info({"z": "2", "b": "3"})
    text = written(form, collect_within(registry))
    assert list_blocks(text, "mode") == ['a="1",mode="100%",z="2"']
    assert list_blocks(text, "build_info") == ['b="3",m="1",z="2"']


@both
def test_the_exemplar_of_a_bucket_does_not_change_the_order(form, written):
    registry = CollectorRegistry()
    histogram = asyncmetrics.Histogram("h", "", ["z", "a"], buckets=[1], registry=registry)
    histogram.labels("1", "2").observe(0.5, exemplar={"y": "1", "b": "2"})
    text = written(form, collect_within(registry))
    assert 'h_bucket{a="2",le="1.0",z="1"} 1.0' in text
    assert ('# {b="2",y="1"} 0.5' in text) is (form is encode_openmetrics)


@both
def test_the_labels_of_a_collector_are_sorted(form, written):
    family = Metric("g", "", "gauge")
    family.add_sample("g", {"z": "1", "a.b": "2", "a_a": "3"}, 1)
    assert list_blocks(written(form, [family]), "g") == ['a_b="2",a_a="3",z="1"']  # by the name before it is escaped


@both
def test_names_that_are_no_texts_are_sorted_as_texts(form, written):
    family = Metric("g", "", "gauge")
    family.add_sample("g", {"z": "1", 1: "2", None: "3"}, 1)
    assert list_blocks(written(form, [family]), "g") == ['_="2",None="3",z="1"']


@given(
    names=st.lists(st.sampled_from("abcdefgz"), unique=True, min_size=1),
    own=st.sampled_from(["le", "A", "zz"]),
    value=st.text(st.sampled_from('",=\\zab\n')),
)
def test_a_label_is_inserted_where_its_name_is_sorted(names, own, value):
    with_own = make_block_writer([*names, own])((*[value] * len(names), "x"))
    assert LabelPlace(own, names).insert(make_block_writer(names)((value,) * len(names)), f'{own}="x"') == with_own


@given(
    names=st.lists(st.sampled_from("abcdefgz"), unique=True, min_size=1),
    own=st.sampled_from(["le", "A", "zz"]),
    values=st.lists(st.sampled_from(["", "1", ",z=", '"']), min_size=8, max_size=8),
)
def test_a_label_is_inserted_where_others_are_left_out(names, own, values):
    values = tuple(values[: len(names)])
    with_own = make_block_writer([*names, own], omit_empty=True)((*values, "x"))
    block = make_block_writer(names, omit_empty=True)(values)
    inserted = LabelPlace(own, names, omit_empty=True).insert(block, f'{own}="x"')
    assert (inserted if block else f'{own}="x"') == with_own
