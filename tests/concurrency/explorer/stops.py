"""The opcodes at which an operation is stopped: which ones, derived from a code object by `dis`.

*Rules.*

1. CPython switches threads, and runs signal handlers, only after a call, after a backward jump and at the start of a
   function. So code that relies on it (the number-changing methods of the children) is stopped there and nowhere else.
2. All other code of the package is stopped before every opcode, since nothing there should rely on rule 1. An opcode
   is left out if the one before it touches only the frame's own stack: both stops then show the same state to others.
3. An exception is raised before the same opcodes, but not in the gap between the end of a block that a handler covers
   and the next call. CPython never raises there (rule 1): what stands there is the normal way out of ``with`` and
   ``try``, for instance the three None for ``__exit__``.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from itertools import pairwise
from types import CodeType
from typing import NamedTuple

__all__ = ("Points", "find_points", "find_switch_points")

_HAS_RESUME = sys.version_info >= (3, 11)
_NO_CALLS = frozenset({"CALL_INTRINSIC_1", "CALL_INTRINSIC_2"})
_BLOCK_STARTS = frozenset({"SETUP_FINALLY", "SETUP_WITH", "BEFORE_ASYNC_WITH", "YIELD_FROM"})
# They move references within the frame. STORE_FAST and POP_TOP are not among them: what they drop may be the last
# reference to an object. LOAD_GLOBAL is one, since the package assigns its globals only at import and at a fork.
_PURE = frozenset(
    "BUILD_TUPLE CACHE COPY COPY_FREE_VARS DUP_TOP DUP_TOP_TWO EXTENDED_ARG IS_OP JUMP_FORWARD KW_NAMES LOAD_CLOSURE "
    "LOAD_CONST LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_LOAD_FAST LOAD_GLOBAL MAKE_CELL NOP PRECALL PUSH_NULL RESUME "
    "ROT_FOUR ROT_N ROT_THREE ROT_TWO SWAP".split()
)


class Points(NamedTuple):
    """Offsets of opcodes in one code object: where it may be stopped, and where an exception may be raised."""

    stops: frozenset[int]
    raises: frozenset[int]


def _is_switch(before: dis.Instruction) -> bool:
    """Return whether CPython may switch after this instruction, wherever it goes on."""
    if before.opname == "RESUME":
        return (before.arg or 0) & 3 < 2  # 2 and 3: inside `yield from` and `await`
    if before.opname == "YIELD_VALUE":
        return not _HAS_RESUME
    return before.opname.startswith("CALL") and before.opname not in _NO_CALLS


def _list_instructions(code: CodeType) -> list[dis.Instruction]:
    return [item for item in dis.get_instructions(code) if item.opname != "CACHE"]


def _list_targets(instructions: list[dis.Instruction], *, backward: bool = False) -> set[int]:
    jumps = [item for item in instructions if item.opcode in dis.hasjrel or item.opcode in dis.hasjabs]
    return {item.argval for item in jumps if not backward or item.argval <= item.offset}


def find_switch_points(code: CodeType) -> frozenset[int]:
    """Return the offsets of the opcodes before which CPython itself may switch threads or run a signal handler."""
    instructions = _list_instructions(code)
    points = _list_targets(instructions, backward=True)
    previous_is_switch = not _HAS_RESUME  # the start of the function
    for item in instructions:
        if previous_is_switch and item.opname not in _BLOCK_STARTS:
            points.add(item.offset)
        if item.opname != "EXTENDED_ARG":  # the opcode that it belongs to is a point as well
            previous_is_switch = _is_switch(item)
    return frozenset(points)


def _make_handler_finder(code: CodeType) -> Callable[[int], int | None]:
    """Return a function that finds the handler which covers an offset, by its own offset. Python 3.11 and later."""
    entries = getattr(dis.Bytecode(code), "exception_entries", ())

    def find(offset: int) -> int | None:
        return next((entry.target for entry in entries if entry.start <= offset < entry.end), None)

    return find


def _find_raise_points(code: CodeType, switches: frozenset[int]) -> set[int]:
    instructions = _list_instructions(code)
    find_handler = _make_handler_finder(code)
    points = {instructions[0].offset}
    is_gap = False
    for before, item in pairwise(instructions):
        if find_handler(before.offset) != find_handler(item.offset) or before.opname == "POP_BLOCK":
            is_gap = True
        elif item.offset in switches:
            is_gap = False
        if not is_gap:
            points.add(item.offset)
    return points


def find_points(code: CodeType, *, only_switches: bool = False, every: bool = False) -> Points:
    """Return the points of ``code``: those of rule 1 with ``only_switches``, and without rule 2 with ``every``."""
    switches = find_switch_points(code)
    raises = _find_raise_points(code, switches)
    if only_switches:
        return Points(switches, switches & raises)
    instructions = _list_instructions(code)
    stops = {item.offset for item in instructions}
    if every:
        return Points(frozenset(stops), frozenset(raises))
    targets = _list_targets(instructions)
    same = {
        item.offset: before.offset
        for before, item in pairwise(instructions)
        if before.opname in _PURE and item.offset not in targets
    }
    handled = {offset for offset, before in same.items() if offset in raises and before in raises}
    return Points(frozenset(stops - same.keys()), frozenset(raises - handled))
