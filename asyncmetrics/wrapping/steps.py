"""The functions to call before and after something that is measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from asyncmetrics.interruptions import pass_interruption

__all__ = ("Begin", "Chooser", "End", "Fail", "Measure", "Started", "call_end")

_log = logging.getLogger("asyncmetrics")

End: TypeAlias = Callable[[float], object]
"""Called at the end with the seconds taken."""

Fail: TypeAlias = Callable[[float, BaseException], object]
"""Called instead of the `End` after an exception, with the seconds and the exception."""

Started: TypeAlias = tuple[End, Fail | None, Callable[[], object] | None]
"""``end`` and ``fail`` of one call that has begun, and the function that undoes the beginning, if it needs one."""

Begin: TypeAlias = Callable[[], Started]

Measure: TypeAlias = tuple[End, Fail | None, Begin | None]
"""``end``, ``fail`` and ``begin``: a ``begin`` is called first, and returns the ``end`` and ``fail`` of this call.

An exact tuple unpacks faster than a named one: benchmarks/decorators.py.
"""

Chooser: TypeAlias = Callable[[tuple[object, ...], Mapping[str, object]], Measure]
"""Returns the measure for a call with these arguments."""


def call_end(end: End, fail: Fail | None, seconds: float, error: BaseException | None) -> None:
    """Call ``fail`` if there is an exception and a ``fail``, else ``end``.

    The exception of the measured code wins: one that ``fail`` or ``end`` raises beside it is logged.
    """
    if error is None:
        end(seconds)
        return
    try:
        if fail is None:
            end(seconds)
        else:
            fail(seconds, error)
    except Exception as own:  # noqa: BLE001  # whatever a metric raises
        pass_interruption(own)
        _log.warning("a call that raised %s was not measured", type(error).__name__, exc_info=own)
