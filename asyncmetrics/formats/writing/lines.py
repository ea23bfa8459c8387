"""What both text formats are made of: numbers, escaped text, label blocks, sample lines, chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import final

from asyncmetrics.model.label_blocks import escape_label_value
from asyncmetrics.model.names import (
    DOTS,
    clean_text,
    escape_name,
    is_legacy_label_name,
    is_legacy_metric_name,
    to_label_text,
)

__all__ = (
    "LabelNames",
    "chunks",
    "escape_help",
    "keeps_label_names",
    "label_block",
    "label_parts",
    "sample_line",
    "written_label_name",
    "written_labels",
    "written_name",
)

# A chunk is the work of about half a millisecond, which an event loop can bear: benchmarks/scrape.py.
_CHUNK_CHARACTERS = 16 * 1024
_CHUNK_PIECES = 32


def chunks(pieces: Iterable[str | None]) -> Iterator[bytes]:
    """Join pieces of text, of which some are empty, into chunks of about 16 KiB, or of so many pieces.

    None says that a chunk's work has been done, whatever there is to show for it.
    """
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        if piece is not None:
            waiting.append(piece)
            size += len(piece)
        if piece is None or size >= _CHUNK_CHARACTERS or len(waiting) >= _CHUNK_PIECES:
            yield "".join(waiting).encode("utf-8", "replace")
            waiting.clear()
            size = 0
    if waiting:
        yield "".join(waiting).encode("utf-8", "replace")


def escape_help(text: str, *, quotes: bool) -> str:
    """Escape a HELP text; a carriage return, which some parsers end the line at, becomes a blank."""
    text = clean_text(text).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ")
    return text.replace('"', '\\"') if quotes else text


def written_name(name: str, escaping: str) -> str:
    """Write a metric name, in quotes where it keeps other characters than the legacy ones."""
    written = escape_name(name, escaping)
    return written if is_legacy_metric_name(written) else f'"{escape_label_value(written)}"'


def written_label_name(name: str, escaping: str) -> str:
    """Write a label name, in quotes where it keeps other characters than the legacy ones."""
    written = escape_name(name, escaping, label=True)
    return written if is_legacy_label_name(written) else f'"{escape_label_value(written)}"'


def keeps_label_names(names: Iterable[str], escaping: str) -> bool:
    """Tell whether these names are written as they are, so that a label block is the same under any such scheme."""
    return all(is_legacy_label_name(name) and (escaping != DOTS or "_" not in name) for name in names)


@final
class LabelNames(dict[object, str]):
    """Label names by what a collector calls them, as ``escaping`` writes them; ``""`` for those to be left out.

    A label without a name, or with the name that stands for the metric's own, costs the target its whole scrape.
    """

    def __init__(self, escaping: str) -> None:
        super().__init__()
        self._escaping = escaping

    def __missing__(self, name: object) -> str:
        text = to_label_text(name)
        written = written_label_name(text, self._escaping) if text else ""
        if written == "__name__":
            written = ""
        if type(name) is str:
            self[name] = written
        return written


def written_labels(labels: Mapping[str, str], names: LabelNames) -> dict[str, str]:
    """Return labels under their written names, with texts as values; of two with one name the last stays."""
    written = {
        names[name]: text if type(text) is str and text.isascii() else to_label_text(text)
        for name, text in labels.items()
    }
    if len(written) == len(labels) and "" not in written:
        return written
    written = {}
    for name, text in labels.items():
        written.pop(names[name], None)
        written[names[name]] = to_label_text(text)
    written.pop("", None)
    return written


def label_parts(labels: Mapping[str, str]) -> list[str]:
    """Write each of the labels, whose names are written already."""
    return [f'{name}="{escape_label_value(text)}"' for name, text in labels.items()]


def label_block(labels: Mapping[str, str], names: LabelNames) -> str:
    """Write labels without their braces."""
    return ",".join(label_parts(written_labels(labels, names)))


def sample_line(name: str, block: str, rest: str) -> str:
    """Put a sample together; a name in quotes goes inside the braces."""
    if name.startswith('"'):
        name, block = "", f"{name},{block}" if block else name
    return f"{name}{{{block}}} {rest}\n" if block else f"{name} {rest}\n"
