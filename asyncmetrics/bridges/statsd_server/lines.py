"""`Lines`: from lines to changes of children.

*Theory of operation.* What a line says but for its value is a key of a bounded cache, whose value is the change of a
child. So a line that was seen before costs two partitions, a look-up and one call: benchmarks/statsd.py. A line that is
refused is cached as well, as a change that raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, final

from asyncmetrics.bridges.statsd_server.caching import RecentCache
from asyncmetrics.bridges.statsd_server.changes import Change
from asyncmetrics.bridges.statsd_server.minting import Mint
from asyncmetrics.bridges.statsd_server.outcomes import Outcome, Outcomes, Refused
from asyncmetrics.bridges.statsd_server.protocol import Series, split_samples
from asyncmetrics.interruptions import pass_interruption

__all__ = ("Lines",)

_CACHED_LINES = 20_000  # up to 40 MB; series that are used in turn must all be in it
# Bytes of a line but for its value, which become labels: a million series then have at most 1 GB of them.
_LONGEST_KEY = 1024
_STEP = 64  # lines that were seen before, 50 µs
_NEW_LINE = 16  # a new line costs as much as so many of them, and
_REFUSED_LINE = 4  # a refused one as much as these


@final
class Lines:
    """Take lines into the metrics of ``mint``, and count them in ``outcomes``. Never raises."""

    def __init__(self, mint: Mint, outcomes: Outcomes, max_line_bytes: int) -> None:
        self._mint = mint
        self._outcomes = outcomes
        self._longest = max_line_bytes
        self._cache: RecentCache[tuple[bytes, bytes], Change] = RecentCache(_CACHED_LINES)

    def take(self, lines: Iterator[bytes]) -> bool:
        """Take the lines of one step; return whether the iterator may have more."""
        work, taken, cache, longest = _STEP, 0, self._cache, self._longest
        try:
            for line in lines:
                head, _, rest = line.partition(b":")
                value, _, tail = rest.partition(b"|")
                if len(line) > longest:
                    self._outcomes.count("too_long", line[:longest])
                    work -= _REFUSED_LINE
                elif (change := cache.newer.get((head, tail))) is None:
                    work -= self._take_new(line, head, value, tail)
                else:
                    try:
                        change(value)
                        taken += 1
                    except Exception as error:  # noqa: BLE001  # a line of a remote never ends the server
                        work -= self._take_other(line, change, value, error)
                work -= 1
                if work <= 0:
                    return True
        finally:
            if taken:
                self._outcomes.count_ok(taken)
        return False

    def _take_new(self, line: bytes, head: bytes, value: bytes, tail: bytes) -> int:
        """Take a line that is not in the cache; return what that costs."""
        if not line:
            return 0
        try:
            outcome = _find_other(line)
            if outcome is not None:
                raise Refused(outcome)
            samples = split_samples(head, value, tail)
        except Refused as refused:
            self._outcomes.count(refused.outcome, line)
            return _REFUSED_LINE
        return sum(self._take_sample(line, head, one, rest) for one, rest in samples)

    def _take_sample(self, line: bytes, head: bytes, value: bytes, tail: bytes) -> int:
        try:
            change = self._cache.get((head, tail)) or self._find_change(head, tail)
        except Exception as error:  # noqa: BLE001  # as above
            return self._count(line, error)
        try:
            change(value)
            self._outcomes.count_ok(1)
        except Exception as error:  # noqa: BLE001  # as above
            return _NEW_LINE + self._take_other(line, change, value, error)
        return _NEW_LINE

    def _find_change(self, head: bytes, tail: bytes) -> Change:
        if len(head) + len(tail) > _LONGEST_KEY:
            raise Refused("too_long")
        try:
            change = self._mint.find_change(Series.parse(head, tail))
        except Refused as refused:
            if refused.outcome == "slow_regex":  # which may match later
                raise
            change = _make_refusal(refused.outcome)
        self._cache.put((head, tail), change)
        return change

    def _take_other(self, line: bytes, change: Change, value: bytes, error: Exception) -> int:
        """Take a line whose value is no number: it may be several ones, as DogStatsD 1.1 has them."""
        if not isinstance(error, ValueError) or b":" not in value:
            return self._count(line, error)
        values = value.split(b":")
        try:
            for one in values:
                change(one)
            self._outcomes.count_ok(1)
        except Exception as problem:  # noqa: BLE001  # as above
            return self._count(line, problem) + len(values)
        return len(values)

    def _count(self, line: bytes, error: Exception) -> int:
        """Count a line that is refused; return what that costs."""
        pass_interruption(error)
        match error:
            case Refused():
                self._outcomes.count(error.outcome, line)
            case ValueError():
                self._outcomes.count("value", line)
            case _:
                self._outcomes.count("error", line)
        return _REFUSED_LINE


def _find_other(line: bytes) -> Outcome | None:
    """Return what a line is that is no sample."""
    if line.startswith(b"_e{"):
        return "event"
    if line.startswith(b"_sc|"):
        return "service_check"
    return None if b":" in line and b"|" in line.partition(b":")[2] else "malformed"


def _make_refusal(outcome: Outcome) -> Change:
    def refuse(_: bytes) -> NoReturn:
        raise Refused(outcome)

    return refuse
