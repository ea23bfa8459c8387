"""A registry with collectors: operations on it, their model, and what must be true at the end.

There are three collectors. ``x`` and ``y`` have a name in common, so that at most one of them is registered, and the
name that ``y`` claims first is its own. ``u`` is registered throughout. ``declared`` is a metric of the library. The
target's info takes a name as well, which ``t`` has too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from asyncmetrics import Counter
from asyncmetrics.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from asyncmetrics.errors import DuplicateMetricError, UnknownCollectorError
from tests.concurrency.explorer.operations import Operation, Step
from tests.concurrency.explorer.worlds import Clock, Problem, make_folder, make_registry, remove_folder

__all__ = ("RegistrySetting",)

_NAMES = {
    "u": {"u"},
    "x": {"m", "m_total", "m_created"},
    "y": {"a", "m_created"},
    "t": {"target_info"},
    "target": {"target_info"},
    "declared": {"m", "m_total", "m_created"},
}
_FAMILIES: dict[str, Callable[[], Any]] = {
    "u": lambda: [GaugeMetricFamily("u", "u", 1)],
    "x": lambda: [CounterMetricFamily("m", "x", 1)],
    "y": lambda: [GaugeMetricFamily("a", "y", 1), GaugeMetricFamily("m_created", "y", 1)],
    "t": lambda: [InfoMetricFamily("target", "t", {"a": "t"})],
}
_TARGET = {"a": "target"}


class _Collector:
    def __init__(self, owner: str) -> None:
        self.collect = self.describe = _FAMILIES[owner]


class RegistryOutcome(NamedTuple):
    """Which owners of names are registered, and how the operations ended."""

    owners: frozenset[str]
    results: frozenset[tuple[str, str]]


class RegistryModel:
    """A registry as a set of owners of names."""

    def __init__(self, owners: frozenset[str]) -> None:
        self.owners = set(owners)
        self.named: dict[str, str] = {}  # how each operation ended

    def add(self, name: str, owner: str) -> Step:
        is_free = not any(_NAMES[owner] & _NAMES[other] for other in self.owners)
        if is_free:
            self.owners.add(owner)
        yield
        self.named[name] = "done" if is_free else "refused"

    def discard(self, name: str, owner: str) -> Step:
        is_known = owner in self.owners
        self.owners.discard(owner)
        yield
        self.named[name] = "done" if is_known else "refused"

    def declare(self, name: str) -> Step:
        yield from self.add(name, "declared")

    def describe(self, name: str) -> Step:
        if "target" in self.owners:
            yield
            self.named[name] = "done"
        else:
            yield from self.add(name, "target")

    def undescribe(self, name: str) -> Step:
        yield from self.discard(name, "target")
        self.named[name] = "done"

    def read(self) -> Step:
        yield

    def get_outcome(self) -> RegistryOutcome:
        return RegistryOutcome(frozenset(self.owners), frozenset(self.named.items()))


class RegistryReading:
    """A collection: the owners that were certain when it began, and still are, must be in it once."""

    def __init__(self, world: RegistryWorld) -> None:
        self._world = world
        self._certain = dict(world.certain)

    def step(self) -> bool:
        """Do nothing: a collection is one step."""
        return False

    def is_waiting(self) -> bool:
        """Collect everything, and return False."""
        self.finish()
        return False

    def finish(self) -> list[str]:
        """Collect, judge, and return the owners of the families."""
        world = self._world
        families = list(world.registry.collect())
        names = [_OWNERS.get(family.documentation, family.documentation) for family in families]
        failures = sum(s.value for family in families if family.documentation == _FAILURES for s in family.samples)
        if failures > world.failures:  # a collector that raises is left out and counted, whatever it raises
            world.failures = failures
            return names
        for owner, since in self._certain.items():
            expected = 2 if owner == "y" else 1
            if world.certain.get(owner) is since and names.count(owner) != expected:
                world.problems.append(("missing in a collection", f"{owner} is not in {names}"))
        return names


_FAILURES = "Collections in which a collector or callback failed or was late."
_OWNERS = {"Target metadata": "target"}


class RegistryWorld:
    """A registry; see `RegistryModel` for the methods."""

    def __init__(self, storage: str, owners: frozenset[str]) -> None:
        self.folder = make_folder() if storage == "shared" else ""
        self.registry = make_registry(storage, self.folder)
        self.problems: list[Problem] = []
        self.named: dict[str, str] = {}
        self.most_empty_steps = 0
        self._begun_removals = self._ended_removals = 0
        self.failures = 0.0  # that the registry has counted
        self.certain: dict[str, object] = {}
        self.collectors = {owner: _Collector(owner) for owner in _FAMILIES}
        for owner in owners:
            _exhaust(self.describe("") if owner == "target" else self.add("", owner))
        self.named.clear()

    def add(self, name: str, owner: str) -> Step:
        self._try(name, owner, lambda: self.registry.register(self.collectors[owner]))
        return
        yield

    def discard(self, name: str, owner: str) -> Step:
        with self._removal(owner):
            try:
                self.registry.unregister(self.collectors[owner])
            except UnknownCollectorError:
                self.named[name] = "refused"
            else:
                self.named[name] = "done"
        return
        yield

    def declare(self, name: str) -> Step:
        self._try(name, "declared", lambda: Counter("m", "declared", registry=self.registry))
        return
        yield

    def describe(self, name: str) -> Step:
        self._try(name, "target", lambda: self.registry.set_target_info(_TARGET))
        return
        yield

    def undescribe(self, name: str) -> Step:
        with self._removal("target"):
            self.registry.set_target_info(None)
            self.named[name] = "done"
        return
        yield

    @contextmanager
    def _removal(self, owner: str) -> Iterator[None]:
        """The owner is not certain, nor becomes so by a registration that began before the end of this."""
        self._begun_removals += 1
        self.certain.pop(owner, None)
        try:
            yield
        finally:
            self._ended_removals += 1

    def _try(self, name: str, owner: str, register: Callable[[], object]) -> None:
        before = self._begun_removals, self._ended_removals
        try:
            register()
        except DuplicateMetricError:
            self.named[name] = "refused"
            return
        self.named[name] = "done"
        if before == (self._begun_removals,) * 2:
            self.certain.setdefault(owner, object())

    def read(self) -> Step:
        RegistryReading(self).finish()
        return
        yield

    def read_quietly(self) -> None:
        """Collect, and judge nothing."""
        list(self.registry.collect())

    def in_handler(self) -> AbstractContextManager[None]:
        """Do what a signal handler does: a registry promises the same there."""
        return nullcontext()

    def has_counted_failure(self) -> bool:
        """Return whether a collection has left out a collector that raised, and counted it."""
        RegistryReading(self).finish()
        return bool(self.failures)

    def tidy(self) -> None:
        """Unregister what operations have registered."""
        self.named.clear()
        self.problems.clear()
        self.registry.set_target_info(None)
        for owner in ("x", "y", "t"):
            _exhaust(self.discard("", owner))

    def check_end(self, allowed: frozenset[RegistryOutcome], elsewhere: Callable[[Callable[[], None]], None]) -> None:
        """Compare the outcome with the model's, and try whether every name is taken or free as it should be."""
        names: list[list[str]] = []
        elsewhere(lambda: names.append(RegistryReading(self).finish()))
        names.append(RegistryReading(self).finish())
        outcome = RegistryOutcome(frozenset(_NAMES.keys() & names[0]), frozenset(self.named.items()))
        if set(names[0]) != set(names[1]):
            self.problems.append(("two threads collect different families", f"{names}"))
        if outcome not in allowed:
            self.problems.append(("an outcome of no order", f"{outcome}; expected one of {sorted(map(str, allowed))}"))
        self._check_names(set(outcome.owners))
        self._check_release(set(outcome.owners))

    def _is_taken(self, owner: str) -> bool:
        """Try to register a new collector with the names of ``owner``, and undo that."""
        probe = _Collector("x" if owner == "declared" else "t" if owner == "target" else owner)
        try:
            self.registry.register(probe)
        except DuplicateMetricError:
            return True
        self.registry.unregister(probe)
        return False

    def _check_names(self, owners: set[str]) -> None:
        for owner, names in _NAMES.items():
            expected = any(names & _NAMES[other] for other in owners)
            if self._is_taken(owner) != expected:
                kind = "a name is free though it is collected" if expected else "a name is taken and not collected"
                self.problems.append((kind, f"the names of {owner}; collected are {sorted(owners)}"))
        if bool(self.registry.get_target_info()) != ("target" in owners):
            self.problems.append(("the target's info is not what is exposed", f"{self.registry.get_target_info()}"))

    def _check_release(self, owners: set[str]) -> None:
        """All that is registered can be unregistered, and all names are free after that."""
        self.registry.set_target_info(None)
        for owner in owners & self.collectors.keys():
            self.registry.unregister(self.collectors[owner])
        if "declared" in owners:
            same = Counter("m", "declared", registry=self.registry, exist_ok=True)
            same.inc()
            if self.registry.get_sample_value("m_total") != 1:
                self.problems.append(("a declared metric does not count", ""))
            self.registry.unregister(same)
        for owner in ("u", "x", "y", "t"):
            if self._is_taken(owner):
                self.problems.append(("a name stays taken", owner))

    def close(self) -> None:
        """Give back files."""
        remove_folder(self.registry, self.folder)


