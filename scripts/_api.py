"""The public API of a package by introspection, and how two callables, classes or values differ for who uses them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ("differences", "environment_names", "find", "members", "modules", "public_names")

_ENVIRONMENT = re.compile(r"""["'](PROMETHEUS_[A-Z_]+)["']""")


def modules(package: ModuleType) -> list[str]:
    """Return the names of all modules below ``package``, private ones left out."""
    found = (module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    return [name for name in found if not any(part.startswith("_") for part in name.split("."))]


def public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: its ``__all__``, and what it defines without an underscore in front."""
    nodes = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    names = [name for node in nodes for name in _bound(node) if not name.startswith("_")]
    listed = dict.fromkeys([*getattr(module, "__all__", ()), *names])
    return [name for name in listed if type(getattr(module, name, None)).__name__ != "TypeVar"]


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def environment_names(package: ModuleType) -> list[str]:
    """Return the environment variables that the sources of ``package`` name."""
    texts = (path.read_text(encoding="utf-8") for path in Path(next(iter(package.__path__))).rglob("*.py"))
    return sorted({name for text in texts for name in _ENVIRONMENT.findall(text)})


def find(path: str) -> object:
    """Return what the dotted ``path`` leads to, from the longest module in it that there is. Raises `LookupError`."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        if _is_module(".".join(parts[:length])):
            value: object = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                if not hasattr(value, part):
                    raise LookupError(path)
                value = getattr(value, part)
            return value
    raise LookupError(path)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def members(kind: type, instance: object | None) -> list[str]:
    """Return the public members that a class of the package itself has, and those of an ``instance`` of it."""
    package = kind.__module__.partition(".")[0]
    own = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == package]
    names = {name for base in own for name in vars(base)} | set(getattr(instance, "__dict__", {}))
    return sorted(name for name in names if not name.startswith("_"))


def differences(theirs: object, ours: object) -> list[str]:
    """Return in what ``ours`` is another thing for its users than ``theirs``; more arguments by keyword are none."""
    if not callable(theirs):
        alike = type(theirs).__name__ == type(ours).__name__ or _equal(theirs, ours)
        return (
            []
            if alike and (_equal(theirs, ours) or not isinstance(theirs, (str, int, float, tuple)))
            else [f"{ours!r}, not {theirs!r}"]
        )
    wanted, offered = _parameters(theirs), _parameters(ours)
    given = {parameter.name: parameter for parameter in offered}
    found = [text for place, parameter in _reachable(wanted) for text in _missing(parameter, place, offered, given)]
    required = {p.name for p in offered if p.default is p.empty and p.kind not in _VARIABLE}
    return found + [f"`{name}` is required" for name in sorted(required - {p.name for p in wanted})]


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(function: object) -> list[inspect.Parameter]:
    if not callable(function):
        return []
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if parameters and parameters[0].name == "self" else parameters


def _reachable(parameters: list[inspect.Parameter]) -> Iterator[tuple[int | None, inspect.Parameter]]:
    """Yield the parameters with the place at which they may be given: behind a private one that is by keyword only."""
    hidden = False
    for place, parameter in enumerate(parameters):
        hidden = hidden or parameter.name.startswith("_") or parameter.kind is parameter.KEYWORD_ONLY
        if not parameter.name.startswith("_"):
            yield (None if hidden else place), parameter


def _missing(
    wanted: inspect.Parameter,
    place: int | None,
    offered: list[inspect.Parameter],
    given: dict[str, inspect.Parameter],
) -> Iterator[str]:
    if wanted.kind in _VARIABLE:
        if not any(parameter.kind is wanted.kind for parameter in offered):
            yield f"no `*{wanted.name}`"
        return
    found = given.get(wanted.name)
    if found is None:
        yield f"no `{wanted.name}`"
        return
    if place is not None and (place >= len(offered) or offered[place].name != wanted.name):
        yield f"`{wanted.name}` at another place"
    elif place is not None and found.kind is found.KEYWORD_ONLY:
        yield f"`{wanted.name}` by keyword only"
    if wanted.default is not wanted.empty and not _equal(wanted.default, found.default):
        yield f"`{wanted.name}` is {_text(found.default)} by default, not {_text(wanted.default)}"


def _equal(theirs: object, ours: object) -> bool:
    both_callable = callable(theirs) and callable(ours)
    same_class = type(theirs).__module__ != "builtins" and type(theirs).__name__ == type(ours).__name__
    return both_callable or same_class or bool(theirs == ours)


def _text(default: object) -> str:
    return "required" if default is inspect.Parameter.empty else f"`{default!r}`"
