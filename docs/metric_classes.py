"""Complete the metric classes of the API reference: the arguments that a class takes, and the methods that it has.

A metric has the methods of its children, which the classes inherit through internal classes whose docstrings only point
to another one. The constructor is written once, for all kinds. A reader looks for ``Counter.inc`` and for the arguments
of a counter, so this extension of the site's builder copies both to the class that the program imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import griffe

_BASE = "metrics._base.MetricBase"
_INTERFACES = "children.interfaces"
# The options of each type argument of MetricBase after the child: NoReturn where the kind does not have them.
_OPTIONS = (
    ("buckets",),
    ("states",),
    ("multiprocess_mode",),
    ("per_worker",),
    ("native",),
    ("max_buckets", "zero_threshold", "max_zero_threshold", "min_reset_seconds"),
    ("exemplars",),
)
_METHODS = ("labels", "remove", "remove_by_labels", "clear", "label_values")
# For the library and its integrations, not for programs.
_HIDDEN = {"labels", "require_labels", "is_fixed", "read_context", "in_context", "count_dropped", "recorder"}


def _copy_method(method: griffe.Function, returns: Any = None) -> griffe.Function:
    parameters = griffe.Parameters(
        *(
            griffe.Parameter(one.name, annotation=one.annotation, kind=one.kind, default=one.default)
            for one in method.parameters
        )
    )
    copied = griffe.Function(
        method.name,
        lineno=method.lineno,
        endlineno=method.endlineno,
        parameters=parameters,
        returns=returns or method.returns,
        docstring=method.docstring,
    )
    # A signature for a type checker that differs from the function's only by its types adds nothing for a reader.
    copied.overloads = None
    return copied


def _list_methods(child: griffe.Object | griffe.Alias | None, package: griffe.Module) -> Iterator[griffe.Function]:
    """Yield the methods of a child class and of the internal classes that it derives from, each name once."""
    seen, interfaces = set(_HIDDEN), package[_INTERFACES].members
    while isinstance(child, griffe.Class):
        for name, method in child.members.items():
            if isinstance(method, griffe.Function) and not name.startswith("_") and name not in seen:
                seen.add(name)
                yield method
        child = interfaces.get(str(child.bases[0]))  # the last one derives from an imported class: an alias


def _make_constructor(cls: griffe.Class, base: griffe.Class, types: list[str]) -> griffe.Function:
    constructor = _copy_method(base["__init__"])
    shape = cls.members.get("_make_shape")
    for options, annotation in zip(_OPTIONS, types, strict=True):
        for option in options:
            if annotation == "NoReturn":
                del constructor.parameters[option]
                continue
            parameter, declared = constructor.parameters[option], shape.parameters[option]
            parameter.annotation, parameter.default = annotation, declared.default
    return constructor


class MetricClasses(griffe.Extension):
    """Give every metric class its constructor, the methods of its children, and those of every metric."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Complete a class that derives from ``MetricBase[…]``."""
        parsed = ast.parse(str(cls.bases[0]), mode="eval").body if cls.bases else None
        if not (isinstance(parsed, ast.Subscript) and ast.unparse(parsed.value) == "MetricBase"):
            return
        child, *types = (ast.unparse(one) for one in parsed.slice.elts)
        package = cls.package
        base = package[_BASE]
        cls.set_member("__init__", _make_constructor(cls, base, types))
        for method in _list_methods(package[_INTERFACES][child], package):
            cls.set_member(method.name, _copy_method(method))
        for name in _METHODS:
            cls.set_member(name, _copy_method(base[name], returns=child if name == "labels" else None))
