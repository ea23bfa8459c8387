"""Blocks of Snappy that are compressed in steps are blocks for every reader."""

from __future__ import annotations

import sys

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.bridges.remote_write.snappy import compress_in_steps, decompress

PIECES = st.lists(
    st.binary(max_size=300) | st.builds(lambda one, count: one * count, st.binary(max_size=3), st.integers(0, 70_000)),
    max_size=6,
)


def compress(pieces: list[bytes]) -> tuple[bytes, int]:
    steps = compress_in_steps(pieces)
    count = 0
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as end:
            return end.value, count


@given(PIECES)
def test_cramjam_reads_what_was_compressed_in_steps(pieces):
    block, _ = compress(pieces)
    assert bytes(cramjam.snappy.decompress_raw(block)) == b"".join(pieces) == decompress(block)


@given(PIECES)
def test_cramjam_reads_what_was_written_without_it(pieces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cramjam", None)
        block, _ = compress(pieces)
        assert decompress(block) == b"".join(pieces)
    assert bytes(cramjam.snappy.decompress_raw(block)) == b"".join(pieces)


def test_a_step_compresses_about_64_kib():
    assert compress([bytes(1000)] * 1000)[1] == 1_000_000 // 66_000 + 1
