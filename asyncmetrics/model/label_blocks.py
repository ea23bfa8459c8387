"""The label block of a child, ``method="GET",route="/"``, and the escapes in it.

`escape_label_value` is the only place where a label value is escaped, for OpenMetrics and for the text format alike:
their escapes are the same (OpenMetrics 1.0, "ABNF": ``escaped-string``).

A child's block is written once, when the child is created. If scrapes wrote the blocks, the first scrape of a million
children would spend most of its time on them, and its memory would grow while it is served. The series of other
workers get theirs at the first scrape that sees them (`asyncmetrics.storage.shared.scrape.numbering`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asyncmetrics.model.escaping import is_legacy_label_name
from asyncmetrics.model.names import clean_text

__all__ = ("escape_label_value", "make_block_writer")


def escape_label_value(text: str) -> str:
    """Escape backslashes, quotes and line feeds, and replace lone surrogates, which UTF-8 cannot encode."""
    if not text.isascii():
        text = clean_text(text)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def make_block_writer(names: Sequence[str]) -> Callable[[tuple[str, ...]], str] | None:
    """Return a function from label values to their block, or None if the block depends on the escaping scheme.

    Every scheme but ``dots`` leaves names of letters, digits and underscores unchanged.
    """
    if not all(is_legacy_label_name(name) for name in names):
        return None
    template = ",".join(f'{name}="%s"' for name in names)
    quotes = 2 * len(names)

    def write(values: tuple[str, ...]) -> str:
        text = template % values  # right unless a value needs escapes, and six times as fast: benchmarks/render.py
        if text.count('"') != quotes or "\\" in text or "\n" in text:
            return template % tuple(map(escape_label_value, values))
        return text

    return write
