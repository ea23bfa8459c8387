"""The wrappers of callables: each calls one function before the callable and one after it.

`steps` has the functions to call, `kinds` one wrapper for each kind of coroutine and generator, `results` the results
that are not finished when their function returns, and `callables` chooses the wrapper of a callable.
"""

from __future__ import annotations

from asyncmetrics.wrapping.callables import find_code, keep_attributes, makes_context_manager, wrap_callable
from asyncmetrics.wrapping.kinds import wrap_awaitable
from asyncmetrics.wrapping.steps import Measure, Started, call_end

__all__ = (
    "Measure",
    "Started",
    "call_end",
    "find_code",
    "keep_attributes",
    "makes_context_manager",
    "wrap_awaitable",
    "wrap_callable",
)
