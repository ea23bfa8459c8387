"""What an info and an enum accept: facts that can be labels, and one of the declared states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncmetrics.children.table import Child
from asyncmetrics.errors import DefinitionError, LabelError, show
from asyncmetrics.model.names import check_label_names, clean_text

__all__ = ("NO_FACTS", "check_facts", "find_state")


NO_FACTS: Any = None
"""The default of the argument of ``info()``: there is a default so that ``info(version="1")`` gets here as well."""


def check_facts(child: Child, facts: Mapping[str, object], named: Mapping[str, object]) -> dict[str, str]:
    """Return ``facts`` as labels. Raises `LabelError` that names a fact that cannot be a label.

    ``named`` are keyword arguments that ``info()`` was called with by mistake.
    """
    if named:
        call = ", ".join(f"{name}=…" for name in named)
        raise LabelError(repr(child), f"expected one mapping, got info({call}): write info({show(dict(named))})")
    if not isinstance(facts, Mapping):
        example = "write info({'version': '1.2.3'})"
        raise LabelError(repr(child), f"expected a mapping of names to text, got {show(facts)}: {example}")
    taken = set(facts).intersection(child.table.descriptor.all_labelnames)
    if taken:
        raise LabelError(repr(child), f"the facts {sorted(taken)} are already labels of this metric")
    if None in facts.values():  # str(None) would be a fact called "None"
        raise LabelError(repr(child), f"expected text, got None in {show(dict(facts))}")
    try:
        check_label_names(repr(child), facts, frozenset(child.table.descriptor.all_labelnames))
    except DefinitionError as error:
        raise LabelError(repr(child), error.problem) from None
    return {name: clean_text(str(text)) for name, text in facts.items()}


def find_state(child: Child, state: str) -> int:
    """Return the index of ``state`` among the declared states. Raises `LabelError` for any other."""
    try:
        index: int = child.table.descriptor.states.index(state)
    except ValueError:
        expected = list(child.table.descriptor.states)
        raise LabelError(repr(child), f"expected one of the states {expected}, got {show(state)}") from None
    return index
