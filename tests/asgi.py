"""What a server passes to an ASGI application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ("make_scope",)


def make_scope(
    method: str = "GET",
    path: str = "/metrics",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return the scope of an HTTP request; ``more`` are further keys of it, or other values for these."""
    names = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
    return names | more
