"""One collection: asking every collector, sync or async, and putting together what they yield.

*Theory of operation.* There is one algorithm, a coroutine that awaits only through the ``wait`` it is given. On an
event loop ``wait`` simply awaits. For a sync caller it runs the awaitable in a private loop on a thread of its own and
hands back the result, so that the coroutine never suspends and one ``send`` runs it to its end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, Protocol, TypeAlias, TypeVar, final

from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import UNDERSCORES, escape_name

__all__ = ("Collectable", "Collector", "CollectorResult", "Families", "claimed_names", "gather", "run_now", "wait_here")

T = TypeVar("T")
CollectorResult: TypeAlias = Iterable[Metric] | Awaitable[Iterable[Metric]] | AsyncIterable[Metric]
Failed: TypeAlias = Callable[["Collector", Exception], None]

_SUFFIXES: dict[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}


class Collector(Protocol):
    """Something that yields metric families when asked.

    `collect` may be a function, a generator, a coroutine function or an async generator. It is called at every scrape,
    maybe from several threads at once, and owns nothing of what it has yielded. It may also have ``describe()``, which
    returns families without samples: what it will yield, to be checked at registration.
    """

    def collect(self) -> CollectorResult:
        """Yield the families of this moment."""
        ...


class Collectable(Protocol):
    """A registry, or a part of one: what can be collected from synchronously and on an event loop."""

    def collect(self) -> Iterable[Metric]:
        """Yield every family once."""
        ...

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once, awaiting the collectors that are async."""
        ...


def claimed_names(family: Metric) -> frozenset[str]:
    """Return what ``family`` calls itself and its samples, as a server that allows the fewest characters sees it."""
    names = (family.name, *(family.name + suffix for suffix in _SUFFIXES.get(family.type, ())))
    return frozenset(escape_name(name, UNDERSCORES) for name in names)


async def wait_here(awaitable: Awaitable[T]) -> T:
    """Await on the event loop that is running."""
    return await awaitable


async def _wait_elsewhere(awaitable: Awaitable[T]) -> T:
    async def finish() -> T:
        return await awaitable

    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(finish()))
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(work,), name="asyncmetrics-collect")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def run_now(gathering: Callable[[Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]], Coroutine[Any, Any, T]]) -> T:
    """Run ``gathering`` to its end in this thread, whatever loop is or is not running in it."""
    try:
        gathering(_wait_elsewhere).send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("unreachable: nothing suspends while each awaitable runs elsewhere")  # pragma: no cover


async def gather(
    collectors: Iterable[Collector],
    wait: Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]],
    failed: Failed,
    families: Families,
) -> None:
    """Ask each collector and add what it yields; one that raises adds nothing and is told to ``failed``."""
    for collector in collectors:
        try:
            yielded = await _ask(collector, wait)
            problems = [problem for problem in map(families.add, yielded) if problem]
        except Exception as error:  # noqa: BLE001  # one collector must not cost the others their scrape
            failed(collector, error)
            continue
        for problem in problems:
            failed(collector, ValueError(problem))


async def _ask(collector: Collector, wait: Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]) -> list[Metric]:
    result = collector.collect()
    if isinstance(result, AsyncIterable):
        listed: list[Metric] = await wait(_listed(result))
        return listed
    if isinstance(result, Awaitable):
        result = await wait(result)
    return list(result)


async def _listed(result: AsyncIterable[Metric]) -> list[Metric]:
    return [family async for family in result]


@final
class Families:
    """The families of one collection, each name once, in the order in which they came."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._claims: dict[str, str] = {}

    def add(self, family: Metric) -> str | None:
        """Add a family, or the samples it has besides those of its name; return what is wrong if it cannot be."""
        if not isinstance(family, Metric):
            return f"expected a metric family, got {family!r}"
        key = escape_name(family.name, UNDERSCORES)
        before = self._families.get(key)
        if before is not None and (before.name, before.type) == (family.name, family.type):
            self._families[key] = _merged(before, family)
            return None
        names = claimed_names(family)
        taken = sorted(names.intersection(self._claims))
        if taken:
            return f"{family.type} {family.name!r} is left out: {taken} belongs to {self._claims[taken[0]]}"
        self._claims.update(dict.fromkeys(names, f"{family.type} {family.name!r}"))
        self._families[key] = family
        return None

    def restricted(self, names: frozenset[str]) -> list[Metric]:
        """Return what is left of the families when only the samples (or families) called ``names`` are wanted."""
        return [part for part in (family.restricted(names) for family in self._families.values()) if part]

    def all(self) -> list[Metric]:
        """Return the families."""
        return list(self._families.values())


def _merged(one: Metric, other: Metric) -> Metric:
    merged = Metric(one.name, one.documentation, one.type, one.unit)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample for sample in [*other.samples, *one.samples]
    }  # the first family's sample stands where both have one
    order = dict.fromkeys((s.name, *sorted(s.labels.items())) for s in [*one.samples, *other.samples])
    merged.samples = [samples[key] for key in order]
    return merged
