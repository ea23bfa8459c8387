"""`instrument_all`: measure every known library, now or when it is imported."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from threading import RLock
from types import ModuleType, TracebackType
from typing import Any, final

from asyncmetrics.context.exemplars import ExemplarSource
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
_OTHER_NAMES = {
    **dict.fromkeys(("requests", "botocore", "boto3"), "urllib3"),
    **dict.fromkeys(("openai", "anthropic"), "httpx"),
    **dict.fromkeys(("log", "logger", "logs"), "logging"),
    **dict.fromkeys(("psycopg3", "postgresql", "postgres"), "psycopg"),
}
"""Names that a program may have for a library: what is built on it, or what it talks to."""

_INSTRUMENTATIONS: dict[str, list[Instrumentation]] = {}
"""The calls that measure a library, or wait for its import: the first one does it, the others take over from it."""

_LOCK = RLock()


@final
class _Steps:
    """The steps that undo the measuring of a library. They may come while another thread takes them back."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._is_closed = False
        self._lock = RLock()

    def add(self, step: Callable[[], object]) -> None:
        """Add a step; take it at once if all others were taken."""
        with self._lock:
            if not self._is_closed:
                self._undo.callback(step)
                return
        step()

    def close(self) -> None:
        """Take all steps, the last one first."""
        with self._lock:
            self._is_closed = True
        self._undo.close()


@final
class Instrumentation:
    """What `instrument_all` has begun: a context manager whose end is `undo`."""

    def __init__(self, names: Iterable[str], options: Mapping[str, Any]) -> None:
        self._options = options
        self._steps: dict[str, _Steps] = {}  # of each library that this call measures
        self._undo = ExitStack()
        self._info = Info(
            "asyncmetrics_instrumentation",
            "Libraries that are measured, or why one is not.",
            ["library"],
            registry=options["registry"],
            exist_ok=True,
        )
        self._names = list(names)
        for name in self._names:
            self._join(name)

    def undo(self) -> None:
        """Leave every library as it was. The metrics stay in their registry, with their values."""
        self._undo.close()

    def __repr__(self) -> str:
        return f"<Instrumentation of {', '.join(self._names) or 'nothing'}>"

    def __enter__(self) -> Instrumentation:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()

    def _join(self, name: str) -> None:
        with _LOCK:
            calls = _INSTRUMENTATIONS.setdefault(name, [])
            calls.append(self)
            self._undo.callback(self._leave, name)
            if calls[0] is self:
                self._start(name)
            elif calls[0]._options != self._options:
                _log.warning(
                    "instrument_all: an earlier call measures %s; its options stay until its undo(), and those of this "
                    "call are ignored until then",
                    name,
                )

    def _leave(self, name: str) -> None:
        with _LOCK:
            calls = _INSTRUMENTATIONS[name]
            calls.remove(self)
            steps = self._steps.pop(name, None)
            if steps is not None:
                steps.close()
                if calls:
                    calls[0]._start(name)
            if not calls:
                del _INSTRUMENTATIONS[name]

    def _start(self, name: str) -> None:
        """Measure a library, now or when it is imported."""
        steps = self._steps[name] = _Steps()
        steps.add(on_import(LIBRARIES[name].module, partial(self._begin, name, steps)))

    def _begin(self, name: str, steps: _Steps, _: ModuleType) -> None:
        """Begin to measure a library that has been imported. Do not take `_LOCK`: it is held during another import."""
        library = LIBRARIES[name]
        found = _find_version(library)
        state = "active"
        if _to_numbers(found) < library.oldest:
            oldest = ".".join(map(str, library.oldest))
            _log.warning("instrument_all: %s %s is not measured: expected %s or later", name, found, oldest)
            state = "unsupported"
        else:
            try:
                integration = importlib.import_module(library.integration).INTEGRATION
                steps.add(integration.measure_all(self._options))
            except Exception as error:  # noqa: BLE001  # an unknown version of a library must not break the program
                pass_interruption(error)
                _log.warning("instrument_all: %s %s cannot be measured", name, found, exc_info=error)
                state = "failed"
        self._info.labels(name).info({"version": found, "state": state})
        steps.add(partial(self._info.remove, name))


def instrument_all(
    *,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    registry: CollectorRegistry = REGISTRY,
    namespace: str = "",
    server: ServerNames | None = None,
    conventions: Conventions = "prometheus",
    native: bool | int = False,
    exemplars: ExemplarSource | None = None,
) -> Instrumentation:
    """Measure the calls of every known library, also of one that is imported later.

    - ``only``, ``exclude``: names of libraries. The environment variable ``ASYNCMETRICS_DISABLED``, such as
      ``httpx,redis`` or ``all``, leaves libraries out as well.
    - ``namespace``: a prefix of the names of all metrics.
    - ``server``: the label ``server`` of HTTP clients, by a mapping or a function of ``host:port``.
    - ``conventions``: ``"opentelemetry"`` names the labels as OpenTelemetry does.
    - ``native``: whether durations and sizes are native histograms as well, or their schema.
    - ``exemplars``: where exemplars come from, such as ``"trace"``.

    An object that was instrumented by itself keeps its options. ``asyncmetrics_instrumentation_info`` exposes each
    library with its version and its state: ``active``, ``unsupported`` (an old version) or ``failed``. A library never
    makes this function raise: what cannot be measured is logged and left alone. Where an earlier call measures a
    library already, the options of that call count until it is undone.

    Raises `DefinitionError` for a wrong value of an argument, and `DuplicateMetricError` if the registry has another
    metric with the name ``asyncmetrics_instrumentation``.

        >>> from asyncmetrics import CollectorRegistry, instrument_all
        >>> with instrument_all(only=["httpx"], registry=CollectorRegistry()):
        ...     pass  # the program
    """
    options = {
        "registry": registry,
        "namespace": namespace,
        "server": server,
        "conventions": conventions,
        "native": native,
        "exemplars": exemplars,
    }
    check_client_options(options)
    chosen = LIBRARIES if only is None else _check_names("only", only)
    left_out = {*_check_names("exclude", exclude), *_read_disabled()}
    return Instrumentation([name for name in chosen if name not in left_out], options)


def _check_names(argument: str, names: Iterable[str]) -> Iterable[str]:
    given = list_texts(argument, names, "names of libraries")
    for name in given:
        if name not in LIBRARIES:
            other = _OTHER_NAMES.get(name.lower())
            remedy = f"write {other!r}" if other else suggest(name, LIBRARIES).lstrip("; ")
            raise make_refusal(argument, f"names among {sorted(LIBRARIES)}", name, remedy)
    return given


def _read_disabled() -> list[str]:
    names = [name.strip() for name in os.environ.get(_DISABLED, "").split(",") if name.strip()]
    if names == ["all"]:
        return list(LIBRARIES)
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
