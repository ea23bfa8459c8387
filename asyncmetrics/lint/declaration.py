"""Warnings where a program declares a metric, before anything reads it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from types import FrameType

from asyncmetrics.lint.linting import apply_rules
from asyncmetrics.lint.settings import Ignored, read_ignored
from asyncmetrics.lint.subjects import Others, Subject
from asyncmetrics.model.descriptor import Descriptor
from asyncmetrics.model.kinds import KINDS
from asyncmetrics.registry import REGISTRY, Collector, CollectorRegistry, check_full_registry

__all__ = ("MetricNameWarning", "warn_at_declaration")

_PACKAGE = __name__.partition(".")[0]


class MetricNameWarning(UserWarning):
    """The name, a label or the help text of a metric breaks a rule; the warning names the line that declares it."""


def warn_at_declaration(
    registry: CollectorRegistry = REGISTRY, *, ignore: Iterable[str] | None = None
) -> Callable[[], None]:
    """Warn of each problem of a metric that is declared in ``registry`` from now on; return a function that ends this.

    Call it before the imports that declare the metrics, such as in ``conftest.py``. Each problem is a
    `MetricNameWarning`. If the filters of `warnings` make it an exception, the metric is not registered. ``ignore`` is
    that of `problems`, which also finds what only the values of labels show. Raises `DefinitionError` for a code that
    no rule has or something else than a registry, and `SourceError` for a wrong pyproject.toml.
    """
    check_full_registry(registry)
    ignored = Ignored(read_ignored() if ignore is None else ignore)

    def warn(collector: Collector) -> None:
        descriptor = getattr(collector, "descriptor", None)
        if not isinstance(descriptor, Descriptor):  # a custom collector has no declaration
            return
        for problem in apply_rules(_describe(descriptor), Others()):
            if not ignored.covers(problem):
                message = f"{problem.metric}: {problem.text}; {problem.advice} ({problem.code})"
                warnings.warn(message, MetricNameWarning, stacklevel=_find_stack_level())

    return registry.watch_registrations(warn)


def _describe(descriptor: Descriptor) -> Subject:
    help_text = descriptor.documentation.strip() or None
    kind = KINDS[descriptor.kind].text_type
    return Subject(descriptor.exposed_name, kind, help_text, (), descriptor.all_labelnames)


def _find_stack_level() -> int:
    """Return the stack level, for the caller of this function, of the innermost frame outside the package."""
    level = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
        level += 1
    return level
