"""`CollectorRegistry`: the registered collectors, the names that belong to each, and the self-metrics.

*Rules.* Hold no lock, so that registering works in any thread, in finalisers and after a fork. Change collectors and
names together, by one change of ``_registrations``: an exception of a signal handler then finds them in agreement.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeVar, final

from asyncmetrics.asking import close_awaitable, is_later
from asyncmetrics.errors import CallbackTypeError, CollectorError, show
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.loops import RUNNING, make_home
from asyncmetrics.model.checks import check_choice, check_flag, check_mapping, check_text, list_items, make_refusal
from asyncmetrics.model.escaping import UNDERSCORES, escape_name
from asyncmetrics.model.families import InfoMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.model.sharing import Unique
from asyncmetrics.registry._registrations import Latest, Registrations
from asyncmetrics.registry.collection import Collection, FamilySet, list_names
from asyncmetrics.registry.drivers import collect_all, collect_all_async
from asyncmetrics.registry.plain import make_plain
from asyncmetrics.registry.refusals import refuse_registry
from asyncmetrics.registry.self_metrics import SelfMetrics
from asyncmetrics.registry.sources import Collector, Registration, get_collector_name, limit_families
from asyncmetrics.storage.automatic import AutomaticStorage
from asyncmetrics.storage.leads import Lead
from asyncmetrics.storage.memory.storage import MemoryStorage
from asyncmetrics.storage.protocol import Storage, choose_worker_label

__all__ = ("REGISTRY", "CollectorRegistry", "Registry", "RestrictedRegistry", "check_full_registry")

_is_lead_name = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
P = ParamSpec("P")
T = TypeVar("T")


class CollectorRegistry(Unique):
    """A set of collectors, collected together.

    ``target_info`` has labels that describe the process as a whole. With ``auto_describe`` or
    ``support_collectors_without_names``, restricted registries also ask the collectors whose names are unknown, since
    they have no ``describe``: a registry never collects from a collector to learn its names. ``storage`` keeps the
    numbers of the metrics that register here.
    """

    _make_storage: Callable[[], Storage] = staticmethod(MemoryStorage)

    def __init__(
        self,
        auto_describe: bool = False,  # prometheus_client's signature
        target_info: Mapping[str, str] | None = None,
        support_collectors_without_names: bool = False,  # prometheus_client's signature
        *,
        storage: Storage | None = None,
    ) -> None:
        check_flag("auto_describe", auto_describe)
        check_flag("support_collectors_without_names", support_collectors_without_names)
        self.storage: Storage = storage or self._make_storage()
        self._registrations = Latest(Registrations())
        self._watchers: Latest[tuple[Callable[[Collector], None], ...]] = Latest(())
        self._asks_nameless = auto_describe or support_collectors_without_names
        self._self_metrics = SelfMetrics(self.storage)
        self.set_target_info(target_info)

    def register(self, collector: Collector, *, loop: object = RUNNING) -> None:
        """Add a collector; do not collect from it.

        An async collector runs on its home loop, whichever thread or loop collects: on the asyncio loop or trio run
        that runs at this call, or on ``loop``. That is an asyncio loop, or the token of a trio run
        (``trio.lowlevel.current_trio_token()``). A collector without one, because no loop runs or with ``loop=None``,
        runs on the loop that collects, or in a private asyncio loop if the caller is sync. A collector whose home loop
        has ended is left out and counted in ``asyncmetrics_collector_errors_total``.

        Raises `DuplicateMetricError`, and adds nothing, if one of the names that ``collector.describe()`` returns is
        taken; `CallbackTypeError` (a TypeError) for an object without a method ``collect``; and `DefinitionError` for a
        ``loop`` that is none.
        """
        _check_collector(collector)
        registration = Registration(_list_names(collector), make_home(loop))
        self._registrations.change(lambda present: present.add(collector, registration))
        if watchers := self._watchers.get():
            try:
                for watch in watchers:
                    watch(collector)
            except BaseException:
                self._registrations.change(lambda present: present.remove(collector))
                raise

    def watch_registrations(self, watch: Callable[[Collector], None]) -> Callable[[], None]:
        """Call ``watch`` with each collector that is registered from now on; return a function that ends this.

        What ``watch`` raises is raised by `register`, and the collector is not registered then.
        """
        self._watchers.change(lambda present: (*present, watch))
        return lambda: self._watchers.change(lambda present: tuple(one for one in present if one is not watch))

    def unregister(self, collector: Collector) -> None:
        """Remove a collector. Raises `UnknownCollectorError` (a KeyError) if it is not registered."""
        self._registrations.change(lambda present: present.remove(collector))

    def get_or_create(self, metric: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the metric of this registry that these arguments declare; create it if there is none.

        ``registry.get_or_create(Counter, "jobs", "Jobs run.", ["kind"])``. Raises `DuplicateMetricError` if the
        registry has a metric of that name whose kind, unit, labels, buckets, states or ``per_worker`` differ.
        """
        if not callable(metric):
            raise make_refusal("metric", "a class such as Counter", metric)
        declare: Callable[..., T] = metric
        return declare(*args, registry=self, exist_ok=True, **kwargs)

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, with its samples in a list; the caller may change and keep them.

        Sync collectors are called in this thread, one after the other. Async ones run on their home loops (`register`),
        for 10 s in all; those without one in a private loop, in another thread. A collector whose home loop is the one
        that this call blocks is left out: use `collect_async` there.
        """
        yield from map(make_plain, collect_all(self._begin()))

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once, as `collect` yields them; await the collectors that are async.

        Those of the running loop, and those without a home loop, run here; others on their home loops, for 10 s in all.
        A collector that raises is skipped and counted in ``asyncmetrics_collector_errors_total``. With
        ``on_error="fail"``, this method raises `CollectorError` instead.
        """
        return await collect_all_async(self._begin(on_error))

    def _begin(self, on_error: str = "skip") -> Collection:
        present = self._registrations.get()
        return self._begin_with(present, present.list_collectors(), on_error, None)

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """Return a registry of the samples called one of ``names``; the name of a family selects all its samples."""
        return RestrictedRegistry(names, self)

    def set_target_info(self, labels: Mapping[str, str] | None) -> None:
        """Describe the process by labels, exposed as ``target_info``; None or an empty mapping removes it."""
        if labels is not None:
            check_mapping("target_info", labels, "label names to text")
        self._registrations.change(lambda present: present.describe(self, labels))

    def get_target_info(self) -> Mapping[str, str] | None:
        """Return the labels given to `set_target_info`."""
        return self._registrations.get().target_info

    def worker_labels(self, labelnames: Sequence[str] = ()) -> dict[str, str]:
        """Return the label that distinguishes this process among its workers; empty if it shares no metrics.

        Collectors add it to families that are about this process alone. ``labelnames`` are their other labels.
        """
        own = [worker for worker, pid in self.storage.list_processes().items() if pid == os.getpid()]
        return {choose_worker_label(labelnames): own[0]} if own else {}

    def lead(self, name: str) -> Lead:
        """Return the lead of ``name``: which one of the workers that share this registry does what one alone may do.

        ``lead.is_leader()`` returns whether this process leads, and begins to lead if no other process does. It is a
        context manager, and ``lead.release()`` does the same as the end of the ``with`` block. If the process ends in
        any way, another one leads at its next call. A process that shares nothing always leads.

        Raises `DefinitionError` for a name other than 1 to 64 letters, digits, hyphens, underscores and dots.
        """
        if not isinstance(name, str) or not _is_lead_name(name):
            raise make_refusal("name", "1 to 64 letters (a-z), digits, '-', '_' and '.', such as 'cleanup'", name)
        return self.storage.lead(name)

    def get_sample_value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return the value of one sample, or None if there is none. This is for tests."""
        check_text("name", name, "orders_total")
        check_mapping("labels", labels or {}, "label names to text")
        wanted = dict(labels or {})
        matches = (s for family in self.collect() for s in family.samples if (s.name, s.labels) == (name, wanted))
        return next((sample.value for sample in matches), None)

    def _make_failure_handler(self, on_error: str) -> Callable[[Collector, BaseException], None]:
        check_choice("on_error", on_error, ("skip", "fail"))

        def handle(collector: Collector, error: BaseException) -> None:
            name = get_collector_name(collector)
            if on_error == "fail":
                raise CollectorError(name, str(error)) from error
            self._self_metrics.count_collector_error(name, error)

        return handle

    def _begin_with(
        self,
        present: Registrations,
        collectors: dict[Collector, Registration],
        on_error: str,
        names: frozenset[str] | None,
    ) -> Collection:
        collection = Collection(collectors, self._make_failure_handler(on_error), self._self_metrics, names)
        if present.target_info:
            collection.add(self._self_metrics, InfoMetricFamily("target", "Target metadata", present.target_info))
        return collection


def check_full_registry(registry: object) -> None:
    """Raise `DefinitionError` unless metrics and collectors can register in ``registry``."""
    if isinstance(registry, RestrictedRegistry):
        remedy = "pass the registry that it restricts"
        raise make_refusal("registry", "a registry that collectors can register in", registry, remedy)
    if not isinstance(registry, CollectorRegistry):
        raise refuse_registry(registry)


def _check_collector(collector: object) -> None:
    try:
        collect: object = collector.collect  # type: ignore[attr-defined]  # which is what is checked
    except Exception as error:  # noqa: BLE001  # a property may raise: the collector is left out of each collection
        pass_interruption(error)
        if not isinstance(error, AttributeError):
            return
        collect = None
    if isinstance(collector, type):
        advice = f"got the class itself: register an instance, {collector.__name__}()"
    elif not callable(collect):
        advice = f"got {show(collector)}"
    else:
        return
    raise CallbackTypeError("register()", f"expected a collector, an object with a method collect(), {advice}")


def _list_names(collector: Collector) -> frozenset[str]:
    """Return the names that the collector describes, none if it has no ``describe``."""
    describe: Callable[[], Iterable[Metric]] | None = getattr(collector, "describe", None)
    if describe is None:
        return frozenset()
    described: object = describe()
    if is_later(described):
        close_awaitable(described)
        who = f"{type(collector).__name__}.describe()"
        raise CallbackTypeError(who, "expected families, got something to await: make it a plain function")
    families = FamilySet()
    for family in limit_families(described):  # type: ignore[arg-type]  # each is checked
        problem = families.add(family)
        if problem:
            raise ValueError(problem)
    return frozenset().union(*(list_names(family) for family in families.list_all()))


Registry = CollectorRegistry
"""Another name of `CollectorRegistry`."""


@final
class RestrictedRegistry:
    """A registry restricted to certain sample names: it asks only the collectors that have them."""

    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        remedy = f"write [{names!r}]" if isinstance(names, str) else ""
        self._names = frozenset(map(str, list_items("names", names, "a list of names", remedy=remedy)))
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield every family once, with only the samples of these names."""
        yield from map(make_plain, collect_all(self._begin()))

    async def collect_async(self, *, on_error: str = "skip") -> list[Metric]:
        """Return every family once, with only the samples of these names."""
        return await collect_all_async(self._begin(on_error))

    def _begin(self, on_error: str = "skip") -> Collection:
        present = self._registry._registrations.get()
        return self._registry._begin_with(present, self._choose_collectors(present), on_error, self._names)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that this one restricts."""
        return self._registry

    @property
    def _self_metrics(self) -> SelfMetrics:
        return self._registry._self_metrics

    def _choose_collectors(self, present: Registrations) -> dict[Collector, Registration]:
        wanted = {escape_name(name, UNDERSCORES) for name in self._names}
        every = present.list_collectors().items()
        asks_nameless = self._registry._asks_nameless
        return {c: known for c, known in every if known.names & wanted or (asks_nameless and not known.names)}


REGISTRY = CollectorRegistry(auto_describe=True, storage=AutomaticStorage())
"""The default registry, in which metrics register."""
