"""Names, labels and sample lines as text, in both text formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

from asyncmetrics.model.escaping import escape_name, is_legacy_label_name, is_legacy_metric_name
from asyncmetrics.model.label_blocks import escape_label_value
from asyncmetrics.model.names import clean_text, to_label_text

__all__ = (
    "LabelNames",
    "escape_help",
    "format_label_block",
    "format_label_name",
    "format_labels",
    "format_name",
    "format_sample_line",
    "rename_labels",
)


def escape_help(text: str, *, quotes: bool) -> str:
    """Return a HELP text with its escapes; ``quotes`` is whether the format escapes quotes as well.

    A carriage return becomes a blank, as some parsers end the line there.
    """
    text = clean_text(text).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ")
    return text.replace('"', '\\"') if quotes else text


def format_name(name: str, escaping: str, suffix: str = "") -> str:
    """Return a metric name, escaped, and in quotes if it still has other characters than the legacy ones.

    For a sample of a family, ``name`` is the family's, and ``suffix`` is appended to its escaped form.
    """
    escaped = escape_name(name, escaping) + suffix
    return escaped if is_legacy_metric_name(escaped) else f'"{escape_label_value(escaped)}"'


def format_label_name(name: str, escaping: str) -> str:
    """Return a label name, escaped, and in quotes if it still has other characters than the legacy ones."""
    escaped = escape_name(name, escaping, label=True)
    return escaped if is_legacy_label_name(escaped) else f'"{escape_label_value(escaped)}"'


_MAX_ORDERS = 1000  # label sets with different names, such as infos with different facts, in one exposition


@final
class LabelNames(dict[object, str]):
    """Maps the label names of a collector to their written form, or to ``""`` if the label has to be left out.

    Prometheus gives up the whole scrape for a label without a name, or with the name ``__name__``.
    """

    def __init__(self, escaping: str) -> None:
        super().__init__()
        self.has_renamed = False  # whether the written form of one of the names differs from it
        self._orders: dict[tuple[object, ...], list[tuple[str, str]]] = {}
        self._escaping = escaping

    def __missing__(self, name: object) -> str:
        text = to_label_text(name)
        written = format_label_name(text, self._escaping) if text else ""
        if written == "__name__":
            written = ""
        if written != name:
            self.has_renamed = True
        if type(name) is str:  # equal objects, such as 1 and True, can have different texts
            self[name] = written
        return written

    def order(self, labels: Iterable[str]) -> list[tuple[str, str]]:
        """Return the names of ``labels`` in their order, each with its written form.

        Of two names with one written form only the last one of ``labels`` is returned.
        """
        key = tuple(labels)
        order = self._orders.get(key)
        if order is None:
            last = {self[name]: name for name in key}
            last.pop("", None)
            order = sorted(((name, written) for written, name in last.items()), key=_get_text)
            if len(self._orders) < _MAX_ORDERS and all(type(name) is str for name in key):
                self._orders[key] = order
        return order


def _get_text(pair: tuple[object, str]) -> str:
    return to_label_text(pair[0])


def rename_labels(labels: Mapping[str, str], names: LabelNames) -> dict[str, str]:
    """Return labels under their written names, with texts as values, in the order of their names.

    Of two labels with one written name the last one in ``labels`` stays.
    """
    return {
        written: text if type(text := labels[name]) is str and text.isascii() else to_label_text(text)
        for name, written in names.order(labels)
    }


def format_labels(labels: Mapping[str, str]) -> list[str]:
    """Return each label as ``name="value"``. The names are in their written form (see `rename_labels`)."""
    return [f'{name}="{escape_label_value(text)}"' for name, text in labels.items()]


def format_label_block(labels: Mapping[str, str], names: LabelNames) -> str:
    """Return labels without their braces."""
    return ",".join(format_labels(rename_labels(labels, names)))


def format_sample_line(name: str, block: str, rest: str) -> str:
    """Return a sample line; ``rest`` is what follows the labels. A name in quotes goes inside the braces."""
    if name.startswith('"'):
        name, block = "", f"{name},{block}" if block else name
    return f"{name}{{{block}}} {rest}\n" if block else f"{name} {rest}\n"
