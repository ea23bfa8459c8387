"""What tests of your own can build on: the contract that every storage keeps."""

from __future__ import annotations

from asyncmetrics.testing.storage import Reader, StorageContract

__all__ = ("Reader", "StorageContract")
