"""The family whose lines a reader has not read to the end."""

from __future__ import annotations

from typing import final

from asyncmetrics.errors import DefinitionError, ParseError
from asyncmetrics.model.family import Metric
from asyncmetrics.model.samples import Sample

__all__ = ("OpenFamily", "check_family_name")


@final
class OpenFamily:
    """A family whose lines are being read: its ``metadata`` by keyword (``HELP``, ``TYPE``, ``UNIT``) and samples."""

    def __init__(self, name: str, metadata: dict[str, str] | None = None) -> None:
        self.name = name
        self.metadata = {} if metadata is None else metadata
        self.samples: list[Sample] = []

    def add_metadata(self, keyword: str, text: str) -> str:
        """Add a line of metadata. Return what is wrong with it, or ``""``."""
        if self.samples:
            return f"{keyword} has to come before the samples of its family"
        if keyword in self.metadata:
            return f"a second {keyword} for {self.name!r}"
        self.metadata[keyword] = text
        return ""

    def build_metric(self, name: str, kind: str) -> Metric:
        """Return the complete family, under a name and a type that the format decides."""
        metric = Metric(name, self.metadata.get("HELP", ""), kind, self.metadata.get("UNIT", ""))
        metric.samples = self.samples
        return metric


def check_family_name(name: str, number: int, line: str) -> str:
    """Return ``name``. Raise `ParseError` for line ``number`` if a family cannot have this name."""
    try:
        return Metric(name, "", "unknown").name
    except DefinitionError as error:
        raise ParseError(error.problem, number, line) from None
