"""Run a callable under `sys.settrace`, and act before its n-th opcode inside a folder.

*Theory of operation.*

1. `Tracer.run` sets a trace function for this thread. Frames outside the folder are not traced.
2. A frame of the folder gets ``f_trace_opcodes``, so that the trace function is called before each of its opcodes.
   Those that are points (`stops`) are counted.
3. Before the n-th point, tracing ends in this thread, and ``act`` is called with the frame. If ``act`` raises, CPython
   raises that exception in the frame, as if the opcode had raised it. Otherwise the frame goes on untraced.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Literal, NamedTuple

from tests.concurrency.explorer.stops import find_points

__all__ = ("Position", "Scope", "Tracer")

Kind = Literal["stops", "raises"]
_NOTHING: frozenset[int] = frozenset()


class Position(NamedTuple):
    """Where an operation was stopped."""

    file: str
    line: int
    function: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}+{self.offset}"


class Scope:
    """The code that is traced: files below ``folder``. In those that end with one of ``hot``, only switch points."""

    def __init__(self, folder: str, hot: tuple[str, ...] = (), *, every: bool = False) -> None:
        self.folder = folder.rstrip(os.sep) + os.sep
        self._hot = hot
        self._every = every
        self._points: dict[Kind, dict[CodeType, frozenset[int]]] = {"stops": {}, "raises": {}}

    def get_table(self, kind: Kind) -> dict[CodeType, frozenset[int]]:
        """Return the table that `list_points` fills."""
        return self._points[kind]

    def list_points(self, code: CodeType, kind: Kind) -> frozenset[int]:
        """Return the offsets of the points of ``code``; none if it is not in the scope."""
        file = code.co_filename
        if not file.startswith(self.folder):
            points = _NOTHING, _NOTHING
        else:
            points = find_points(
                code, only_switches=file.endswith(self._hot) if self._hot else False, every=self._every
            )
        for name, offsets in zip(("stops", "raises"), points, strict=True):
            self._points[name][code] = offsets
        return self._points[kind][code]

    def locate(self, frame: FrameType) -> Position:
        """Return where ``frame`` is, relative to the folder."""
        code = frame.f_code
        return Position(code.co_filename.removeprefix(self.folder), frame.f_lineno, code.co_name, frame.f_lasti)


class Tracer:
    """Runs callables in a scope; ``count`` is the number of points that the last run passed."""

    def __init__(self, scope: Scope, kind: Kind = "stops") -> None:
        self.count = 0
        self._scope = scope
        self._kind = kind

    def run(self, work: Callable[[], Any], number: int = -1, act: Callable[[FrameType], None] | None = None) -> Any:
        """Call ``work`` and return its result; call ``act`` before its point ``number``, counted from 0."""
        table = self._scope.get_table(self._kind)
        self.count = 0

        def trace_opcode(frame: FrameType, event: str, arg: object) -> Any:
            if event == "opcode" and frame.f_lasti in table[frame.f_code]:
                reached = self.count
                self.count = reached + 1
                if reached == number:
                    sys.settrace(None)
                    act(frame)
                    return None
            return trace_opcode

        return self._trace(work, trace_opcode)

    def run_through(self, work: Callable[[], Any], each: Callable[[FrameType], None]) -> Any:
        """Call ``work`` and return its result; call ``each`` with the frame before each of its points."""
        table = self._scope.get_table(self._kind)

        def trace_opcode(frame: FrameType, event: str, arg: object) -> Any:
            if event == "opcode" and frame.f_lasti in table[frame.f_code]:
                each(frame)
            return trace_opcode

        return self._trace(work, trace_opcode)

    def _trace(self, work: Callable[[], Any], trace_opcode: Callable[[FrameType, str, object], Any]) -> Any:
        scope, kind = self._scope, self._kind
        table = scope.get_table(kind)

        def trace_call(frame: FrameType, event: str, arg: object) -> Any:
            code = frame.f_code
            points = table.get(code)
            if points is None:
                points = scope.list_points(code, kind)
            if not points:
                return None
            frame.f_trace = trace_opcode  # 3.13 looks at it when the next attribute is set
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            return trace_opcode

        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # 3.12 looks once, when the trace function is set
        sys.settrace(trace_call)
        try:
            return work()
        finally:
            sys.settrace(before)
