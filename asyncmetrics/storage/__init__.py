"""Where the numbers live: `MemoryStorage` keeps them in this process, `SharedStorage` in files that workers share.

A `Storage` opens a `ChildTable` for each metric; the table makes the metric's children, and the children hold the
numbers. `asyncmetrics.storage.automatic` chooses the storage of the default registry. If a worker with `MemoryStorage`
is killed, its numbers are gone; `asyncmetrics.storage.shared` says what happens to those in `SharedStorage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("MemoryStorage", "SharedStorage", "Storage")


def __getattr__(name: str) -> object:
    """Load `SharedStorage` at its first use: a program that is not a worker never needs it."""
    if name == "SharedStorage":
        from asyncmetrics.storage.shared.storage import SharedStorage

        return SharedStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
