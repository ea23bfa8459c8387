"""What is explored: the set-ups, and the pairs of operations on each.

A `Case` is one pair on one storage. `list_cases` returns them in a fixed order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from tests.concurrency.explorer.checks import check_end
from tests.concurrency.explorer.model import Model, Outcome, Setup
from tests.concurrency.explorer.natives import NativeSetting
from tests.concurrency.explorer.operations import OPERATIONS, Operation
from tests.concurrency.explorer.registries import RegistrySetting
from tests.concurrency.explorer.worlds import STORAGES, Clock, Reading, World

__all__ = ("MODES", "Case", "Setting", "list_cases")

MODES = ("thread", "handler", "raise", "raise, again", "exit", "exit, again")
"""How A is interrupted: by B in another thread; by B as a signal handler; by an Exception, after which the program
repeats A or not; by an exception that is no Exception, likewise.

Some cases have other modes as well: by B, which is stopped itself until A has ended (``crossed``); by B, and a reading
that is stopped itself (``reading``); by B and a reading, all three switched a few times (``switches``).
"""
_MORE_MODES = {
    "reading": {("new", "use", "use"), ("new", "use", "remake"), ("existing", "remake", "use")},
    "crossed": {
        ("new", "read", "use"),
        ("new", "use", "use"),
        ("existing", "remake", "remake"),
        ("existing", "remake", "remove"),
        ("existing", "read", "remake"),
        ("existing", "clear", "use"),
        ("slice full", "use", "remove_other"),
        ("due, held", "read", "use"),
        ("due, held", "read", "read"),
        ("due, held", "remove", "count"),
        ("due", "use", "remove"),
        ("asleep, held", "read", "count"),
        ("asleep", "use", "use"),
    },
    "switches": {
        ("new", "use", "use"),
        ("new", "use", "remake"),
        ("new", "clear", "use"),
        ("existing", "remake", "remake"),
        ("existing", "remake", "remove"),
        ("existing", "clear", "remake"),
        ("nearly full", "use", "other"),
        ("slice full", "use", "remake"),
        ("slice full", "remake", "remove_other"),
        ("gauge", "set_function", "remove"),
        ("due, held", "read", "use"),
        ("due, held", "remove", "count"),
        ("due", "use", "remove"),
        ("due", "read", "remake"),
        ("asleep, held", "use", "use"),
        ("asleep", "use", "remake"),
        ("registry", "register", "register_rival"),
        ("registry", "register_rival", "register"),
        ("described", "undescribe", "register_target"),
    },
}


class Setting(NamedTuple):
    """A set-up, with the operations that are tried on it: the names of A, and those of B."""

    name: str
    setup: Setup
    first: str
    second: str
    kind: str = "counter"
    storages: tuple[str, ...] = STORAGES
    stale_readings: int = 0  # how many readings have seen that a child is stale when the operations begin

    def make_world(self, storage: str, clock: Clock) -> World:
        """Return a fresh world in the state of this set-up."""
        world = World(storage, self.setup, clock, self.kind)
        if self.setup.stale:
            world.make_stale(self.stale_readings)
        return world

    def make_model(self, choices: Sequence[bool]) -> Model:
        """Return a model in the state of this set-up."""
        return Model(self.setup, choices)

    def get_operation(self, name: str) -> Operation:
        """Return the operation called ``name``."""
        return OPERATIONS[name]

    def begin_reading(self, world: World) -> Reading:
        """Return a reading that has begun."""
        return Reading(world)

    def check_end(
        self, world: World, allowed: frozenset[Outcome], elsewhere: Callable[[Callable[[], None]], None]
    ) -> None:
        """See `checks`."""
        check_end(world, allowed, elsewhere)


AnySetting: TypeAlias = Setting | RegistrySetting | NativeSetting


class Case(NamedTuple):
    """A pair of operations on a storage; ``modes`` are the ways of interrupting A."""

    storage: str
    setting: AnySetting
    a: str
    b: str
    modes: tuple[str, ...]

    @property
    def has_growth_check(self) -> bool:
        """Whether A can be repeated in one world, which operations leave as it was: see `growth`."""
        return (self.setting.name, self.b) in _WITH_GROWTH_CHECK


_WITH_GROWTH_CHECK = {("new", "use"), ("existing", "use"), ("registry", "register"), ("described", "describe")}
_BASE = {"u": 1.0, "v": 2.0}
_WITH_K = {**_BASE, "k": 5.0}
_FOUR = {**_BASE, "n": 0.0, "o": 0.0}  # as many as the first slice of a reading has
_K = frozenset("k")
_EVERY = "use other count remove clear remake read"
_OF_HELD = "read use count remove", "read use labels count remove remake"
_U = frozenset("u")
_REGISTRY_SECOND = "register register_rival unregister declare describe register_target collect"
_NATIVE = "observe observe_zero coarsen widen read", "observe observe_zero coarsen coarsen_more widen remove read"
_X, _XT = _U | {"x"}, _U | {"x", "target"}
SETTINGS: tuple[AnySetting, ...] = (
    Setting("new", Setup(_BASE), "labels use remake clear read", "labels use other remove clear remake read fork"),
    Setting("existing", Setup(_WITH_K, _K), "labels " + _EVERY.replace("other ", ""), _EVERY + " fork"),
    Setting("full", Setup(_WITH_K, max_children=3), "use other", "use other remove remove_other read"),
    Setting("nearly full", Setup(_BASE, max_children=3), "use", "use other remove_other"),
    Setting("slice full", Setup(_FOUR), "use remake read", "use other remake remove_other"),
    Setting("gauge", Setup(_WITH_K, _K), "track set_function read", "track set_function remove remake read", "gauge"),
    Setting("histogram", Setup(_WITH_K, _K), "time read", "time remove remake read", "histogram"),
    Setting("traced", Setup(_WITH_K, _K), "use count remove remake", "use count remove remake", "traced", ("shared",)),
    Setting("due, held", Setup(_WITH_K, _K, _K), *_OF_HELD),
    Setting("due", Setup(_WITH_K, stale=_K), "read use remove clear", "read use labels remove remake"),
    Setting("asleep, held", Setup(_WITH_K, _K, _K), *_OF_HELD, stale_readings=1),
    Setting("asleep", Setup(_WITH_K, stale=_K), "read use remove", "read use labels remove remake", stale_readings=1),
    Setting("forgotten", Setup(_WITH_K, _K, _K), "read use count", "read use labels count remake", stale_readings=2),
    RegistrySetting("registry", _U, "register register_rival describe", _REGISTRY_SECOND),
    RegistrySetting("registered", _X, "register_rival unregister collect", "register_rival unregister collect"),
    RegistrySetting("described", _XT, "describe undescribe register_target", "describe undescribe register_target"),
    NativeSetting("native, both", False, False, *_NATIVE, STORAGES),
    NativeSetting("native only", True, False, *_NATIVE, STORAGES),
    NativeSetting("native, both, due", False, True, *_NATIVE),
    NativeSetting("native only, due", True, True, *_NATIVE),
    RegistrySetting("declared", _U, "declare", "declare collect register", ("memory", "shared")),
)  # fmt: skip


# On shared storage an operation has five times as many points, and an interleaving takes five times as long. So there
# A=read meets only these, on the set-ups whose readings differ; and an exception is followed by one B.
_SECOND_OF_SHARED_READ = {
    "new": "use remake read",
    "existing": "use remake read",
    "due, held": "use",
    "asleep, held": "use",
}


_AFTER_SHARED_EXCEPTION = frozenset({"use", "track", "time"})


def _list_seconds(storage: str, setting: AnySetting, a: str) -> list[str]:
    if storage == "shared" and a == "read":
        return _SECOND_OF_SHARED_READ.get(setting.name, "").split()
    return setting.second.split()


def _list_modes(storage: str, setting: AnySetting, a: str, b: str) -> tuple[str, ...]:
    if b == "fork" or (storage == "shared" and b not in _AFTER_SHARED_EXCEPTION):
        return MODES[:2]
    if storage != "memory" or sys.version_info[:2] == (3, 12):  # 3.12.1 crashes if two threads trace at a time
        return MODES
    return (*MODES, *(mode for mode, chosen in _MORE_MODES.items() if (setting.name, a, b) in chosen))


def list_cases(storages: Iterable[str] = STORAGES) -> Iterator[Case]:
    """Yield every case on ``storages``."""
    for storage in storages:
        for setting in SETTINGS:
            if storage not in setting.storages:
                continue
            for a in setting.first.split():
                for b in _list_seconds(storage, setting, a):
                    yield Case(storage, setting, a, b, _list_modes(storage, setting, a, b))
