"""Tests on asyncio and on trio, and event loops of the application's own, each in a thread.

pytest-asyncio runs every coroutine function on asyncio, whatever its marks: use `on_every_loop`.
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any

import anyio
from anyio import from_thread, lowlevel

from tests.patience import PATIENCE_SECONDS

__all__ = ("LoopThread", "on_every_loop")


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


class LoopThread:
    """A loop that runs in its own thread until the end of a ``with`` block, or until `stop`.

    ``call(f)`` runs the function or coroutine function ``f`` there, and returns its result.
    """

    def __init__(self, backend: str) -> None:
        self._thread = threading.Thread(target=anyio.run, args=(self._run,), kwargs={"backend": backend})
        self._started: queue.Queue[Any] = queue.Queue()

    def __enter__(self) -> LoopThread:
        self._thread.start()
        self._token, self._end = self._started.get(timeout=PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _run(self) -> None:
        end = anyio.Event()
        self._started.put((lowlevel.current_token(), end))
        await end.wait()

    @property
    def native(self) -> object:
        """The asyncio loop or the token of the trio run."""
        return self._token.native_token

    @property
    def ident(self) -> int | None:
        """The id of the thread."""
        return self._thread.ident

    def call(self, f: Callable[[], Any]) -> Any:
        async def run() -> Any:
            result = f()
            return await result if isinstance(result, Awaitable) else result

        return from_thread.run(run, token=self._token)

    def call_soon(self, f: Callable[[], Any]) -> None:
        """Run ``f`` there, and do not wait for it."""
        threading.Thread(target=lambda: from_thread.run_sync(f, token=self._token), daemon=True).start()

    def stop(self) -> None:
        if self._thread.is_alive():
            from_thread.run_sync(self._end.set, token=self._token)
            self._thread.join(PATIENCE_SECONDS)
