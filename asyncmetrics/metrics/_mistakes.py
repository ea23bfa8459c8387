"""What is wrong with a declaration of a metric, in the words of the program that declares it."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from inspect import Signature
from math import inf
from typing import Any, TypeVar, cast

from asyncmetrics.context.exemplars import name_source
from asyncmetrics.errors import DuplicateMetricError, show, suggest
from asyncmetrics.model.checks import check_limit, check_seconds, list_texts
from asyncmetrics.model.descriptor import Descriptor, ExemplarProvider

__all__ = (
    "KINDS_OF_OPTIONS",
    "ExplainingType",
    "check_labels",
    "check_limits",
    "describe_difference",
    "explain_duplicate",
)

M = TypeVar("M")

KINDS_OF_OPTIONS = {
    "buckets": "Histogram",
    "states": "Enum",
    "multiprocess_mode": "Gauge",
    "per_worker": "Counter, Summary and Histogram",
    "native": "Histogram",
    "max_buckets": "Histogram",
    "zero_threshold": "Histogram",
    "max_zero_threshold": "Histogram",
    "min_reset_seconds": "Histogram",
    "exemplars": "Counter and Histogram",
}
"""The options that not every kind has, and the classes that have them."""

_REUSE = "Pass exist_ok=True to get the existing one (also error.existing), or unregister it first."
_RENAME = "Declare both alike, give one of them another name, or unregister the existing one (error.existing) first."


def check_labels(
    owner: str,
    labelnames: object,
    context_labels: object,
    own_label: str,
    check: Callable[[str, Iterable[str], frozenset[str]], tuple[str, ...]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the labels and of the context labels. Raises `DefinitionError` that names ``owner``."""
    reserved = frozenset({own_label} - {""})
    names = check(owner, list_texts("labelnames", labelnames, "label names", owner), reserved)
    context = check(owner, list_texts("context_labels", context_labels, "label names", owner), reserved)
    check(owner, (*names, *context), reserved)
    return names, context


def check_limits(owner: str, max_children: object, ttl: object) -> None:
    """Raise `DefinitionError` that names ``owner`` for a limit that makes no sense; None is no limit."""
    if max_children is not None:
        check_limit("max_children", max_children, owner, "an int of 1 or more, or None")
    if ttl is not None and ttl != inf:
        check_seconds("ttl", ttl, owner, "a number of more than 0 seconds, or None")


class ExplainingType(ABCMeta):
    """The type of classes whose wrong calls are errors in the names of the program."""

    def __call__(cls: type[M], *args: Any, **kwargs: Any) -> M:
        """Return a new instance. Raises TypeError that says what is wrong with the arguments."""
        try:
            made: M = type.__call__(cls, *args, **kwargs)
        except TypeError:
            problem = _describe_call(cls.__name__, inspect.signature(cls), args, kwargs)
            if not problem:
                raise
            raise TypeError(problem) from None
        return made

    @property
    def __signature__(cls) -> Signature:
        """What `help` and `inspect.signature` show, which would show `__call__` otherwise."""
        _, *parameters = inspect.signature(cast(Any, cls).__init__).parameters.values()
        return Signature(parameters)


def _describe_call(
    name: str, signature: Signature, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> str | None:
    """Return what is wrong with the arguments of the metric class ``name``; None if they fit its signature.

    An unknown argument comes before a missing one: ``help=`` stands for ``documentation``, which is missing then.
    """
    known = signature.parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    given = args[0] if args else kwargs.get("name")
    call = f"{name}({'' if given is None else show(given)})"
    unknown = None if takes_any else next((argument for argument in kwargs if argument not in known), None)
    if unknown is not None:
        owner = KINDS_OF_OPTIONS.get(unknown)
        verb = "have" if owner and " and " in owner else "has"
        hint = f", which only {owner} {verb}" if owner else suggest(unknown, known)
        return f"{call}: got an unexpected keyword argument {unknown!r}{hint}"
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        order = ", ".join(item.name for item in known.values() if item.kind is item.POSITIONAL_OR_KEYWORD)
        return f"{call}: {error}; the order is {order}"
    return None


def describe_difference(existing: Descriptor, wanted: Descriptor) -> str:
    """Return how ``existing`` differs from what is declared again, or "" if it is what the program wants.

    A declaration that asks for no exemplars is content with any. Two functions count as one: a module that runs twice,
    as in a notebook, makes both.
    """
    if existing != wanted:
        return existing.describe_difference(wanted)
    has, wants = _show_source(existing.exemplars), _show_source(wanted.exemplars)
    return "" if wants in {has, "None"} else f"it has exemplars={has} and not exemplars={wants}"


def _show_source(provider: ExemplarProvider | None) -> str:
    name = name_source(provider)
    return "<function>" if provider and not name else repr(name)


def explain_duplicate(error: DuplicateMetricError, existing: Descriptor, wanted: Descriptor) -> DuplicateMetricError:
    """Return ``error`` with the difference of the two metrics, and advice that helps in this case."""
    difference = describe_difference(existing, wanted)
    problem, advice = (f"it differs: {difference}", _RENAME) if difference else ("", _REUSE)
    return type(error)(error.duplicates, error.existing, error.rejected, problem, advice)
