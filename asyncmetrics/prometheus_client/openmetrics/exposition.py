"""Writing OpenMetrics 1.0, and names by the escaping schemes, under prometheus_client's names."""

from __future__ import annotations

from asyncmetrics.errors import DefinitionError
from asyncmetrics.formats.negotiation import CONTENT_TYPE_OPENMETRICS
from asyncmetrics.formats.writing.lines import format_label_name, format_name
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics
from asyncmetrics.model.escaping import ALLOW_UTF_8, DOTS, UNDERSCORES, VALUES, check_escaping, escape_name
from asyncmetrics.prometheus_client.utils import floatToGoString, parse_version
from asyncmetrics.registry import Collectable, check_registry
from asyncmetrics.registry.collectables import collect_or_raise, find_self_metrics

__all__ = (
    "ALLOWUTF8",
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_LATEST_2_0",
    "DOTS",
    "ESCAPING_HEADER_TAG",
    "UNDERSCORES",
    "VALUES",
    "escape_label_name",
    "escape_metric_name",
    "floatToGoString",
    "generate_latest",
    "parse_version",
)

ALLOWUTF8 = ALLOW_UTF_8
CONTENT_TYPE_LATEST = CONTENT_TYPE_OPENMETRICS
CONTENT_TYPE_LATEST_2_0 = "application/openmetrics-text; version=2.0.0; charset=utf-8"
"""The content type of a draft, which nothing here writes."""
ESCAPING_HEADER_TAG = "escaping"


def generate_latest(registry: Collectable, escaping: str = UNDERSCORES, version: str = "1.0.0") -> bytes:
    """Return ``registry`` in the OpenMetrics text format.

    ``escaping`` is how names with other characters are written. Raises `DefinitionError` for an unknown escaping, and
    for any ``version`` but 1.0.0, the only one that is a standard.
    """
    check_registry(registry)
    check_escaping(escaping)
    if version != "1.0.0":
        raise DefinitionError("version", f"expected '1.0.0', got {version!r}")
    on_omitted = find_self_metrics(registry).count_omitted_sample
    return b"".join(encode_openmetrics(collect_or_raise(registry), escaping=escaping, on_omitted=on_omitted))


def escape_metric_name(s: str, escaping: str = UNDERSCORES) -> str:
    """Return a metric's name as an exposition has it: escaped, and in quotes if it still needs them."""
    check_escaping(escaping)
    return format_name(escape_name(s, escaping, keep_legacy=False), ALLOW_UTF_8) if s else s


def escape_label_name(s: str, escaping: str = UNDERSCORES) -> str:
    """Return a label's name as an exposition has it: escaped, and in quotes if it still needs them."""
    check_escaping(escaping)
    return format_label_name(escape_name(s, escaping, label=True, keep_legacy=False), ALLOW_UTF_8) if s else s
