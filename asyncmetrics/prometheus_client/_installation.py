"""`install`: from then on, ``import prometheus_client`` in this process is `asyncmetrics.prometheus_client`.

*Theory of operation.*

1. `install` puts a finder in front of all others. For ``prometheus_client`` and its modules it finds a `_Loader`.
2. The loader imports the module of the same name below `asyncmetrics.prometheus_client`, and puts it into `sys.modules`
   under prometheus_client's name. The import system takes it from there, so each module exists once.
3. `uninstall` removes the finder and these names. The next import finds the library itself again.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast, final

from asyncmetrics.errors import InstallationError, shorten

__all__ = ("NAME", "VERSION", "install", "is_installed", "uninstall")

NAME = "prometheus_client"
VERSION = "0.26.0"
"""The version of the library whose names these are."""
_OURS = __name__.rpartition(".")[0]
_MOST_IMPORTERS = 3


@final
class _Loader(Loader):
    """Loads a module of prometheus_client: the one of the same name here."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make a module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module from here into the place of ``module``."""
        name = module.__name__
        sys.modules[name] = importlib.import_module(_OURS + name.removeprefix(NAME))


@final
class _Finder(MetaPathFinder):
    """Finds prometheus_client and its modules here, and no others."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Return the spec of a module of prometheus_client that exists here."""
        if fullname.partition(".")[0] != NAME:
            return None
        found = find_spec(_OURS + fullname.removeprefix(NAME))
        if found is None:
            return None
        return ModuleSpec(fullname, _Loader(), is_package=found.submodule_search_locations is not None)

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        """Yield the metadata of the version that this package implements, unless the library is installed."""
        asked = context or DistributionFinder.Context()
        wanted = (asked.name or "").lower().replace("-", "_")
        if wanted == NAME and next(iter(MetadataPathFinder.find_distributions(asked)), None) is None:
            yield Distribution.at(Path(__file__).with_name("_path") / f"{NAME}-{VERSION}.dist-info")


_FINDER = _Finder()


def is_installed() -> bool:
    """Return whether ``import prometheus_client`` is this package."""
    return _FINDER in sys.meta_path


def install() -> None:
    """Let ``import prometheus_client`` in this process be `asyncmetrics.prometheus_client`; a second call does nothing.

    Libraries that register their metrics with prometheus_client then use asyncmetrics without a changed line. Call it
    before anything imports prometheus_client: raises `InstallationError` (an ImportError), which names the importers,
    if the library itself is loaded already.
    """
    if is_installed():
        return
    loaded = sys.modules.get(NAME)
    if loaded is not None and not _is_path_package(loaded):
        raise InstallationError(
            f"{NAME} is loaded already, by {_describe_importers()}: call install() before the first import of it, or "
            "let the environment have PYTHONPATH=$(python -m asyncmetrics prometheus-client-path)"
        )
    sys.meta_path.insert(0, _FINDER)
    sys.modules[NAME] = sys.modules[_OURS]


def uninstall() -> None:
    """Undo `install`: let ``import prometheus_client`` be the library itself again.

    What has imported it between `install` and this call keeps this package. Where PYTHONPATH has our directory, the
    next import finds that again.
    """
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        if sys.modules[name].__name__.startswith(_OURS):
            del sys.modules[name]


def _is_path_package(module: ModuleType) -> bool:
    """Return whether ``module`` is the package of `asyncmetrics.prometheus_client.path`, which calls `install`."""
    return getattr(module, "__asyncmetrics__", False)


def _describe_importers() -> str:
    names = sorted(set(_list_importers()))
    more = f" and {len(names) - _MOST_IMPORTERS} more" if len(names) > _MOST_IMPORTERS else ""
    return shorten(", ".join(names[:_MOST_IMPORTERS]) + more) if names else "a module that is gone"


def _list_importers() -> Iterator[str]:
    """Yield the modules that have a module, a class, a function or an object of prometheus_client as a global."""
    for name, module in list(sys.modules.items()):
        if type(module) is ModuleType and name.partition(".")[0] not in {NAME, "asyncmetrics"}:
            attributes = dict(vars(module))
            if any(map(_is_theirs, attributes.values())):
                yield f"{name} ({path})" if (path := attributes.get("__file__")) else name


def _is_theirs(value: object) -> bool:
    """Return whether ``value`` is from prometheus_client. Ask it nothing: it may be a proxy that loads something."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        home = object.__getattribute__(value, "__dict__").get("__name__")
    elif issubclass(kind, type):
        home = type.__getattribute__(cast(type, value), "__module__")
    else:
        home = getattr(value, "__module__", None) if kind is FunctionType else kind.__module__
    return isinstance(home, str) and home.partition(".")[0] == NAME
