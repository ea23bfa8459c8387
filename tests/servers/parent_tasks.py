"""What `parent_app` runs in other processes."""

from __future__ import annotations

from asyncmetrics import Counter

counted = Counter("counted_total", "What was counted.")
held = Counter("held_total", "The same.", ["n"]).labels("x")


def count() -> None:
    """Count once."""
    counted.inc()
    held.inc()
