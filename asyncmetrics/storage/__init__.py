"""Where the numbers live: `MemoryStorage` keeps them in this process, `SharedStorage` in files that workers share.

- `protocol`: `Storage`, which opens a `ChildTable` for each metric. The table makes the metric's children, and the
  children hold the numbers.
- `memory`: `MemoryStorage`. If the process is killed, its numbers are gone.
- `shared`: `SharedStorage`. If a worker is killed, its counts stay: the docstring of the package says how.
- `automatic`: the storage of the default registry, which chooses one of the two. `decision` says when, and
  `automatic_table` how a metric changes from one to the other; `lineage` knows from which program a process descends,
  and when it started.
- `leads`: `Lead`, which one of all workers does what only one of them may do; `AlwaysLeader` for a single process.
- `weak_list`: a list of weak references that other threads may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmetrics.storage.leads import AlwaysLeader, Lead
from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("AlwaysLeader", "Lead", "MemoryStorage", "SharedStorage", "Storage")


if not TYPE_CHECKING:  # with it, type checkers would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Load `SharedStorage` at its first use: a program that is not a worker never needs it."""
        if name == "SharedStorage":
            from asyncmetrics.storage.shared.storage import SharedStorage

            globals()[name] = SharedStorage  # the next use finds it without this function
            return SharedStorage
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
