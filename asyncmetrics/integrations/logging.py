"""Python's logging: the records that loggers pass to handlers, and the exceptions in them.

*Theory of operation.* The hook is around ``Logger.filter``, which `logging.Logger.handle` calls once for each record:

- It comes after the level, ``disabled`` and the filters of the logger, so it sees what handlers get.
- It has returned before a handler runs. A wrapper of ``handle`` or ``callHandlers`` would be among the callers of the
  handlers, and those that pass records on to loguru look for the first caller outside of logging.
- The factory of records is called for records that filters reject, and for those that loguru makes for handlers. The
  last program that sets a factory replaces all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from types import CodeType
from typing import Any, final

from asyncmetrics.integrations.client_options import CLIENT_DEFAULTS
from asyncmetrics.integrations.library import Integration
from asyncmetrics.integrations.log_records import LogRecords, find_caller, find_level
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Patch

__all__ = ("INTEGRATION", "LoggingIntegration")


@final
class LoggingIntegration(Integration[LogRecords]):
    """The integration with Python's logging."""

    def __init__(self) -> None:
        super().__init__("logging", CLIENT_DEFAULTS, [Patch(logging.Logger, "filter", self._wrap)])
        self._sources: tuple[CodeType, ...] = ()

    def make_metrics(self, options: Mapping[str, Any]) -> LogRecords:
        """Return the metrics for these options."""
        return LogRecords(options)

    def find(self, part: object) -> LogRecords | None:
        """Return the metrics of a logger: its own, or those of the nearest logger above it."""
        logger: Any = part
        while self._own and logger is not None:
            metrics = self._own.get(id(logger))
            if metrics is not None:
                return metrics
            logger = logger.parent
        return self._everywhere

    @property
    def is_measuring(self) -> bool:
        """Whether any logger is measured."""
        return self._everywhere is not None or bool(self._own)

    def find_by_name(self, name: str) -> LogRecords | None:
        """Return the metrics of the logger with this name."""
        found = logging.root.manager.loggerDict.get(name)  # `getLogger` would lock
        return self.find(found if isinstance(found, logging.Logger) else logging.root)

    def ignore_records_of(self, code: CodeType) -> Callable[[], None]:
        """Leave out the records that the function with this code passes on; return the step that undoes it."""
        self._sources = (*self._sources, code)

        def undo() -> None:
            self._sources = tuple(source for source in self._sources if source is not code)

        return undo

    def _wrap(self, apply_filters: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(apply_filters)
        def filter(logger: Any, record: Any) -> Any:  # the name of the method
            accepted = apply_filters(logger, record)
            if not accepted:
                return accepted
            try:
                metrics = self.find(logger) if self._own else self._everywhere
                if metrics is not None and not (self._sources and self._is_passed_on(record)):
                    metrics.count(record.name, find_level(record.levelno))
                    if record.exc_info:
                        _count_exception(metrics, record)
            except Exception as error:  # noqa: BLE001  # a log call must not fail because of us
                pass_interruption(error)
                self.count_failure(is_logged=False)
            return accepted

        return filter

    def _is_passed_on(self, record: Any) -> bool:
        """Return whether another library has made the record, which always gives it an attribute ``extra``."""
        return "extra" in record.__dict__ and any(find_caller(code) for code in self._sources)


def _count_exception(metrics: LogRecords, record: Any) -> None:
    kind = record.exc_info[0]
    if kind is not None:  # `Logger.exception` was called, but nothing had been raised
        metrics.count_exception(record.name, kind)


INTEGRATION = LoggingIntegration()
