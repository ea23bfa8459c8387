"""Shared type names: what an ASGI application is, and what can be observed or incremented."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

if sys.version_info >= (3, 11):
    from typing import Unpack
else:  # a dependency of anyio's there; at run time as well, for typing.get_type_hints
    from typing_extensions import Unpack

__all__ = (
    "SCRAPE_KEY",
    "ASGIApp",
    "Incrementer",
    "LabelValues",
    "Message",
    "Observer",
    "Receive",
    "Scope",
    "Send",
    "Unpack",
)

# ASGI (asgi.readthedocs.io) leaves the values of its mappings open, hence the only Any in a public name.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SCRAPE_KEY = "asyncmetrics.scrape"
"""What the exposition writes into the scopes of its own requests, which no middleware counts."""

LabelValues: TypeAlias = Mapping[str, object]


class Observer(Protocol):
    """Something that takes observations: a histogram, a summary, or one child of theirs."""

    def observe(self, amount: float) -> None:
        """Take one observation."""


class Incrementer(Protocol):
    """Something that goes up: a counter, a gauge, or one child of theirs."""

    def inc(self, amount: float = ...) -> None:
        """Go up by ``amount``."""
