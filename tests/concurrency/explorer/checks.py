"""What must be true at the end of an interleaving on a metric with children."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from tests.concurrency.explorer.model import Outcome
from tests.concurrency.explorer.worlds import Problem, Reading, World, make_registry

__all__ = ("check_end",)


def check_end(world: World, allowed: frozenset[Outcome], elsewhere: Callable[[Callable[[], None]], None]) -> None:
    """Add what is wrong to the problems of ``world``; ``elsewhere`` runs a function in another thread."""
    if world.setup.stale:
        Reading(world).finish()  # a child that was counted on comes back with the next reading
    numbers = Reading(world).finish()
    world.problems += _check_table(world, numbers)
    names = world.get_names(numbers)
    if not any(outcome.allows(numbers, names) for outcome in allowed):
        expected = " or ".join(str((dict(one.numbers), sorted(one.names))) for one in allowed)
        world.problems.append(("an outcome of no order", f"{numbers}, {sorted(names)}; expected {expected}"))
    if world.folder:
        world.problems += _check_second_worker(world, numbers)
    world.problems += _check_use(world, elsewhere)
    world.problems += _check_memory(world)


def _check_table(world: World, numbers: dict[str, float]) -> list[Problem]:
    keys = [values[0] for values in world.metric.label_values()]
    differing = set(keys) ^ numbers.keys()
    if len(set(keys)) < len(keys) or differing - world.setup.stale or numbers.keys() - set(keys):
        return [("table and reading differ", f"label_values() {sorted(keys)}, read {sorted(numbers)}")]
    return []


def _check_second_worker(world: World, numbers: dict[str, float]) -> list[Problem]:
    registry = make_registry("shared", world.folder)
    try:
        metric = world.make_metric(registry)
        family = metric.make_family()
        seen = {p.labelvalues[0]: world.get_number(p) for batch in family.read_batches() for p in batch}
        problems = _check_exemplars(world, metric)
    finally:
        registry.storage.close()
    if seen != numbers:
        problems.append(("another worker reads other numbers", f"{seen}, not {numbers}"))
    return problems


def _check_exemplars(world: World, metric: Any) -> list[Problem]:
    """Another worker's ``metric`` has the exemplars of this worker, and those of no other series."""
    problems: list[Problem] = []
    own, theirs = world.read_traces(world.metric), world.read_traces(metric)
    if any(world.keys_by_trace[trace] != key for key, trace in theirs.items()):
        problems.append(("an exemplar of another series", f"{theirs}, of {world.keys_by_trace}"))
    if own != theirs and not world.has_lost_exemplar:
        problems.append(("another worker reads other exemplars", f"{theirs}, not {own}"))
    if world.kind != "traced":
        return problems
    for key in own:
        world.count_one(key)
    own, theirs = world.read_traces(world.metric), world.read_traces(metric)
    if own != theirs:
        problems.append(("another worker does not read new exemplars", f"{theirs}, not {own}"))
    return problems


def _check_use(world: World, elsewhere: Callable[[Callable[[], None]], None]) -> list[Problem]:
    """A new series is shown, here and in another thread, until it is removed."""
    problems: list[Problem] = []
    key = "z"
    if world.setup.max_children:
        world.metric.clear()
    world.count_one(key)
    readings = [world.read_quietly()]
    elsewhere(lambda: readings.append(world.read_quietly()))
    if any(key not in reading for reading in readings):
        problems.append(("a new series is not shown", f"{readings}"))
    world.metric.remove(key)
    if key in world.read_quietly():
        problems.append(("a removed series is shown", f"{key}"))
    return problems


def _check_memory(world: World) -> list[Problem]:
    """Children that are neither in the table nor held are freed after a reading; after `clear` all are."""
    world.held.clear()
    world.named.clear()
    for _ in range(2 if world.setup.stale else 1):
        world.read_quietly()
    present = {id(world.metric.labels(*values)) for values in world.metric.label_values()}
    if any(id(child) not in present for child in _list_alive(world, present)):
        return [("a removed child is not freed", "")]
    present.clear()
    world.metric.clear()
    world.read_quietly()
    return [("a cleared child is not freed", "")] if _list_alive(world, present) else []


def _list_alive(world: World, present: set[int]) -> list[object]:
    """Return the children that are alive though not ``present``; what is only in a cycle is freed first."""
    if not _look(world, present):
        return []
    gc.collect()
    return _look(world, present)


def _look(world: World, present: set[int]) -> list[object]:
    alive = [reference() for reference in world.references]
    return [child for child in alive if child is not None and id(child) not in present]
