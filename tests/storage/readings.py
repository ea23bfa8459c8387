"""What a scrape of a registry has."""

from __future__ import annotations

from asyncmetrics import CollectorRegistry, generate_latest

__all__ = ("read_lines", "read_value")


def read_lines(registry: CollectorRegistry, beginning: str) -> list[str]:
    """Return the lines of the text format that begin so."""
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith(beginning)]


def read_value(registry: CollectorRegistry, name: str = "c_total", **labels: str) -> float | None:
    """Return the value of one sample."""
    return registry.get_sample_value(name, labels)
