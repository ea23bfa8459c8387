"""Where the numbers live: `MemoryStorage` keeps them in this process, `SharedStorage` in files that workers share.

- `protocol`: `Storage`, the protocol that metrics and registries use. A storage of your own implements it.
- `memory`: `MemoryStorage` and its children; an observation chooses its bucket in ``memory/plain.py``.
- `shared`: `SharedStorage`: its children, its files, and the scrape that merges the numbers of all workers.
- `automatic`: the storage of the default registry, which chooses one of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("MemoryStorage", "SharedStorage", "Storage")


def __getattr__(name: str) -> object:
    """Load `SharedStorage` at its first use: a program without workers never needs it."""
    if name == "SharedStorage":
        from asyncmetrics.storage.shared.storage import SharedStorage

        return SharedStorage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
