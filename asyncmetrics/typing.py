"""Types that several modules share: ASGI applications, label values, and protocols of metrics."""

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

# ASGI (asgi.readthedocs.io) leaves the types of the values open, hence Any.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SCRAPE_KEY = "asyncmetrics.scrape"
"""The key that the exposition sets in the scope of a scrape, so that no middleware counts it."""

LabelValues: TypeAlias = Mapping[str, object]


class Observer(Protocol):
    """A histogram, a summary, or a child of one."""

    def observe(self, amount: float) -> None:
        """Add one observation."""


class Incrementer(Protocol):
    """A counter, a gauge, or a child of one."""

    def inc(self, amount: float = ...) -> None:
        """Increase the number by ``amount``."""
