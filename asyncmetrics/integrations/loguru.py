"""loguru: the records that pass the level of a sink, and the exceptions in them.

The hook is the patcher of loguru's core, which is called once for each record, before the sinks. A sink of ours would
let records pass that no other sink takes, and ``logger.remove()`` would remove it. A patcher of the application is
called as before. ``configure`` is wrapped, since it sets another one.

*Counting once.* Where a handler of logging passes its records on to loguru, logging has counted them. Where a sink of
loguru passes its records on to logging, they are counted here. `find_caller` finds the function that passes them on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from importlib import import_module
from types import FrameType
from typing import Any, final

from loguru import logger as _logger

from asyncmetrics.integrations.client_options import CLIENT_DEFAULTS
from asyncmetrics.integrations.library import Integration
from asyncmetrics.integrations.log_records import LogRecords, find_caller, find_level
from asyncmetrics.integrations.logging import INTEGRATION as LOGGING
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.patching import Patch

__all__ = ("INTEGRATION", "LoguruIntegration")

_HANDLE = logging.Handler.handle.__code__


@final
class LoguruIntegration(Integration[LogRecords]):
    """The integration with loguru."""

    def __init__(self) -> None:
        super().__init__("loguru", CLIENT_DEFAULTS, [Patch(type(_logger), "configure", self._wrap_configure)])
        self.patcher: _Patcher | None = None
        """The patcher that counts. Another one passes records on: a patcher of the application may hold it."""

    def make_metrics(self, options: Mapping[str, Any]) -> LogRecords:
        """Return the metrics for these options."""
        return LogRecords(options)

    def hook(self, undo: ExitStack) -> None:
        """Set the patcher, and keep it."""
        super().hook(undo)
        undo.callback(self._remove_patcher)
        self._set_patcher()
        sink: Any = import_module("loguru._simple_sinks").StandardSink  # where a handler of logging is a sink
        undo.callback(LOGGING.ignore_records_of(sink.write.__code__))

    def count(self, record: Any) -> None:
        """Count a record of loguru, unless it comes from logging, which has counted it."""
        try:
            metrics = self._everywhere
            if metrics is None or (LOGGING.is_measuring and _is_counted(find_caller(_HANDLE))):
                return
            name = record["name"] or ""
            metrics.count(name, find_level(record["level"].no))
            error = record["exception"]
            if error is not None and error.type is not None:
                metrics.count_exception(name, error.type)
        except Exception as error:  # noqa: BLE001  # a log call must not fail because of us
            pass_interruption(error)
            self.count_failure(is_logged=False)

    def _set_patcher(self) -> None:
        core: Any = _logger._core  # type: ignore[attr-defined]
        if self.patcher is None or core.patcher is not self.patcher:
            core.patcher = self.patcher = _Patcher(core.patcher)

    def _remove_patcher(self) -> None:
        """Restore the patcher of the application, unless it has put its own around ours: that one stays."""
        core: Any = _logger._core  # type: ignore[attr-defined]
        patcher, self.patcher = self.patcher, None
        if patcher is not None and core.patcher is patcher:
            core.patcher = patcher.inner

    def _wrap_configure(self, configure: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(configure)
        def wrapper(logger: Any, *args: Any, **kwargs: Any) -> Any:
            result = configure(logger, *args, **kwargs)
            if self.patcher is not None:
                try:
                    self._set_patcher()
                except Exception as error:  # noqa: BLE001  # a core without a patcher, in a version to come
                    pass_interruption(error)
                    self.count_failure(is_logged=False)
            return result

        return wrapper


class _Patcher:
    """The patcher of loguru's core that counts each record, and calls the patcher of the application, if it has one."""

    def __init__(self, inner: Callable[[Any], object] | None) -> None:
        self.inner = inner

    def __call__(self, record: Any) -> None:
        if INTEGRATION.patcher is self:
            INTEGRATION.count(record)
        if self.inner is not None:
            self.inner(record)

    def __reduce__(self) -> Any:
        """Let another process unpickle the patcher of the application: our metrics may not be measured there."""
        return _restore, (self.inner,)

    def __deepcopy__(self, memo: Any) -> _Patcher:  # loguru documents it for loggers with other sinks
        return self


def _restore(inner: object) -> object:
    return inner


def _is_counted(handle: FrameType | None) -> bool:
    """Return whether the handler of logging that calls loguru has got a record that logging counts."""
    return handle is not None and LOGGING.find_by_name(handle.f_locals["record"].name) is not None


INTEGRATION = LoguruIntegration()
