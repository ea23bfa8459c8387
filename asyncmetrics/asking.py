"""Asking sources, such as collectors and gauge functions, for what they return at a collection.

A *source* is called once for a collection. It returns its result at once, or something to await. An *outcome* is the
result, or the exception that the source raised.

*Rules.*

1. Await on the home loop of the source (`asyncmetrics.loops`), whichever thread asks. Without one, await on the loop
   that asks, or in a private asyncio loop if no loop asks.
2. Let no source fail another one, and let none wait for another one if both are async.
3. Never wait on a loop for that loop. Limit each wait for a home loop.

*Theory of operation.* `Asking` is for a caller that cannot await:

1. `Asking.ask` calls a source in this thread. If the result is to be awaited, its home loop is asked to do that; what
   has no home loop is kept.
2. `Asking.wait` runs all that was kept at the same time in one private loop, in its own thread, and waits for all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import copy_context
from functools import lru_cache, partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Generic, Protocol, TypeAlias, TypeVar, final, runtime_checkable

from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import ignoring, pass_interruption
from asyncmetrics.loops import HomeLoop, LoopCall

__all__ = (
    "HOME_SECONDS",
    "Asking",
    "LocalFunction",
    "Outcome",
    "Source",
    "ask_now",
    "close_awaitable",
    "explain_private",
    "is_async_function",
    "is_later",
    "run_privately",
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Outcome: TypeAlias = "T | BaseException"

HOME_SECONDS = 10.0
"""How long a collection that has no deadline of its own waits for home loops: as long as Prometheus by default."""


@runtime_checkable
class LocalFunction(Protocol):
    """An async function about its home loop: it has no numbers after the end of the loop.

    It need not wait if the caller blocks the loop.
    """

    def call_here(self) -> object:
        """Return the result at once, in the thread of the home loop."""
        ...


class Source(Protocol[T_co]):
    """Something that is called at a collection."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def key(self) -> object:
        """What is called: two sources with one key are not called at the same time."""
        ...

    @property
    def is_immediate(self) -> bool:
        """Whether an event loop may call it, as it neither blocks nor waits."""
        ...

    @property
    def home(self) -> HomeLoop | None:
        """The loop that it belongs to."""
        ...

    @property
    def is_async(self) -> bool:
        """Whether it is known before the call that the result is to be awaited, and that the call does not block."""
        ...

    def call(self) -> object:
        """Return the result, or what to await for it."""
        ...

    def call_here(self) -> object:
        """Return the same for a caller that blocks the home loop, which can await nothing."""
        return self.call()

    def read(self, result: object) -> T_co:
        """Return the outcome for a result that is not to be awaited."""
        ...

    async def wait(self, result: object) -> T_co:
        """Return the outcome for what `call` returned, which is to be awaited on the running loop."""
        ...


# Inspecting a function takes 0.6 µs, looking it up 0.2 µs. Bounded, since each source may have its own function: 4096
# entries take 0.6 MB, and the functions that they keep alive.
@lru_cache(maxsize=4096)
def _is_async_code(function: Callable[..., object]) -> bool:
    return iscoroutinefunction(function) or isasyncgenfunction(function)


def is_async_function(function: Callable[..., object]) -> bool:
    """Return whether calling ``function`` only makes a coroutine or an async generator."""
    function = getattr(function, "__func__", function)
    call = getattr(type(function), "__call__", None)  # noqa: B004  # that of a callable object
    try:
        return _is_async_code(function) or (call is not None and _is_async_code(call))
    except TypeError as error:  # a callable object that cannot be hashed
        pass_interruption(error)
        return False


def is_later(result: object) -> bool:
    """Return whether ``result`` is to be awaited."""
    return isinstance(result, (AsyncIterable, Awaitable))


def close_awaitable(result: object) -> None:
    """Close ``result`` if it is an awaitable; without that, Python warns that a coroutine was never awaited."""
    close = getattr(result, "close", None)
    if isinstance(result, Awaitable) and callable(close):
        with ignoring(ValueError):  # another thread runs it by now
            close()


