"""The names that metrics declare as context labels, and those that are bound although no metric declares them.

*Theory of operation.* A module that declares a metric may be imported after the first binding of its label, so a name
is not judged when it is bound.

1. A binding of an undeclared name puts the name into `suspects`.
2. A metric that declares the name takes it out.
3. The next metric that reads any context label logs the names that are left, once each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from asyncmetrics.errors import show, suggest

__all__ = ("check_names", "declare_labels", "known", "log_suspects", "suspects")

_log = logging.getLogger("asyncmetrics")

_MOST = 100  # names that are remembered: a program may make them from its data

_declared: set[str] = set()
known: set[str] = set()
"""The declared names, and those that were suspects once."""
suspects: dict[str, None] = {}
"""Names that are bound and not declared so far. In the order of their bindings."""


def declare_labels(names: Iterable[str]) -> None:
    """Internal: note that a metric, or a logger of the application, reads these names."""  # noqa: D401
    for name in names:
        _declared.add(name)
        known.add(name)
        suspects.pop(name, None)


def check_names(labels: Iterable[str]) -> None:
    """Remember the names that no metric declares. Call it if ``known`` lacks any of them."""
    for name in labels:
        if name not in known and len(known) < _MOST + len(_declared):
            suspects[name] = None
            known.add(name)


def log_suspects() -> None:
    """Log each name that is bound and not declared."""
    while suspects:
        try:
            name, _ = suspects.popitem()
        except KeyError:  # another thread was faster
            return
        hint = suggest(name, _declared) or "."
        _log.warning("the label %s is bound, but no metric declares it in context_labels%s", show(name), hint)
