"""What a scrape of a registry has."""

from __future__ import annotations

from asyncmetrics import CollectorRegistry, generate_latest
from asyncmetrics.model.samples import NativeHistogram
from asyncmetrics.registry.collectables import collect_within

__all__ = ("read_lines", "read_natives", "read_value")


def read_lines(registry: CollectorRegistry, beginning: str) -> list[str]:
    """Return the lines of the text format that begin so."""
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith(beginning)]


def read_value(registry: CollectorRegistry, name: str = "c_total", **labels: str) -> float | None:
    """Return the value of one sample."""
    return registry.get_sample_value(name, labels)


def read_natives(registry: CollectorRegistry, name: str = "h") -> dict[tuple[str, ...], NativeHistogram]:
    """Return the native histograms of a metric by their label values."""
    families = [family for family in collect_within(registry) if family.name == name]
    samples = [sample for family in families for sample in family.samples if sample.native_histogram]
    return {tuple(sample.labels.values()): sample.native_histogram for sample in samples}
