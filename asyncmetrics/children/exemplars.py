"""The exemplars that children accept."""

from __future__ import annotations

import time
from collections.abc import Mapping

from asyncmetrics.children.table import Child
from asyncmetrics.errors import ExemplarError
from asyncmetrics.model.names import check_label_names, clean_text
from asyncmetrics.model.samples import Exemplar

__all__ = ("make_exemplar",)


_EXEMPLAR_LIMIT = 128


def make_exemplar(child: Child, labels: Mapping[str, str], value: float) -> Exemplar | None:
    """Return an exemplar of now, None without labels; or raise `ExemplarError`.

    OpenMetrics 1.0, "Exemplars": 128 code points in all.
    """
    if not isinstance(labels, Mapping) or not all(type(text) is str for pair in labels.items() for text in pair):
        raise ExemplarError(repr(child), labels, "an exemplar that maps label names to text")
    try:
        check_label_names(repr(child), labels)
    except ValueError as error:
        raise ExemplarError(repr(child), labels, f"an exemplar with proper label names ({error})") from None
    size = sum(len(name) + len(text) for name, text in labels.items())
    if size > _EXEMPLAR_LIMIT:
        raise ExemplarError(repr(child), labels, f"an exemplar of at most {_EXEMPLAR_LIMIT} characters, not {size},")
    return Exemplar({name: clean_text(text) for name, text in labels.items()}, value, time.time()) if labels else None
