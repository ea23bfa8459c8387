"""Reports what an encoder leaves out. The encoders are pure: what a report leads to is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

from asyncmetrics.model.family import Metric
from asyncmetrics.model.kinds import KINDS

__all__ = ("OPENMETRICS", "PROTOBUF", "TEXT", "OmissionHandler", "Omissions")

TEXT = "text"
OPENMETRICS = "openmetrics"
PROTOBUF = "protobuf"

OmissionHandler: TypeAlias = Callable[[str, str, str], None]
"""Takes the name of a family, the format (`TEXT`, `OPENMETRICS` or `PROTOBUF`) and the reason, for each sample that is
left out.

The name is the one that the text format writes, such as ``orders_total``. A family that is left out as a whole is
reported once. The reason holds no label values.
"""

_UNNAMED = "(without a valid name)"


@final
class Omissions:
    """What one exposition in ``format`` leaves out; each sample is reported to ``handler``."""

    def __init__(self, format: str, handler: OmissionHandler | None) -> None:
        self._format = format
        self._handler = handler

    def add(self, family: object, reason: str, count: int = 1) -> None:
        """Report ``count`` samples of ``family`` that are left out for one ``reason``."""
        if self._handler is not None:
            for _ in range(count):
                self._handler(_get_name(family), self._format, reason)


def _get_name(family: object) -> str:
    name = family.name if isinstance(family, Metric) else None
    if not isinstance(family, Metric) or not isinstance(name, str) or not name.isprintable() or not name:
        return _UNNAMED
    kind = KINDS.get(family.type) if isinstance(family.type, str) else None  # a collector may overwrite it
    return name + kind.text_suffix if kind else name