def _exhaust(steps: Iterator[Any]) -> None:
    for _ in steps:
        pass


def _on(method: str, *owner: str) -> Callable[[Any, str], Iterator[None]]:
    def operate(subject: Any, name: str) -> Step:
        yield from getattr(subject, method)(name, *owner)

    return operate


def collect(subject: Any, name: str) -> Step:
    yield from subject.read()


REGISTRY_OPERATIONS: dict[str, Operation] = {
    "register": _on("add", "x"),
    "register_rival": _on("add", "y"),
    "unregister": _on("discard", "x"),
    "declare": _on("declare"),
    "describe": _on("describe"),
    "undescribe": _on("undescribe"),
    "register_target": _on("add", "t"),
    "unregister_target": _on("discard", "t"),
    "collect": collect,
}


class RegistrySetting(NamedTuple):
    """A set-up of a registry: the owners that are registered, and the operations that are tried on it."""

    name: str
    owners: frozenset[str]
    first: str
    second: str
    storages: tuple[str, ...] = ("memory",)

    def make_world(self, storage: str, clock: Clock) -> RegistryWorld:
        """Return a fresh world in the state of this set-up."""
        return RegistryWorld(storage, self.owners)

    def make_model(self, choices: Sequence[bool]) -> RegistryModel:
        """Return a model in the state of this set-up; it has no choices."""
        return RegistryModel(self.owners)

    def get_operation(self, name: str) -> Operation:
        """Return the operation called ``name``."""
        return REGISTRY_OPERATIONS[name]

    def begin_reading(self, world: RegistryWorld) -> RegistryReading:
        """Return a reading that has begun."""
        return RegistryReading(world)

    def check_end(self, world: RegistryWorld, allowed: Any, elsewhere: Callable[[Callable[[], None]], None]) -> None:
        """See `RegistryWorld.check_end`."""
        world.check_end(allowed, elsewhere)
