"""Exemplars in the cells of shared storage."""

from __future__ import annotations

import math
import struct
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics.core import Exemplar
from asyncmetrics.storage.shared.files.exemplar_cells import PLACE, find_numbers, pack_exemplar, unpack_exemplar
from tests.thoroughness import examples

_PRESENT = struct.pack("=d", 1.0)
_SERIES = b"GET\xff/"


def _draw_ids(bits: int) -> st.SearchStrategy[str]:
    return st.integers(1, (1 << bits) - 1).map(lambda number: f"{number:0{bits // 4}x}")


_TRACES = st.fixed_dictionaries({"trace_id": _draw_ids(128)}, optional={"span_id": _draw_ids(64)})
_NUMBERS = st.floats(allow_nan=False)
_TIMES = st.floats(min_value=1.0, max_value=1e11)
_EXEMPLARS = st.builds(Exemplar, _TRACES, _NUMBERS, _TIMES)


def _read(series: bytes, data: bytes) -> tuple[int, Exemplar] | None:
    numbers = find_numbers(crc32(series), data, 0)
    return None if numbers is None else (int(numbers[PLACE]), unpack_exemplar(numbers))


def _write(exemplar: Exemplar) -> bytes:
    cells = pack_exemplar(_SERIES, 3, exemplar)
    assert cells is not None
    return cells.tobytes() + _PRESENT


def _choose(cells: bytes, written: dict[bytes, Exemplar]) -> tuple[int, Exemplar] | None:
    return (3, written[cells]) if cells in written else None


@settings(max_examples=examples(300))
@given(_EXEMPLARS)
def test_an_exemplar_with_the_ids_of_a_trace_is_read_as_it_was_written(exemplar):
    assert _read(_SERIES, _write(exemplar)) == (3, exemplar)


@settings(max_examples=examples(600))
@given(_EXEMPLARS, _EXEMPLARS, st.data())
def test_a_half_written_exemplar_is_never_read(before, after, data):
    old, new = _write(before), _write(after)
    written = data.draw(st.sets(st.integers(0, len(old) - 1)))
    mixed = bytes(new[at] if at in written else old[at] for at in range(len(old)))
    assert _read(_SERIES, mixed) == _choose(mixed, {old: before, new: after})


@settings(max_examples=examples(100))
@given(_EXEMPLARS, st.integers(0, 63))
def test_an_exemplar_whose_writer_was_killed_is_none(exemplar, length):
    written = _write(exemplar)
    killed = written[:length] + bytes(len(written) - length - 8) + _PRESENT
    assert _read(_SERIES, killed) == _choose(killed, {written: exemplar})


@settings(max_examples=examples(100))
@given(_EXEMPLARS)
def test_an_exemplar_of_another_series_is_none(exemplar):
    assert _read(b"POST\xff/", _write(exemplar)) is None


@settings(max_examples=examples(30))
@given(_EXEMPLARS)
def test_an_exemplar_of_a_removed_series_is_none(exemplar):
    assert _read(_SERIES, _write(exemplar)[: -len(_PRESENT)] + bytes(8)) is None


def test_cells_that_nothing_was_written_to_have_no_exemplar():
    assert _read(_SERIES, bytes(64) + _PRESENT) is None
    assert _read(b"", bytes(64) + _PRESENT) is None


_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@settings(max_examples=examples(300))
@given(
    st.one_of(
        st.dictionaries(st.sampled_from(["trace_id", "span_id", "user"]), st.text(max_size=40)),
        st.sampled_from(
            [
                {},
                {"trace_id": _TRACE.upper()},
                {"trace_id": _TRACE[1:]},
                {"trace_id": _TRACE + "0"},
                {"trace_id": _TRACE[1:] + "g"},
                {"trace_id": _TRACE[1:] + "\n"},
                {"trace_id": _TRACE[2:], "span_id": _SPAN + "00"},
                {"trace_id": _TRACE[1:] + "٣"},
                {"trace_id": "0" * 32, "span_id": _SPAN},
                {"trace_id": "0" * 32},
                {"trace_id": _TRACE, "span_id": "0" * 16},
                {"trace_id": _TRACE, "span_id": ""},
                {"trace_id": _TRACE, "user": _SPAN},
                {"trace_id": _TRACE, "span_id": _SPAN, "user": "x"},
                {"span_id": _SPAN},
            ]
        ),
    )
)
def test_labels_that_are_not_the_ids_of_a_trace_are_refused(labels):
    assert pack_exemplar(_SERIES, 3, Exemplar(labels, 1.0, 2.0)) is None


def test_infinite_values_are_kept():
    for value in (math.inf, -math.inf, 0.0, 5e-324):
        exemplar = Exemplar({"trace_id": _TRACE}, value, 1.5)
        assert _read(_SERIES, _write(exemplar)) == (3, exemplar)
