"""The metrics that shared storage exposes about itself: its workers, its errors, its conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmetrics.model.families import CounterMetricFamily, GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.storage.shared.files.slot_reader import SlotReader

__all__ = ("describe_conflicts", "describe_sharing", "describe_slots")


def describe_slots(readers: Iterable[SlotReader]) -> Iterator[Metric]:
    """Yield the families about all slots.

    The slot of a supervisor is not counted as a worker: its header is ``idle``. Its errors are counted.
    """
    headers = [(reader, reader.header) for reader in readers if reader.header]
    lives = [reader.is_live for reader, header in headers if not header.idle]
    workers = GaugeMetricFamily(
        "asyncmetrics_workers", "Processes that share these metrics, and slots of dead ones.", labels=["state"]
    )
    workers.add_metric(["live"], sum(lives))
    workers.add_metric(["dead"], len(lives) - sum(lives))
    yield workers
    yield CounterMetricFamily(
        "asyncmetrics_worker_slot_errors",
        "Failed attempts to read or use a slot.",
        sum(header.errors for _, header in headers),
    )
    yield CounterMetricFamily(
        "asyncmetrics_worker_dropped_series",
        "Series that are not shared, for lack of room or after an error.",
        sum(header.dropped for _, header in headers),
    )


def describe_conflicts(count: int) -> Metric:
    """Return the number of families that are left out, because a newer definition of one of their names differs."""
    text = "Families of workers that are left out, because a newer definition differs."
    return GaugeMetricFamily("asyncmetrics_worker_conflicting_families", text, count)


def describe_sharing(*, shared: bool) -> Metric:
    """Return the family that says whether this worker shares its metrics."""
    text = "Whether the worker that answers shares its metrics."
    return GaugeMetricFamily("asyncmetrics_workers_shared", text, float(shared))
