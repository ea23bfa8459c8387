"""The label block of a child, ``method="GET",route="/"``, and the escapes in it.

`escape_label_value` is the only place where a label value is escaped, for OpenMetrics and for the text format alike:
their escapes are the same (OpenMetrics 1.0, "ABNF": ``escaped-string``).

The labels of a block are in the order of their names, as prometheus_client writes them. The names are sorted once for a
definition, not for each child.

A child's block is written once, when the child is created. If scrapes wrote the blocks, the first scrape of a million
children would spend most of its time on them, and its memory would grow while it is served. The series of other
workers get theirs at the first scrape that sees them (`asyncmetrics.storage.shared.scrape.numbering`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import final

from asyncmetrics.model.escaping import is_legacy_label_name
from asyncmetrics.model.names import clean_text

__all__ = ("LabelPlace", "escape_label_value", "make_block_writer", "make_written_block_writer")

_VALUE = r'"[^"\\]*(?:\\.[^"\\]*)*"'  # with its quotes and escapes, as a regular expression


def escape_label_value(text: str) -> str:
    """Escape backslashes, quotes and line feeds, and replace lone surrogates, which UTF-8 cannot encode."""
    if not text.isascii():
        text = clean_text(text)
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def make_block_writer(names: Sequence[str], *, omit_empty: bool = False) -> Callable[[tuple[str, ...]], str] | None:
    """Return a function from label values to their block, or None if the block depends on the escaping scheme.

    Every scheme leaves names of letters, digits and underscores unchanged.
    """
    if not all(is_legacy_label_name(name) for name in names):
        return None
    return make_written_block_writer(names, names, omit_empty=omit_empty)


def make_written_block_writer(
    names: Sequence[str], written: Sequence[str], *, omit_empty: bool = False
) -> Callable[[tuple[str, ...]], str]:
    """Return a function from label values, in the order of ``names``, to their block.

    The block is sorted by ``names``, and has the ``written`` form of each. With ``omit_empty`` it has no label whose
    value is empty.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    if omit_empty:
        pairs = [(index, f'{written[index]}="') for index in order]
        return lambda values: ",".join(f'{head}{escape_label_value(values[i])}"' for i, head in pairs if values[i])
    template = ",".join(f'{written[index]}="%s"' for index in order)
    quotes = template.count('"')

    def write(values: tuple[str, ...]) -> str:
        text = template % values  # right unless a value needs escapes, and six times as fast: benchmarks/render.py
        if text.count('"') != quotes or "\\" in text or "\n" in text:
            return template % tuple(map(escape_label_value, values))
        return text

    if order == list(range(len(names))):
        return write
    select = itemgetter(*order)  # of two names or more, so that it returns a tuple

    def write_sorted(values: tuple[str, ...]) -> str:  # `write` again, as a call of it costs a sixth of the block
        values = select(values)
        text = template % values
        if text.count('"') != quotes or "\\" in text or "\n" in text:
            return template % tuple(map(escape_label_value, values))
        return text

    return write_sorted


@final
class LabelPlace:
    """Where one more label stands among the sorted labels of a block: the label ``name`` among those with ``names``.

    ``write_name`` returns the written form of a name. With ``omit_empty`` a block may lack some of the labels.
    """

    def __init__(
        self, name: str, names: Sequence[str], write_name: Callable[[str], str] = str, *, omit_empty: bool = False
    ) -> None:
        earlier = sorted(other for other in names if other <= name)
        later = sorted(other for other in names if other > name)
        self.is_first = not earlier
        self.is_middle = bool(earlier and later)
        # The text before which the label stands. The end of a value may be the same text, up to the value's quote.
        self._marker = f',{write_name(later[0])}="' if self.is_middle and not omit_empty else ""
        self._earlier = list(map(write_name, earlier)) if self.is_middle else []

    def insert(self, block: str, label: str) -> str:
        """Return ``block`` with ``label`` at its place."""
        before, after = self.cut(block)
        return f"{before}{label}{after}"

    def cut(self, block: str) -> tuple[str, str]:
        """Return what stands before the label and what stands after it, with their commas."""
        if not block:
            return "", ""
        if self.is_first:
            return "", f",{block}"
        if not self.is_middle:
            return f"{block},", ""
        end = block.find(self._marker) if self._marker else -1
        if (end < 0 or block.find(self._marker, end + 1) >= 0) and (earlier := re.match(self._make_pattern(), block)):
            end = earlier.end()
        return (f"{block[:end]},", block[end:]) if end else ("", f",{block}")

    def _make_pattern(self) -> str:
        """Return a pattern of the labels before this one: made here, since scrapes make a place for each slice."""
        return "".join(f"(?:,?{re.escape(name)}={_VALUE})?" for name in self._earlier)
