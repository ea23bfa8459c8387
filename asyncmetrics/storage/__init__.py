"""Where the numbers live: `MemoryStorage` keeps them in this process, `SharedStorage` in files that workers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage

if TYPE_CHECKING:
    from asyncmetrics.storage.shared.storage import SharedStorage

__all__ = ("MemoryStorage", "SharedStorage", "Storage")


if not TYPE_CHECKING:  # with it, type checkers would take any name for one of the package

    def __getattr__(name: str) -> object:
        """Load `SharedStorage` at its first use: a program that is no worker never needs it."""
        if name == "SharedStorage":
            from asyncmetrics.storage.shared.storage import SharedStorage

            return SharedStorage
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
