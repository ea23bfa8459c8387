"""What no request shows, in lines: process, event loop, queues, heartbeats, jobs, streams, clients and pools."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias, final

from asyncmetrics.cli.printing import (
    format_age,
    format_count,
    format_milliseconds,
    format_quantity,
    format_rate,
    format_share,
)
from asyncmetrics.cli.table.snapshots import Distribution, Labels, Reading, Snapshot

__all__ = ("Line", "list_lines")


@final
class Line(NamedTuple):
    """What a line is about, its figures, and the families that they come from."""

    subject: str
    figures: str
    families: frozenset[str]


def _get(labels: Labels, *names: str) -> str:
    known = {name.replace(".", "_"): value for name, value in labels}
    return " ".join(known[name] for name in names if known.get(name))


def _format_quantile(distribution: Distribution, q: float) -> str:
    return f"p{q * 100:.0f} {format_milliseconds(distribution.estimate_quantile(q))}"


def _sibling(reading: Reading, name: str, other: str) -> str:
    """Return the name ``other`` with the namespace that ``reading`` has before ``name``."""
    return reading.name[: len(reading.name) - len(name)] + other


def _add_by(reading: Reading | None, *names: str) -> dict[str, Distribution]:
    """Return the sums of the distributions of ``reading`` by the values of some labels."""
    sums: dict[str, Distribution] = {}
    for labels, distribution in reading.distributions.items() if reading else ():
        sums.setdefault(_get(labels, *names), Distribution()).add(distribution)
    return sums


def _list_process(last: Snapshot, increase: Snapshot) -> Iterator[Line]:
    seconds = increase.at or 1
    cpu, memory, files = "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"
    for labels in last.families[cpu].values if cpu in last.families else ():
        parts = [f"{format_share(increase.get_value(cpu, labels) / seconds)} of a CPU"]
        if memory in last.families:
            parts.append(f"{format_quantity(memory, last.get_value(memory, labels), 0)} of memory")
        if files in last.families:
            parts.append(f"{format_count(last.get_value(files, labels))} open files")
        yield Line(f"process {_get(labels, 'worker')}".rstrip(), ", ".join(parts), frozenset({cpu, memory, files}))


def _list_loops(last: Snapshot, increase: Snapshot) -> Iterator[Line]:
    seconds = increase.at or 1
    busy, lag, blocked = "event_loop_busy_seconds_total", "event_loop_lag_seconds", "event_loop_blocked_seconds_total"
    for reading in sorted(last.find(busy), key=lambda one: one.name):
        names = (reading.name, _sibling(reading, busy, lag))
        for labels in sorted(reading.values):
            share = f"{format_share(increase.get_value(names[0], labels) / seconds)} busy"
            delay = _format_quantile(increase.get_distribution(names[1], labels), 0.99)
            yield Line(
                f"event loop {_get(labels, 'worker', 'loop')}".rstrip(), f"{share}, lag {delay}", frozenset(names)
            )
    for reading in increase.find(blocked):
        for labels, value in sorted(reading.values.items()):
            if value:
                yield Line(
                    "",
                    f"{format_share(value / seconds)} blocked by {_get(labels, 'function')}",
                    frozenset({reading.name}),
                )


def _list_queues(last: Snapshot, increase: Snapshot) -> Iterator[Line]:
    name = "queue_length"
    for reading in last.find(name):
        waits = _sibling(reading, name, "queue_item_seconds")
        # The lengths are those of the workers, the times those of all workers together.
        lengths: dict[str, float] = {}
        for labels, length in reading.values.items():
            queue = _get(labels, "queue")
            lengths[queue] = lengths.get(queue, 0.0) + length
        distributions = _add_by(increase.families.get(waits), "queue")
        for queue in sorted(filter(None, lengths)):  # the gauge of another library may have the same name
            distribution = distributions.get(queue, Distribution())
            times = ", ".join(_format_quantile(distribution, q) for q in (0.5, 0.95))
            figures = f"length {format_count(lengths[queue])}, time in it {times}"
            yield Line(f"queue {queue}", figures, frozenset({reading.name, waits}))


def _make_ages(name: str, subject: str, label: str, event: str) -> Callable[[Snapshot, Snapshot], Iterator[Line]]:
    """Return a function that lists how long ago the times of a gauge are."""

    def list_ages(last: Snapshot, _: Snapshot) -> Iterator[Line]:
        for reading in last.find(name):
            for labels, at in sorted(reading.values.items()):
                age = format_age(time.time() - at) if at > 0 else "never"
                worker = _get(labels, "worker")
                if owner := _get(labels, label):
                    owner += f" (worker {worker})" if worker else ""
                    yield Line(f"{subject} {owner}", f"{event} {age}", frozenset({reading.name}))

    return list_ages


def _list_streams(last: Snapshot, _: Snapshot) -> Iterator[Line]:
    for reading in last.find("http_server_active_streams"):
        for labels, active in sorted(reading.values.items()):
            where = _get(labels, "method", "http_request_method", "route", "http_route")
            yield Line("streams", f"{format_count(active)} open, {where}", frozenset({reading.name}))


def _make_clients(name: str, subject: str, *where: str) -> Callable[[Snapshot, Snapshot], Iterator[Line]]:
    """Return a function that lists the calls of a client by where they go."""

    def list_clients(_: Snapshot, increase: Snapshot) -> Iterator[Line]:
        for reading in increase.find(name):
            targets = _add_by(reading, *where)
            for target in sorted(target for target, calls in targets.items() if calls.events):
                calls = targets[target]
                times = ", ".join(_format_quantile(calls, q) for q in (0.5, 0.95))
                figures = f"{format_rate(calls.events / (increase.at or 1))} calls/s, {times}"
                yield Line(f"{subject} {target}", figures, frozenset({reading.name}))

    return list_clients


_DATABASE = ("system", "db_system_name", "operation", "db_operation_name")

_Lister: TypeAlias = Callable[[Snapshot, Snapshot], Iterator[Line]]

# What each line is about; to add one, add a function that yields it.
_LISTERS: tuple[_Lister, ...] = (
    _list_process,
    _list_loops,
    _list_queues,
    _make_ages("heartbeat_last_timestamp_seconds", "heartbeat", "heartbeat", "last beat"),
    _make_ages("periodic_last_success_timestamp_seconds", "job", "periodic", "last success"),
    _make_ages("batch_job_last_success_timestamp_seconds", "batch job", "batch_job", "last success"),
    _list_streams,
    _make_clients("http_client_request_duration_seconds", "HTTP client", "server", "server_address", "server_port"),
    _make_clients("db_client_operation_duration_seconds", "database", *_DATABASE),
)


def list_lines(last: Snapshot, increase: Snapshot) -> Iterator[Line]:
    """Yield a line for each thing that there is; with one snapshot only, ``increase`` is that of no time."""
    for lister in _LISTERS:
        yield from lister(last, increase)
