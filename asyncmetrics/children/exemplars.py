"""The exemplars that children accept: labels of at most 128 characters."""

from __future__ import annotations

import time
from collections.abc import Mapping

from asyncmetrics.children.table import Child
from asyncmetrics.errors import DefinitionError, ExemplarError
from asyncmetrics.model.names import check_label_names, clean_text
from asyncmetrics.model.samples import MAX_EXEMPLAR_CHARACTERS, Exemplar

__all__ = ("NO_EXEMPLAR", "make_exemplar")

NO_EXEMPLAR: Mapping[str, str] = {}
"""The argument ``exemplar`` of an observation that is to have none: its child then asks no provider."""
_REFUSED = "the value is unchanged"


def make_exemplar(child: Child, labels: Mapping[str, str], value: float, outcome: str = _REFUSED) -> Exemplar | None:
    """Return an exemplar with the present time, or None for an empty mapping; ``outcome`` is for the error.

    Raises `ExemplarError` for labels that are not text, names that are not allowed, or too many characters.
    """
    if not isinstance(labels, Mapping) or not all(type(text) is str for pair in labels.items() for text in pair):
        raise ExemplarError(repr(child), labels, "an exemplar that maps label names to text", outcome)
    try:
        check_label_names(repr(child), labels)
    except DefinitionError as error:
        expected = f"an exemplar with valid label names ({error.problem})"
        raise ExemplarError(repr(child), labels, expected, outcome) from None
    size = sum(len(name) + len(text) for name, text in labels.items())
    if size > MAX_EXEMPLAR_CHARACTERS:
        expected = f"an exemplar of at most {MAX_EXEMPLAR_CHARACTERS} characters"
        raise ExemplarError(repr(child), labels, expected, outcome)
    return Exemplar({name: clean_text(text) for name, text in labels.items()}, value, time.time()) if labels else None
