"""The exemplars that children accept: labels of at most 128 characters."""

from __future__ import annotations

import time
from collections.abc import Mapping

from asyncmetrics.children.table import Child
from asyncmetrics.errors import DefinitionError, ExemplarError
from asyncmetrics.model.names import check_label_names, clean_text
from asyncmetrics.model.samples import MAX_EXEMPLAR_CHARACTERS, Exemplar

__all__ = ("make_exemplar",)


def make_exemplar(child: Child, labels: Mapping[str, str], value: float) -> Exemplar | None:
    """Return an exemplar with the present time, or None for an empty mapping.

    Raises `ExemplarError` for labels that are not text, names that are not allowed, or too many characters.
    """
    if not isinstance(labels, Mapping) or not all(type(text) is str for pair in labels.items() for text in pair):
        raise ExemplarError(repr(child), labels, "an exemplar that maps label names to text")
    try:
        check_label_names(repr(child), labels)
    except DefinitionError as error:
        raise ExemplarError(repr(child), labels, f"an exemplar with valid label names ({error.problem})") from None
    size = sum(len(name) + len(text) for name, text in labels.items())
    if size > MAX_EXEMPLAR_CHARACTERS:
        raise ExemplarError(repr(child), labels, f"an exemplar of at most {MAX_EXEMPLAR_CHARACTERS} characters")
    return Exemplar({name: clean_text(text) for name, text in labels.items()}, value, time.time()) if labels else None
