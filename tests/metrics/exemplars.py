"""A provider of exemplars, and the exemplars that a scrape finds."""

from __future__ import annotations

__all__ = ("Provider", "scrape")


class Provider:
    """Returns ``{"n": …}`` with the number of the call, or None if it is not sampled."""

    def __init__(self):
        self.calls = 0
        self.is_sampled = True

    def __call__(self):
        self.calls += 1
        return {"n": str(self.calls)} if self.is_sampled else None


def scrape(registry):
    return {
        (sample.name, sample.labels.get("le", "")): (dict(sample.exemplar.labels), sample.exemplar.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.exemplar
    }
