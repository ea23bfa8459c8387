"""The tests of other packages that fail on purpose: the fixed list that the published shares leave out.

Each test is listed with the reason, and with the words of docs/migrating.md that tell a user of the difference.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("DIFFERENCES", "Difference")


class Difference(NamedTuple):
    """Why a test fails on purpose, and the text of docs/migrating.md about it."""

    reason: str
    documented: str


DIFFERENCES: dict[str, dict[str, Difference]] = {}
