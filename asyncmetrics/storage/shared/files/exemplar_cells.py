"""An exemplar as the cells of a series: a trace id, a span id, the value and the time, with a checksum.

Cells hold numbers, so only one kind of exemplar fits: its labels are ``trace_id``, 32 lower-case hexadecimal digits,
and at most ``span_id``, 16 of them. That is what tracing libraries give. Others stay in their process.

*Theory of operation.* The ids have 48 digits, which are four numbers of 48 bits: a double holds each of them exactly.
The *place* is that of the exemplar among those of its series: 0 for a counter, the index of the bucket for a histogram.
The *check* is a CRC-32 of the series and of the seven cells before it. The owner writes all eight in one call, but a
reader, or a kill, may come in the middle of it. Then the check is wrong, and the reader has no exemplar until the next
one is written. The check includes the series, because a thread that was suspended may write to cells that belong to
another series now: the exemplar of one series is never exposed with another one.
"""

from __future__ import annotations

import re
import struct
from array import array
from zlib import crc32

from asyncmetrics.model.samples import Exemplar

__all__ = (
    "EXEMPLAR_CELLS",
    "EXEMPLAR_PRESENCE",
    "PLACE",
    "TIME",
    "find_numbers",
    "get_time",
    "pack_exemplar",
    "unpack_exemplar",
)

EXEMPLAR_CELLS = 9
_VALUE, TIME, PLACE, _CHECK, EXEMPLAR_PRESENCE = 4, 5, 6, 7, 8  # after the four numbers of the ids
"""The index of the presence, which `pack_exemplar` leaves out, says that the series exists: see `layout`."""

_TRACE, _SPAN = "trace_id", "span_id"
_IDS = re.compile("(?!0{32})[0-9a-f]{48}")
_NO_SPAN = "0" * 16  # which no span has (https://www.w3.org/TR/trace-context/, "parent-id")
_SPAN_DIGITS, _TRACE_DIGITS, _DIGITS = 16, 32, 12
_FORMAT = f"0{_DIGITS}x"
_CHECKED_BYTES = 8 * _CHECK
_CELLS = struct.Struct("=9d")


def get_time(exemplar: Exemplar) -> float:
    """Return the Unix time of an exemplar, 0 without one."""
    return float(exemplar.timestamp or 0.0)


def pack_exemplar(series: bytes, place: int, exemplar: Exemplar) -> array[float] | None:
    """Return the cells of an exemplar of a series, up to the check; None if its labels do not fit.

    ``series`` distinguishes the series from all others, ``place`` the exemplar from the others of the series.
    """
    labels = exemplar.labels
    trace, span = labels.get(_TRACE, ""), labels.get(_SPAN, _NO_SPAN)
    ids = trace + span
    is_fit = len(labels) == 1 + (_SPAN in labels) and len(trace) == _TRACE_DIGITS and _IDS.fullmatch(ids)
    if not is_fit or (_SPAN in labels and span == _NO_SPAN):
        return None
    cells = array("d", [int(ids[at : at + _DIGITS], 16) for at in range(0, len(ids), _DIGITS)])
    cells.extend((exemplar.value, get_time(exemplar), place))
    cells.append(crc32(cells, crc32(series)))
    return cells


def find_numbers(seed: int, data: bytes, at: int) -> tuple[float, ...] | None:
    """Return the cells of an exemplar from byte ``at`` of ``data`` on; None if there is none, or only half of one.

    ``seed`` is the CRC-32 of the series.
    """
    numbers = _CELLS.unpack_from(data, at)
    if not numbers[EXEMPLAR_PRESENCE] or numbers[_CHECK] != crc32(data[at : at + _CHECKED_BYTES], seed):
        return None
    return numbers


def unpack_exemplar(numbers: tuple[float, ...]) -> Exemplar:
    """Return the exemplar that is in cells."""
    ids = "".join([format(int(number), _FORMAT) for number in numbers[:_VALUE]])
    labels = {_TRACE: ids[:_TRACE_DIGITS]}
    span = ids[_TRACE_DIGITS:]
    if span != _NO_SPAN:
        labels[_SPAN] = span
    return Exemplar(labels, numbers[_VALUE], numbers[TIME] or None)
