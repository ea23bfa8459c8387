"""Tests on asyncio and on trio. pytest-asyncio runs every coroutine function on asyncio, whatever its marks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any

import anyio

from tests.patience import PATIENCE_SECONDS

__all__ = ("on_every_loop",)


def on_every_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Return a test that runs ``test`` on each of the loops; it may use fixtures, but no asynchronous ones."""

    async def limited(**fixtures: Any) -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            await test(**fixtures)

    @wraps(test)
    def run(backend: str, **fixtures: Any) -> None:
        anyio.run(partial(limited, **fixtures), backend=backend)

    own = inspect.signature(test)
    loop = inspect.Parameter("backend", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = own.replace(parameters=[loop, *own.parameters.values()])  # type: ignore[attr-defined]
    return run
