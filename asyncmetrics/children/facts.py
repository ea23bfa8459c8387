"""What an info and an enum accept: facts that can be labels, and one of the declared states."""

from __future__ import annotations

from collections.abc import Mapping

from asyncmetrics.children.table import Child
from asyncmetrics.errors import LabelError
from asyncmetrics.model.names import check_label_names, clean_text

__all__ = ("check_facts", "find_state")


def check_facts(child: Child, facts: Mapping[str, object]) -> dict[str, str]:
    """Return ``facts`` as labels. Raises `LabelError` that names a fact that cannot be a label."""
    if not isinstance(facts, Mapping):
        raise LabelError(repr(child), f"expected a mapping of names to text, got {facts!r}")
    taken = set(facts).intersection(child.table.descriptor.all_labelnames)
    if taken:
        raise LabelError(repr(child), f"the facts {sorted(taken)} are already labels of this metric")
    if None in facts.values():  # str(None) would be a fact called "None"
        raise LabelError(repr(child), f"expected text, got None in {dict(facts)!r}")
    try:
        check_label_names(repr(child), facts, frozenset(child.table.descriptor.all_labelnames))
    except ValueError as error:
        raise LabelError(repr(child), str(error)) from None
    return {name: clean_text(str(text)) for name, text in facts.items()}


def find_state(child: Child, state: str) -> int:
    """Return the index of ``state`` among the declared states. Raises `LabelError` for any other."""
    try:
        index: int = child.table.descriptor.states.index(state)
    except ValueError:
        expected = list(child.table.descriptor.states)
        raise LabelError(repr(child), f"expected one of the states {expected}, got {state!r}") from None
    return index
