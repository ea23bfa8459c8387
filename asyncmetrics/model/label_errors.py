"""The errors of ``labels()`` and ``remove()``: which labels a metric has, what came, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

from asyncmetrics.errors import LabelError, show, suggest
from asyncmetrics.model.descriptor import Descriptor

__all__ = ("make_label_error", "make_unchosen_error")

_NOTHING: Mapping[str, object] = {}


def make_label_error(
    descriptor: Descriptor, names: tuple[str, ...], values: tuple[object, ...], named: Mapping[str, object] = _NOTHING
) -> LabelError:
    """Return the error for ``values`` in order and ``named`` ones, which do not fit ``names``."""
    problem = _describe_names(descriptor, names, named) if named else f"got the values {show(list(values))}"
    if values and named:
        problem = "give all of them in order or by name, not both"
    has = f"has the labels {list(names)}" if names else "has no labels"
    return LabelError(descriptor.exposed_name, f"{has}: {problem}{_advise(names, values, named)}")


def make_unchosen_error(descriptor: Descriptor) -> LabelError:
    """Return the error for a metric that is used without a value for its labels."""
    names = descriptor.labelnames
    call = ", ".join(f"{name}=…" for name in names)
    return LabelError(
        descriptor.exposed_name, f"has the labels {list(names)}: choose a child by labels() first, as in labels({call})"
    )


def _describe_names(descriptor: Descriptor, names: tuple[str, ...], named: Mapping[str, object]) -> str:
    missing = [name for name in names if name not in named]
    unknown = [name for name in named if name not in names]
    bound = [name for name in unknown if name in descriptor.contextnames]
    parts = [
        f"missing {missing}" if missing else "",
        f"unknown {unknown}{suggest(unknown[0], missing)}" if unknown else "",
        f"context labels are bound: write bound_labels({bound[0]}=…)" if bound else "",
    ]
    return ", ".join(filter(None, parts))


def _advise(names: tuple[str, ...], values: tuple[object, ...], named: Mapping[str, object]) -> str:
    if not names:
        return "; declare their names by labelnames="
    match values:
        case (Mapping(),):
            return f"; write labels(**{show(values[0])})"
        case (list() | tuple(),):
            return f"; write labels(*{show(values[0])})"
        case _:
            return "" if named else "; give one value for each of them"
