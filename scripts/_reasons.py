"""The texts of the name tables in docs/migrating.md: why a name of prometheus_client is not here, or differs.

``module.*`` and ``Class.*`` stand for all names below that have no text of their own. What behaves differently under
the same name and with the same arguments is not here: that is the list of differences on the page.
"""

from __future__ import annotations

__all__ = ("DIFFERS", "MISSING", "MISSING_MODULES")

MISSING_MODULES = {
    "mmap_dict": "The files of their multiprocess mode: the workers share their metrics in another way.",
}
"""Modules that are not here."""

MISSING = {
    "decorator.*": "Parts of a copy of another library; `decorate` is here.",
    "multiprocess.MultiProcessCollector.*": "It merges files that are not here: `collect()` merges the workers.",
    "openmetrics.parser.*": "A detail of the parser.",
    "parser.*": "A detail of the parser.",
}
"""Names that are not here."""

_MADE = "Call `time()`, `count_exceptions()` or `track_inprogress()`, which make these objects."
_NUMBER = "A number that belongs to no metric has no use for them."

DIFFERS = {
    "context_managers.ExceptionCounter": _MADE,
    "context_managers.InprogressTracker": _MADE,
    "context_managers.Timer": _MADE,
    "context_managers.Timer.labels": "A method of `t` in `with h.time() as t`; so is `t.duration`.",
    "exposition.gzip_accepted": "Another name of the argument, which programs pass by position.",
    "values.MutexValue": _NUMBER,
    "values.ValueClass": _NUMBER,
}
"""Names with other arguments, and members that are elsewhere."""
