"""The protobuf package writes the same messages as we do: else the benchmark compares different work."""

from __future__ import annotations

import time

import pytest

from asyncmetrics.formats.writing.protobuf import encode_protobuf
from asyncmetrics.registry.collectables import collect_within
from benchmarks._protobuf import encode_with_package, read_with_package
from benchmarks._registries import make_our_registry

pytest.importorskip("google.protobuf")


@pytest.mark.parametrize("moment", [1_700_000_000.0, 1_700_000_000.25])
@pytest.mark.parametrize("kind", ["Counter", "Histogram"])
def test_the_messages_are_equal_whenever_the_children_were_made(monkeypatch, kind, moment):
    monkeypatch.setattr(time, "time", lambda: moment)
    families = list(collect_within(make_our_registry(kind, 3)))
    ours = read_with_package(b"".join(encode_protobuf(families)))
    assert len(ours.metric) == 3
    assert ours == read_with_package(encode_with_package(families))
