"""`Sender`: one attempt to send a payload, and what follows from its outcome.

*Rules.*

1. Drop the part that was refused for good, and go on with the next one.
2. Log the first failure, the recovery, and each kind of refusal once: a server that is down for a day makes two lines.
3. Pass on what a signal handler raises, and cancellations. Let nothing else out.
"""

from __future__ import annotations

import logging
import random
import re
from time import perf_counter
from typing import final

import anyio

from asyncmetrics.bridges.push.metrics import PushMetrics
from asyncmetrics.bridges.push.sink import Payload, Sink
from asyncmetrics.errors import PushError
from asyncmetrics.interruptions import pass_interruption

__all__ = ("Sender",)

_log = logging.getLogger("asyncmetrics")

# After a server was down for T seconds, the next attempt comes within T/3: doubling delays would make it T.
_SHARE = 0.25  # of the time since the first failure: each delay is about 1.25 times the one before
_SHORTEST_SECONDS = 0.5
_LONGEST_SECONDS = 60.0
_LONGEST_RETRY_AFTER = 300.0  # a server may ask for a day
_MOST_KINDS = 16  # of refusals that are logged: their texts are the server's


@final
class Sender:
    """Sends payloads to ``sink``; counts and logs what happens."""

    def __init__(self, sink: Sink, metrics: PushMetrics, owner: str) -> None:
        self._sink = sink
        self._metrics = metrics
        self._owner = owner
        self._first_failure: float | None = None  # on the clock of the loop; None after a success
        self._is_failure_logged = False
        self._logged: set[str] = set()  # kinds of problems

    async def attempt(self, payload: Payload) -> float | None:
        """Send what is left of ``payload``. Return the seconds until the next attempt, or None if nothing is left."""
        try:
            await self.send(payload)
        except OSError as error:
            return self._note_failure(error)
        except Exception as error:  # noqa: BLE001  # a mistake in a sink must not end the pusher
            pass_interruption(error)
            payload.parts.clear()
            self._metrics.count_dropped(1)
            self.note_mistake(error)
        return None

    async def send(self, payload: Payload) -> PushError | None:
        """Send what is left of ``payload``; return the last error that is permanent. Raises any other error."""
        parts, rejected, last = len(payload.parts), 0, None
        began = perf_counter()
        try:
            while True:
                try:
                    await self._sink.send(payload)
                    break
                except PushError as error:
                    if not error.is_permanent:
                        raise
                    last, rejected = error, rejected + 1
                    self._note_refusal(error)
                    if payload.parts:
                        payload.parts.popleft()
                    if not payload.parts:
                        break
        finally:
            self._metrics.observe(perf_counter() - began)
        if rejected < parts or not rejected:
            self._note_success()
        return last

    def note_mistake(self, error: BaseException) -> None:
        """Count and log an error in a sink, a collector or the encoding; each kind is logged once."""
        self._metrics.count("failed")
        if self._is_new(f"{type(error).__name__}: {error}"):
            _log.error("%s: the metrics were not sent because of an error", self._owner, exc_info=error)

    def _note_failure(self, error: OSError) -> float:
        pass_interruption(error)
        self._metrics.count("retried")
        if not self._is_failure_logged:
            self._is_failure_logged = True
            _log.warning("%s: a push has failed and will be tried again: %s", self._owner, error)
        now = anyio.current_time()
        if self._first_failure is None:
            self._first_failure = now
        delay = max(_SHORTEST_SECONDS, min(_LONGEST_SECONDS, _SHARE * (now - self._first_failure)))
        wanted = error.retry_after if isinstance(error, PushError) else None
        # The jitter keeps a thousand workers from coming back in the same moment.
        return max(delay * random.uniform(0.75, 1.25), min(wanted or 0.0, _LONGEST_RETRY_AFTER))  # noqa: S311

    def _note_refusal(self, error: PushError) -> None:
        self._metrics.count("rejected")
        if self._is_new(error.problem):
            _log.warning("%s: a part of a push was refused and is dropped: %s", self._owner, error)

    def _note_success(self) -> None:
        self._metrics.count("ok")
        self._metrics.set_success()
        self._first_failure = None
        if self._is_failure_logged:
            self._is_failure_logged = False
            _log.info("%s: the pushes succeed again", self._owner)

    def _is_new(self, problem: str) -> bool:
        """Return whether no problem like this one was logged; numbers, such as times, make no other kind."""
        kind = re.sub(r"\d+(?:[.:]\d+)*", "0", problem[:1000])[:100]
        if kind in self._logged or len(self._logged) >= _MOST_KINDS:
            return False
        self._logged.add(kind)
        return True
