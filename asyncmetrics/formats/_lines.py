"""What both text formats are made of: numbers, escaped text, label blocks, sample lines, chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.model.names import DOTS, clean_text, escape_name, is_legacy_label_name, is_legacy_metric_name
from asyncmetrics.model.samples import Exemplar, Sample, Timestamp

__all__ = (
    "CHUNK_CHARACTERS",
    "chunks",
    "escape_help",
    "escape_label_value",
    "keeps_label_names",
    "label_block",
    "number",
    "plain_sample",
    "sample_line",
    "written_label_name",
    "written_name",
)

CHUNK_CHARACTERS = 64 * 1024


def chunks(pieces: Iterable[str]) -> Iterator[bytes]:
    """Join pieces of text into chunks of about `CHUNK_CHARACTERS`."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK_CHARACTERS:
            yield "".join(waiting).encode("utf-8", "replace")
            waiting.clear()
            size = 0
    if waiting:
        yield "".join(waiting).encode("utf-8", "replace")


def number(value: float) -> str:
    """Write a double so that Go's ParseFloat reads the same double."""
    if value - value == 0.0:
        return repr(value)
    return "+Inf" if value > 0 else "-Inf" if value < 0 else "NaN"


def escape_help(text: str, *, quotes: bool) -> str:
    """Escape a HELP text; a carriage return, which some parsers end the line at, becomes a blank."""
    text = clean_text(text).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ")
    return text.replace('"', '\\"') if quotes else text


def escape_label_value(text: str) -> str:
    """Escape backslashes, quotes and line feeds, and replace what no UTF-8 can carry."""
    return clean_text(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


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


def plain_sample(sample: Sample) -> Sample | None:
    """Return the sample of a custom collector as the types it should be made of, or None where that cannot be.

    One bad sample must not cost the scrape.
    """
    try:
        if not sample.name.isprintable() or not sample.name:
            return None
        labels = {str(name): str(text) for name, text in sample.labels.items()}
        return Sample(
            sample.name, labels, float(sample.value), _plain_time(sample.timestamp), _plain_exemplar(sample.exemplar)
        )
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None


def _plain_exemplar(exemplar: Exemplar | None) -> Exemplar | None:
    if exemplar is None:
        return None
    labels = {str(name): str(text) for name, text in exemplar.labels.items()}
    return Exemplar(labels, float(exemplar.value), _plain_time(exemplar.timestamp))


def _plain_time(timestamp: float | Timestamp | None) -> float | Timestamp | None:
    if timestamp is None or isinstance(timestamp, Timestamp):
        return timestamp
    seconds = float(timestamp)
    if seconds - seconds != 0.0:
        raise ValueError(f"expected a finite time, got {timestamp!r}")
    return seconds


def label_block(labels: Iterable[tuple[str, str]], escaping: str) -> str:
    """Write labels without their braces; of two whose names one escaping makes equal the last stays."""
    written: dict[str, str] = {}
    for name, value in labels:
        if name:  # a label without a name costs the whole scrape
            own = written_label_name(name, escaping)
            written.pop(own, None)
            written[own] = escape_label_value(value)
    return ",".join([f'{name}="{text}"' for name, text in written.items()])


def sample_line(name: str, block: str, rest: str) -> str:
    """Put a sample together; a name in quotes goes inside the braces."""
    if name.startswith('"'):
        name, block = "", f"{name},{block}" if block else name
    return f"{name}{{{block}}} {rest}\n" if block else f"{name} {rest}\n"
