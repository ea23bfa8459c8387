"""What a shared storage tells of itself: who takes part, what could not be read, kept, or agreed upon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.model.families import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.shared.files.slot_reader import SlotReader

__all__ = ("about_conflicts", "about_sharing", "about_slots")


def about_slots(readers: Iterable[SlotReader]) -> Iterator[Metric]:
    """Yield the families that tell of all slots, but for whom they belong to if that one serves nothing."""
    found = [(reader, reader.header) for reader in readers if reader.header]
    lives = [reader.is_live for reader, header in found if not header.idle]
    workers = GaugeMetricFamily(
        "asyncmetrics_workers", "Processes that share these metrics, and slots of dead ones.", labels=["state"]
    )
    workers.add_metric(["live"], sum(lives))
    workers.add_metric(["dead"], len(lives) - sum(lives))
    yield workers
    yield CounterMetricFamily(
        "asyncmetrics_worker_slot_errors",
        "Times that a slot could not be read or used.",
        sum(header.errors for _, header in found),
    )
    yield CounterMetricFamily(
        "asyncmetrics_worker_dropped_series",
        "Series that there was no room for, or that could not be kept.",
        sum(header.dropped for _, header in found),
    )


def about_conflicts(count: int) -> Metric:
    """Return how many families of workers are left out, as others define them otherwise."""
    text = "Families of workers that are left out, as they were defined otherwise later on."
    return GaugeMetricFamily("asyncmetrics_worker_conflicting_families", text, count)


def about_sharing(*, shared: bool) -> Metric:
    """Return whether the worker that answers takes part."""
    text = "Whether the answering worker shares its metrics."
    return GaugeMetricFamily("asyncmetrics_workers_shared", text, float(shared))
