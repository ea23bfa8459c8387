"""`Problem`, what the lint finds, and `Finding`, what a rule finds: a problem without its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

__all__ = ("Finding", "Problem")


@final
@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What a rule finds about one metric.

    ``metric`` is its name in the text format, such as ``orders_total``, ``code`` that of the rule (`RULES`), ``text``
    says what is wrong and ``advice`` what to do. ``label`` is the label that it is about, or ``""``. The texts may hold
    any character that a server has sent: escape control characters before you print them.
    """

    metric: str
    code: str
    text: str
    advice: str
    label: str = ""


@final
class Finding(NamedTuple):
    """What is wrong, what to do, and the label that it is about."""

    text: str
    advice: str
    label: str = ""
