"""`instrument_all`: measure every known library, now or when it is imported."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, final

from asyncmetrics.errors import suggest
from asyncmetrics.integrations.client_options import ServerNames, check_client_options
from asyncmetrics.integrations.libraries import LIBRARIES, Library
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Info
from asyncmetrics.middleware import Conventions
from asyncmetrics.model.checks import list_texts, make_refusal
from asyncmetrics.patching import on_import
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("Instrumentation", "instrument_all")

_log = logging.getLogger("asyncmetrics")

_DISABLED = "ASYNCMETRICS_DISABLED"
_MEASURED: dict[str, Instrumentation] = {}
"""The libraries that are measured or waited for, each by the first call that named it."""


@final
class Instrumentation:
    """What `instrument_all` has begun: a context manager whose end is `undo`."""

    def __init__(self, names: Iterable[str], options: Mapping[str, Any]) -> None:
        self._options = options
        self._undo = ExitStack()
        self._info = Info(
            "asyncmetrics_instrumentation",
            "Libraries that are measured, or why one is not.",
            ["library"],
            registry=options["registry"],
            exist_ok=True,
        )
        for name in names:
            self._await(name, LIBRARIES[name])

    def undo(self) -> None:
        """Leave every library as it was. The metrics stay in their registry, with their values."""
        self._undo.close()

    def __enter__(self) -> Instrumentation:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()

    def _await(self, name: str, library: Library) -> None:
        if _MEASURED.setdefault(name, self) is not self:
            return
        self._undo.callback(_MEASURED.pop, name, None)
        self._undo.callback(on_import(library.module, partial(self._begin, name, library)))

    def _begin(self, name: str, library: Library, _: ModuleType) -> None:
        """Begin to measure a library that has been imported."""
        found = _find_version(library)
        if _to_numbers(found) < library.oldest:
            oldest = ".".join(map(str, library.oldest))
            _log.warning("instrument_all: %s %s is not measured: expected %s or later", name, found, oldest)
            self._expose(name, found, "unsupported")
            return
        try:
            integration = importlib.import_module(library.integration).INTEGRATION
            self._undo.callback(integration.measure_all(self._options))
        except Exception as error:  # noqa: BLE001  # an unknown version of a library must not break the program
            pass_interruption(error)
            _log.warning("instrument_all: %s %s cannot be measured", name, found, exc_info=error)
            self._expose(name, found, "failed")
        else:
            self._expose(name, found, "active")

    def _expose(self, name: str, found: str, state: str) -> None:
        self._info.labels(name).info({"version": found, "state": state})
        self._undo.callback(self._info.remove, name)


def instrument_all(
    *,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    registry: CollectorRegistry = REGISTRY,
    namespace: str = "",
    server: ServerNames | None = None,
    conventions: Conventions = "prometheus",
) -> Instrumentation:
    """Measure the calls of every known library, also of one that is imported later.

    - ``only``, ``exclude``: names of libraries. The environment variable ``ASYNCMETRICS_DISABLED``, such as
      ``httpx,redis``, leaves libraries out as well.
    - ``namespace``: a prefix of the names of all metrics.
    - ``server``: the label ``server`` of HTTP clients, by a mapping or a function of ``host:port``.
    - ``conventions``: ``"opentelemetry"`` names the labels as OpenTelemetry does.

    An object that was instrumented by itself keeps its options. ``asyncmetrics_instrumentation_info`` exposes each
    library with its version and its state: ``active``, ``unsupported`` (an old version) or ``failed``. A library never
    makes this function raise: what cannot be measured is logged and left alone. Where an earlier call measures a
    library already, the options of that call stay.

    Raises `DefinitionError` for a wrong value of an argument.

        >>> from asyncmetrics import CollectorRegistry, instrument_all
        >>> with instrument_all(only=["httpx"], registry=CollectorRegistry()):
        ...     pass  # the program
    """
    options = {"registry": registry, "namespace": namespace, "server": server, "conventions": conventions}
    check_client_options(options)
    chosen = LIBRARIES if only is None else _check_names("only", only)
    left_out = {*_check_names("exclude", exclude), *_read_disabled()}
    return Instrumentation([name for name in chosen if name not in left_out], options)


def _check_names(argument: str, names: Iterable[str]) -> Iterable[str]:
    given = list_texts(argument, names, "names of libraries")
    for name in given:
        if name not in LIBRARIES:
            raise make_refusal(
                argument, f"names among {sorted(LIBRARIES)}", name, suggest(name, LIBRARIES).lstrip("; ")
            )
    return given


def _read_disabled() -> list[str]:
    names = [name.strip() for name in os.environ.get(_DISABLED, "").split(",") if name.strip()]
    for name in names:
        if name not in LIBRARIES:
            _log.warning("%s names %r, which is no library that asyncmetrics knows", _DISABLED, name)
    return names


def _find_version(library: Library) -> str:
    """Return the version of a library that has been imported; an empty text if nothing says it."""
    if not library.distribution:
        return platform.python_version()
    package = sys.modules[library.module.partition(".")[0]]
    version = vars(package).get("__version__")  # without a look at the disk
    if isinstance(version, str):
        return version
    from importlib import metadata  # 20 ms

    try:
        return metadata.version(library.distribution)
    except metadata.PackageNotFoundError:  # a copy inside another package
        return ""


def _to_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version; all are high for a version that cannot be read."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else (10**6,)
