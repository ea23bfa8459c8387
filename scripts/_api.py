"""Find the public API of a package by introspection, and the differences of two callables, classes or values."""

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

__all__ = (
    "find",
    "find_environment_names",
    "list_differences",
    "list_members",
    "list_modules",
    "list_public_names",
)

_ENVIRONMENT = re.compile(r"""["'](PROMETHEUS_[A-Z_]+)["']""")


def list_modules(package: ModuleType) -> list[str]:
    """Return the names of all public modules below ``package``."""
    names = (module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def list_public_names(module: ModuleType) -> list[str]:
    """Return the names in ``__all__`` of a module, and the names without a leading underscore that it defines."""
    nodes = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    names = [name for node in nodes for name in _list_bound_names(node) if not name.startswith("_")]
    listed = dict.fromkeys([*getattr(module, "__all__", ()), *names])
    return [name for name in listed if type(getattr(module, name, None)).__name__ != "TypeVar"]


def _list_bound_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def find_environment_names(package: ModuleType) -> list[str]:
    """Return the environment variables that the source files of ``package`` contain."""
    texts = (path.read_text(encoding="utf-8") for path in Path(next(iter(package.__path__))).rglob("*.py"))
    return sorted({name for text in texts for name in _ENVIRONMENT.findall(text)})


def find(path: str) -> object:
    """Return the object at the dotted ``path``, which begins with a module. Raises `LookupError` if there is none."""
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
    except ModuleNotFoundError:  # the parent is not a package
        return False


def list_members(kind: type, instance: object | None) -> list[str]:
    """Return the public members of a class that its own package defines, and those of an ``instance``."""
    package = kind.__module__.partition(".")[0]
    own = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == package]
    names = {name for base in own for name in vars(base)} | set(getattr(instance, "__dict__", {}))
    return sorted(name for name in names if not name.startswith("_"))


def list_differences(theirs: object, ours: object) -> list[str]:
    """Return the differences of ``ours`` from ``theirs`` for a user. Additional keyword arguments are no difference."""
    if not callable(theirs):
        is_alike = type(theirs).__name__ == type(ours).__name__ or _is_equal(theirs, ours)
        return (
            []
            if is_alike and (_is_equal(theirs, ours) or not isinstance(theirs, (str, int, float, tuple)))
            else [f"{ours!r}, not {theirs!r}"]
        )
    their_parameters, our_parameters = _list_parameters(theirs), _list_parameters(ours)
    differences = [
        text
        for position, parameter in _list_public_parameters(their_parameters)
        for text in _compare_parameter(parameter, position, our_parameters)
    ]
    required = {p.name for p in our_parameters if p.default is p.empty and p.kind not in _VARIABLE}
    new = sorted(required - {p.name for p in their_parameters})
    return differences + [f"`{name}` is required" for name in new]


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _list_parameters(function: object) -> list[inspect.Parameter]:
    if not callable(function):
        return []
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if parameters and parameters[0].name == "self" else parameters


def _list_public_parameters(parameters: list[inspect.Parameter]) -> Iterator[tuple[int | None, inspect.Parameter]]:
    """Yield the public parameters with their positions; None for a keyword, or behind a private parameter."""
    is_keyword = False
    for position, parameter in enumerate(parameters):
        is_keyword = is_keyword or parameter.name.startswith("_") or parameter.kind is parameter.KEYWORD_ONLY
        if not parameter.name.startswith("_"):
            yield (None if is_keyword else position), parameter


def _compare_parameter(
    theirs: inspect.Parameter, position: int | None, our_parameters: list[inspect.Parameter]
) -> Iterator[str]:
    """Yield the differences of our parameter with the same name."""
    if theirs.kind in _VARIABLE:
        if not any(parameter.kind is theirs.kind for parameter in our_parameters):
            yield f"no `*{theirs.name}`"
        return
    ours = next((parameter for parameter in our_parameters if parameter.name == theirs.name), None)
    if ours is None:
        yield f"no `{theirs.name}`"
        return
    if position is not None and (position >= len(our_parameters) or our_parameters[position].name != theirs.name):
        yield f"`{theirs.name}` at another position"
    elif position is not None and ours.kind is ours.KEYWORD_ONLY:
        yield f"`{theirs.name}` by keyword only"
    if theirs.default is not theirs.empty and not _is_equal(theirs.default, ours.default):
        yield f"`{theirs.name}` is {_format_default(ours.default)} by default, not {_format_default(theirs.default)}"


def _is_equal(theirs: object, ours: object) -> bool:
    both_callable = callable(theirs) and callable(ours)
    same_class = type(theirs).__module__ != "builtins" and type(theirs).__name__ == type(ours).__name__
    both_nan = theirs != theirs and ours != ours  # noqa: PLR0124  # NaN is not equal to itself
    return both_callable or same_class or both_nan or bool(theirs == ours)


def _format_default(default: object) -> str:
    return "required" if default is inspect.Parameter.empty else f"`{default!r}`"
