"""Event loops whose clock jumps to the next timer: what takes hours runs at once, at exact times.

The clock also jumps while a thread works, so use it for what runs on the loop alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import trio.testing

__all__ = ("run_in_virtual_time",)


class _JumpingLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that does not wait for its timers."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()
        self._select = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None = None) -> Any:
        if timeout is not None:
            self._now += timeout
            timeout = 0
        return self._select(timeout)


def run_in_virtual_time(backend: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function on a loop whose time begins at 0."""
    options: dict[str, Any] = {"loop_factory": _JumpingLoop}
    if backend == "trio":
        options = {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return anyio.run(main, backend=backend, backend_options=options)
