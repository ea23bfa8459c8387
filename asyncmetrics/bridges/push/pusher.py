"""`Pusher`: collect a registry every ``interval`` seconds, and send it to a sink.

*Rules.* The application wins: no fault of a sink, a collector or this module reaches it.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import final

from asyncmetrics.bridges.push.identity import IdentityFinder
from asyncmetrics.bridges.push.pushing import Pushing, PushTimes
from asyncmetrics.bridges.push.selection import FamilySelection
from asyncmetrics.bridges.push.sink import Sink, check_sink
from asyncmetrics.bridges.push.termination import TERMINATION
from asyncmetrics.bridges.push.work import PushWork
from asyncmetrics.errors import LoopError
from asyncmetrics.interruptions import ignoring
from asyncmetrics.loops import find_home
from asyncmetrics.model.checks import check_limit, check_seconds, check_text, make_refusal
from asyncmetrics.registry import REGISTRY, Collectable, check_registry

__all__ = ("Pusher",)


@final
class Pusher:
    """Push the metrics of ``registry`` to ``sink`` every ``interval`` seconds, on asyncio or trio.

    - ``interval``: seconds between two collections. The first one comes at once.
    - ``shutdown_timeout``: how many seconds the end may take, with its last collection and what is still to be sent.
    - ``families``: names of the families to send, with ``*`` for any letters, such as ``["http_*"]``; or a predicate of
      a family. By default all.
    - ``max_pending``: how many collections wait at most while the server is away. Then the oldest one is dropped.
    - ``job`` and ``instance``: the labels that distinguish this program from others, which a scraper would add; by
      default the name of the application, and the name of the host with the number of the program on it.

    It is an asynchronous context manager; `start` and `stop` do the same. Of several workers that share the registry,
    one pushes, see `CollectorRegistry.lead`. A pusher may be started on several loops: one of them pushes.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    def __init__(
        self,
        sink: Sink,
        registry: Collectable = REGISTRY,
        *,
        interval: float = 15.0,
        shutdown_timeout: float = 5.0,
        families: FamilySelection | None = None,
        max_pending: int = 10,
        job: str | None = None,
        instance: str | None = None,
    ) -> None:
        check_sink("sink", sink)
        check_registry(registry)
        check_seconds("interval", interval)
        check_seconds("shutdown_timeout", shutdown_timeout)
        check_limit("max_pending", max_pending)
        for argument, value, example in (("job", job, "shop"), ("instance", instance, "web-1:0")):
            if value is not None:
                check_text(argument, value, example)
            if value == "":
                raise make_refusal(argument, f"a text such as {example!r}, or None for the default", value)
        self._times = PushTimes(interval, shutdown_timeout)
        self._max_pending = max_pending
        self._identity = IdentityFinder(job, instance)
        self._owner = f"Pusher({sink.name})"
        self._work = PushWork(sink, registry, families, self._identity, self._owner)
        self._sink = sink
        self._process = os.getpid()
        self._pushings: list[Pushing] = []

    def name_application(self, name: str) -> None:
        """Use ``name`` as the job, unless the argument ``job`` or ``OTEL_SERVICE_NAME`` says another one."""
        self._identity.application = name

    def is_started(self) -> bool:
        """Return whether this pusher is started on the running loop."""
        for pushing in self._pushings:  # noqa: SIM110  # `any` takes twice as long, for each request of an application
            if pushing.home.is_running_here():
                return True
        return False

    async def start(self) -> None:
        """Begin to push on the running loop; nothing happens if this pusher is started there already."""
        self._release_ended()
        home = find_home()
        if home is None or self.is_started():
            return
        pushing = Pushing(self._work, self._times, self._max_pending, home, self._owner)
        self._pushings.append(pushing)
        self._choose_first()
        pushing.begin()
        TERMINATION.add(pushing)

    async def stop(self) -> None:
        """Make the last push, within ``shutdown_timeout``, and end pushing on the running loop."""
        self._release_ended()
        for pushing in [one for one in self._pushings if one.home.is_running_here()]:
            try:
                await pushing.stop()
            finally:
                self._release(pushing)

    def stop_all(self) -> None:
        """End pushing on all loops soon, from any thread, each with a last push; do not wait for it."""
        self._release_ended()
        for pushing in list(self._pushings):
            with ignoring(LoopError):
                pushing.call_end()
            self._release(pushing)

    async def push(self) -> None:
        """Collect and send once, now, also while this pusher is started.

        Raises `PushError` (an OSError) if the sink cannot be reached or refuses something; then nothing is tried again.
        """
        try:
            await self._work.push(self._times.collection)
        finally:
            if not self.is_started():
                await self._sink.close()

    def _release_ended(self) -> None:
        if self._process != os.getpid():  # a copy in a forked process, which runs none of the loops
            self._process, self._pushings = os.getpid(), []
        for pushing in list(self._pushings):
            if pushing.home.has_ended():
                self._release(pushing)

    def _release(self, pushing: Pushing) -> None:
        with ignoring(ValueError):  # another thread was faster
            self._pushings.remove(pushing)
        self._choose_first()
        TERMINATION.discard(pushing)

    def _choose_first(self) -> None:
        for number, pushing in enumerate(list(self._pushings)):
            pushing.is_first = not number

    async def __aenter__(self) -> Pusher:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"Pusher({self._sink!r}, interval={self._times.interval:g})"
