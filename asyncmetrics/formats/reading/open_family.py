"""A family whose lines are being read."""

from __future__ import annotations

from typing import final

from asyncmetrics.errors import DefinitionError, ParseError
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("OpenFamily", "check_family_name")


@final
class OpenFamily:
    """A family whose lines are being read: ``metadata`` by keyword, and the samples so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metadata: dict[str, str] = {}
        self.samples: list[Sample] = []

    def metric(self, name: str, kind: str) -> Metric:
        metric = Metric(name, self.metadata.get("HELP", ""), kind, self.metadata.get("UNIT", ""))
        metric.samples = self.samples
        return metric

    def add(self, keyword: str, text: str) -> str:
        """Keep one line of metadata, and return what is wrong with it."""
        if self.samples:
            return f"{keyword} has to come before the samples of its family"
        if keyword in self.metadata:
            return f"a second {keyword} for {self.name!r}"
        self.metadata[keyword] = text
        return ""


def check_family_name(name: str, number: int, line: str) -> str:
    """Return ``name`` if a family may be called so."""
    try:
        return Metric(name, "", "unknown").name
    except DefinitionError as error:
        raise ParseError(error.problem, number, line) from None
