"""``families=``: which families a pusher sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import TypeAlias

from asyncmetrics.model.checks import list_items, make_refusal
from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import list_family_names

__all__ = ("FamilySelection", "make_selector")

FamilySelection: TypeAlias = Iterable[str] | Callable[[Metric], object]
"""Names of families, in which ``*`` and ``?`` stand for any letters; or a predicate of a family."""

_EXPECTED = "a list of names or patterns such as ['http_*'], or a function of a family"


def make_selector(families: FamilySelection | None) -> Callable[[Metric], object] | None:
    """Return a predicate of families, or None for all. Raises `DefinitionError` for a wrong value."""
    if families is None:
        return None
    if callable(families) and not isinstance(families, type):
        return families
    remedy = f"write [{families!r}]" if isinstance(families, str) else ""
    patterns = list_items("families", families, _EXPECTED, remedy=remedy)
    if not patterns:
        raise make_refusal("families", f"{_EXPECTED}, and not an empty one, which sends nothing", patterns)
    texts = [pattern for pattern in patterns if isinstance(pattern, str) and pattern.strip() == pattern != ""]
    if len(texts) != len(patterns):
        wrong = next(pattern for pattern in patterns if pattern not in texts)
        raise make_refusal("families", "names or patterns without spaces around them, each a str", wrong)
    matches = re.compile("|".join(map(translate, texts))).match
    return lambda family: any(map(matches, (family.name, *list_family_names(family.name, str(family.type)))))
