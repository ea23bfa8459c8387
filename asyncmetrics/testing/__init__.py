"""Helpers for tests of your own: `StorageContract`, the tests that every storage must pass."""

from __future__ import annotations

from asyncmetrics.testing.storage import Reader, StorageContract

__all__ = ("Reader", "StorageContract")