def ask_now(source: Source[T]) -> Outcome[T]:
    """Return the outcome of a source that never waits, called in this thread.

    This function awaits nothing, so a `CancelledError` is the source's own and not a cancellation of this task. An
    exception of a signal handler is for the program.
    """
    try:
        result = source.call()
        if is_later(result):
            close_awaitable(result)
            raise TypeError(f"{source.name} has blocking=False, but returned something to await: declare it async")
        return source.read(result)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # one collector must not fail the scrape of the others
        pass_interruption(error)
        return error


def _make_call(source: Source[T], result: object) -> LoopCall[T]:
    return LoopCall(partial(source.wait, result))


@final
class Asking(Generic[T]):
    """Asks sources for a thread that waits for them.

    It waits for home loops until ``seconds`` have passed, and for the private loop without a limit.
    """

    def __init__(self, seconds: float = HOME_SECONDS) -> None:
        self._deadline = time.monotonic() + seconds
        self._outcomes: dict[Source[T], Outcome[T]] = {}
        self._calls: dict[Source[T], tuple[LoopCall[T], object]] = {}
        self._private: list[Source[T]] = []

    def ask(self, source: Source[T]) -> None:
        """Call ``source`` in this thread; do not wait for what is to be awaited."""
        home = source.home
        try:
            is_here = home is not None and home.is_running_here()
            self._accept(source, source.call_here() if is_here else source.call())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # as in `ask_now`
            pass_interruption(error)
            self._outcomes[source] = error

    def _accept(self, source: Source[T], result: object) -> None:
        if not is_later(result):
            self._outcomes[source] = source.read(result)
            return
        call = _make_call(source, result)
        self._calls[source] = (call, result)
        if source.home is None:
            self._private.append(source)
        elif source.home.is_running_here():
            raise LoopError(
                f"{source.name} is async and belongs to the event loop that this call blocks, so the call cannot wait "
                "for it: use make_asgi_app, serve_metrics or await registry.collect_async(), or call in a thread"
            )
        else:
            call.start(source.home)

    def wait(self) -> dict[Source[T], Outcome[T]]:
        """Return the outcomes of all sources, a `TimeoutError` for one that is late."""
        try:
            self._start_private()
            for source, (call, _) in self._calls.items():
                if source not in self._outcomes:
                    self._outcomes[source] = self._wait_for(source, call)
            return self._outcomes
        finally:
            self.close()

    def _wait_for(self, source: Source[T], call: LoopCall[T]) -> Outcome[T]:
        is_private = source.home is None
        left = max(0.0, self._deadline - time.monotonic())
        outcome = call.wait(None if is_private else left)
        return explain_private(source, outcome) if is_private else outcome

    def _start_private(self) -> None:
        calls = [self._calls[source][0] for source in self._private]
        if not calls:
            return
        # asyncio.run() raises in a thread that runs a loop already. The copy of the context gives the sources the
        # context labels of the caller.
        run = partial(copy_context().run, run_privately, calls)
        try:
            threading.Thread(target=run, name="asyncmetrics-collect", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            pass_interruption(error)
            self._outcomes.update(dict.fromkeys(self._private, error))

    def close(self) -> None:
        """Cancel what has not ended, and close what was never awaited."""
        for call, result in self._calls.values():
            call.cancel()
            if not call.has_begun:
                close_awaitable(result)


def run_privately(calls: list[LoopCall[T]]) -> None:
    """Run ``calls`` at the same time in an event loop of this thread."""
    import asyncio  # 22 ms, and only a source that is async needs it

    async def work() -> None:
        ended = [asyncio.Event() for _ in calls]
        for call, event in zip(calls, ended, strict=True):
            call.on_end(event.set)
            call.start(None)
        for event in ended:
            await event.wait()

    try:
        asyncio.run(work())
    except BaseException as error:  # noqa: BLE001  # no descriptor for a loop: the thread that waits has the outcome
        for call in calls:
            call.fail(error)


def explain_private(source: Source[T], outcome: Outcome[T]) -> Outcome[T]:
    """Return the outcome of a private loop; a RuntimeError, which another loop's locks raise, is explained."""
    if not isinstance(outcome, RuntimeError) or isinstance(outcome, LoopError):
        return outcome
    explained = LoopError(
        f"{source.name} has no event loop of its own, so a private asyncio loop ran it: register it while its loop "
        f"runs, or pass loop=; it raised {type(outcome).__name__}: {outcome}"
    )
    explained.__cause__ = outcome
    return explained
