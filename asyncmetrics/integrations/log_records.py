"""The metrics of log records, which logging, structlog and loguru share.

*Rules.* Do not format, lock or log here: this code runs inside of each log call, also in a signal handler or a
finaliser.

*Counting once.* One library may pass its records on to another one. The integration that comes second looks for the
first one among its callers: `find_caller`. Nothing marks a record, since formatters expose all attributes of it.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_right
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any, final

from asyncmetrics.integrations.client_options import name_label
from asyncmetrics.metrics import Counter
from asyncmetrics.model.http_values import OTHER

__all__ = ("LogRecords", "find_caller", "find_level")

_MAX_CHILDREN = 5000  # 1,000 loggers with 5 levels each
_DEEPEST = 8  # calls between two libraries: `Handler.handle`, `emit`, and functions of the application
_OWN_LOGGER = __name__.partition(".")[0]

_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_NUMBERS = tuple(_LEVELS)


def find_level(number: Any) -> str:
    """Return the name of a level: that of the standard level at or below ``number``, or ``debug`` below all of them.

    What is no number is ``_OTHER``.
    """
    return _LEVELS.get(number) or _find_level(number)


def _find_level(number: Any) -> str:
    if not isinstance(number, (int, float)):
        return OTHER
    return _LEVELS[_NUMBERS[max(bisect_right(_NUMBERS, number) - 1, 0)]]


@final
class LogRecords:
    """The counters of the log records with the same options."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        shared: dict[str, Any] = {
            "namespace": options["namespace"],
            "registry": options["registry"],
            "max_children": _MAX_CHILDREN,
            "exemplars": options["exemplars"],
            "exist_ok": True,
        }
        self.find = Counter(
            "log_records_total", "Records that loggers have passed on.", ["logger", "level"], **shared
        ).find
        labels = ["logger", name_label(options, "type")]
        self._find_exception = Counter("log_exceptions_total", "Exceptions in log records.", labels, **shared).find
        self._here = threading.local()

    def count(self, logger: str, level: str) -> None:
        """Count a record of the logger with this name."""
        if logger.startswith(_OWN_LOGGER):
            self._count_own(logger, level)
        else:
            self.find((logger, level)).inc()

    def count_exception(self, logger: str, kind: type[BaseException]) -> None:
        """Count the exception that a record of this logger has."""
        self._find_exception((logger, kind.__name__)).inc()

    def _count_own(self, logger: str, level: str) -> None:
        """Count a record of this package, unless the counting of another one has caused it.

        A storage of workers may log what is wrong with its files when a counter gets a new child.
        """
        here = self._here
        if getattr(here, "is_counting", False):
            return
        here.is_counting = True
        try:
            self.find((logger, level)).inc()
        finally:
            here.is_counting = False


def find_caller(code: CodeType) -> FrameType | None:
    """Return the frame of the function with this code among the nearest callers of the caller; None if it is not."""
    frame = sys._getframe(2)
    for _ in range(_DEEPEST):
        if frame.f_code is code:
            return frame
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None
