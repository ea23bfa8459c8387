"""Which names a program may declare for metrics and labels, and which texts a label may have.

*Rules.*

* Declare metrics and labels with letters of any script, digits, ``_`` and ``.`` (metrics also ``:``), and no digit
  first. Blanks and hyphens are refused: in a declared name they are mistakes.
* Accept any UTF-8 in the names that custom collectors yield: this module does not check them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.model.checks import check_text, make_refusal
from asyncmetrics.model.escaping import ESCAPING_SCHEMES, escape_name
from asyncmetrics.model.kinds import KINDS

__all__ = (
    "build_name",
    "check_label_names",
    "check_metric_name",
    "check_namespace",
    "clean_text",
    "to_label_text",
)

_DECLARED_METRIC_NAME = re.compile(r"[^\W\d][\w.:]*|:[\w.:]*")
_DECLARED_LABEL_NAME = re.compile(r"[^\W\d][\w.]*")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return ``text`` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return _SURROGATES.sub("\ufffd", text)


def to_label_text(value: object) -> str:
    """Return a label's value as text that UTF-8 can encode. A member of a string enumeration becomes its string."""
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return text if text.isascii() else clean_text(text)  # most texts are, and need no search


def build_name(
    kind: str,
    name: str,
    namespace: str = "",
    subsystem: str = "",
    unit: str = "",
    check: Callable[[str, str], None] | None = None,
) -> str:
    """Return the name of the family: all texts joined by ``_``, the unit last, without a counter's ``_total``.

    ``check`` raises if a declared metric cannot have this name; it is `check_metric_name` by default.
    """
    if not isinstance(name, str) or not name:
        example = "orders_total" if kind == "counter" else "orders"
        raise DefinitionError(f"metric name {show(name)}", f"expected a str such as {example!r}")
    for argument, text in (("namespace", namespace), ("subsystem", subsystem), ("unit", unit)):
        if text is not None:  # as prometheus_client, which takes None for ""
            check_text(argument, text, owner=name)
    if unit and not _DECLARED_LABEL_NAME.fullmatch(f"_{unit}"):
        raise make_refusal("unit", "letters, digits, '_' or '.', such as 'seconds'", unit, owner=name)
    written = "_".join(filter(None, (namespace, subsystem, name)))
    joined = written.removesuffix("_total") if kind == "counter" else written
    if unit and not joined.endswith("_" + unit):
        joined = f"{joined}_{unit}"
    if unit and not KINDS[kind].has_unit:
        raise make_refusal("unit", "left out, as infos and enums have no unit", unit, owner=written)
    (check or check_metric_name)(joined, written)
    if kind == "stateset" and ":" in joined:
        raise DefinitionError(
            f"metric name {joined!r}", "expected no ':', as the label of the states has the same name"
        )
    return joined


def check_metric_name(name: str, written: str = "") -> None:
    """Raise `DefinitionError` unless ``name`` is legal for a declared metric; ``written`` is it in the user's words."""
    if not isinstance(name, str) or not _DECLARED_METRIC_NAME.fullmatch(name):
        problem = "expected letters, digits, '_', ':' or '.', and no digit first"
        raise DefinitionError(f"metric name {show(written or name)}", f"{problem}{_suggest_name(written or name)}")


def _suggest_name(name: str) -> str:
    """Return a legal name that is like ``name``, as ``: write 'x'``, or an empty text."""
    legal = re.sub(r"\W+", "_", str(name), flags=re.ASCII).strip("_")
    return f": write {legal!r}" if _DECLARED_LABEL_NAME.fullmatch(legal) else ""


def check_namespace(namespace: object) -> None:
    """Raise `DefinitionError` unless ``namespace`` is empty or legal at the beginning of a metric's name."""
    if namespace != "" and not (isinstance(namespace, str) and _DECLARED_METRIC_NAME.fullmatch(namespace)):
        expected = "letters, digits, '_', ':' or '.', and no digit first, such as 'shop'"
        raise make_refusal("namespace", expected, namespace, _suggest_name(str(namespace)).lstrip(": "))


def check_label_names(metric: str, names: Iterable[str], reserved: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return ``names`` as a tuple, or raise `DefinitionError` with the metric and the wrong label.

    Two names that are equal when escaped are refused: two children could be exposed as one series.
    """
    checked = tuple(names)
    taken = {form for name in reserved for form in _list_written_forms(name)}
    seen: set[tuple[str, str]] = set()
    for name in checked:
        if not isinstance(name, str) or not _DECLARED_LABEL_NAME.fullmatch(name):
            problem = f"expected letters, digits, '_' or '.', and no digit first{_suggest_name(name)}"
        elif name.startswith("__"):
            problem = "names that start with '__' are reserved for Prometheus"
        elif not taken.isdisjoint(forms := _list_written_forms(name)):
            problem = "this name, or its escaped form, is reserved for this metric"
        elif not seen.isdisjoint(forms):
            problem = "this name occurs twice, or another name has the same escaped form"
        else:
            seen |= forms
            continue
        raise DefinitionError(metric, f"bad label name {show(name)}: {problem}")
    return checked


def _list_written_forms(name: str) -> set[tuple[str, str]]:
    """Return how each scheme writes a label: no two labels of a metric may have a form in common."""
    return {(scheme, escape_name(name, scheme, label=True)) for scheme in ESCAPING_SCHEMES}
