"""`Heartbeat`: the time at which a loop was last seen running.

*Theory of operation.*

1. *New*: a `Heartbeat` has declared its two gauges, and has no series.
2. *Beating*: the first `Heartbeat.beat` has made its series. The gauge of intervals has a function, which a process
   calls at its scrapes, or once a second if several workers share their metrics. This function marks the series as
   changed. So the series of a process that lives stays, also if the loop hangs: this is what the alert is for.
3. *Dead worker*: nobody marks the series. It is exposed until another worker takes the slot, and for
   `KEPT_SECONDS` at most: a worker that was replaced raises no alert, one that is missing does.
4. *Stopped*: `Heartbeat.stop` has removed the series. A beat leads back to 2.
5. *Forked*: the copy of a heartbeat in a child process is in state 1.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from threading import RLock
from time import time
from typing import Any, final
from weakref import WeakKeyDictionary

from asyncmetrics.jobs.names import check_job_name
from asyncmetrics.metrics import Gauge
from asyncmetrics.model.checks import check_seconds
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.self_metrics import SelfMetrics, get_self_metrics

__all__ = ("KEPT_SECONDS", "Heartbeat")

KEPT_SECONDS = 600.0
"""For how long the heartbeats of a worker that has ended are exposed."""

_MAX_NAMES = 1000


@final
class Heartbeat:
    """Expose when a loop was last seen running, such as that of a consumer.

    Call `beat` in each turn of the loop, at least once in ``interval`` seconds. It sets
    ``heartbeat_last_timestamp_seconds``, with the labels ``heartbeat`` and, if several workers share their metrics,
    ``worker``. ``heartbeat_interval_seconds`` is the interval, so that one alert fits all heartbeats.

    Raises `DefinitionError` for a wrong value of an argument.

        >>> from asyncmetrics import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> heartbeat = Heartbeat("consumer", interval=5, registry=registry)
        >>> heartbeat.beat()
        >>> registry.get_sample_value("heartbeat_interval_seconds", {"heartbeat": "consumer"})
        5.0
    """

    __slots__ = ("__weakref__", "_beats", "_child", "interval", "name")

    def __init__(
        self, name: str, *, interval: float, registry: CollectorRegistry = REGISTRY, namespace: str = ""
    ) -> None:
        check_job_name(name, "consumer")
        check_seconds("interval", interval)
        check_full_registry(registry)
        check_namespace(namespace)
        self.name = name
        self.interval = float(interval)
        self._child: Any = None
        self._beats = _get_beats(registry, namespace)

    def beat(self) -> None:
        """Record that the loop runs, from any thread."""
        child = self._child
        if child is None:
            child = self._beats.start(self)
        child.set(time())

    def stop(self) -> None:
        """Remove the series, when the loop ends on purpose; nothing happens before the first beat.

        The series stays while another heartbeat of this name beats.
        """
        self._beats.stop(self)

    def __repr__(self) -> str:
        return f"Heartbeat({self.name!r}, interval={self.interval:g})"


@final
class _Beats:
    """The heartbeats of one registry, and their gauges."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self._beating: dict[int, Heartbeat] = {}
        self._lock = RLock()
        shared: dict[str, Any] = {
            "namespace": namespace,
            "registry": registry,
            "max_children": _MAX_NAMES,
            "exist_ok": True,
        }
        # Not a live mode: the alert needs the interval of a worker that has ended, too. This gauge is first: its
        # function marks the series of the other one, which a scrape reads in this order.
        interval = Gauge(
            "heartbeat_interval_seconds",
            "Seconds in which a beat is expected.",
            ["heartbeat"],
            multiprocess_mode="max",
            **shared,
        )
        interval.collect_from(self._read, blocking=False, loop=None)
        self._last = Gauge(
            "heartbeat_last_timestamp_seconds",
            "Unix time of the last beat.",
            ["heartbeat"],
            multiprocess_mode="all",
            ttl=KEPT_SECONDS,
            **shared,
        )

    def start(self, heartbeat: Heartbeat) -> Any:
        """Return the child of a heartbeat, and expose its interval from now on."""
        with self._lock:
            child = heartbeat._child = self._last.labels(heartbeat.name)
            self._beating[id(heartbeat)] = heartbeat
            return child

    def stop(self, heartbeat: Heartbeat) -> None:
        """Forget a heartbeat, and remove its series unless another one has its name."""
        with self._lock:
            heartbeat._child = None
            is_known = self._beating.pop(id(heartbeat), None) is not None
            if is_known and all(other.name != heartbeat.name for other in self._beating.values()):
                self._last.remove(heartbeat.name)

    def forget_all(self) -> None:
        """Begin again in a forked process, in which nothing beats yet."""
        self._lock = RLock()  # another thread may have held it
        beating, self._beating = self._beating, {}
        for heartbeat in beating.values():
            heartbeat._child = None

    def _read(self) -> Mapping[tuple[object, ...], float]:
        """Return the intervals by name, and mark the series of last beats as changed: this process lives."""
        intervals: dict[tuple[object, ...], float] = {}
        for heartbeat in list(self._beating.values()):
            child = heartbeat._child
            if child is not None:
                child.inc(0.0)  # a change by its time alone; `set` with the present value is none
                key = (heartbeat.name,)
                intervals[key] = max(heartbeat.interval, intervals.get(key, 0.0))
        return intervals


# Weak, since the gauge's function holds the heartbeats, and the registry holds the gauge.
# By the self-metrics of the registry, as in asyncmetrics/metrics/pools.py.
_BEATS: WeakKeyDictionary[SelfMetrics, dict[str, weakref.ref[_Beats]]] = WeakKeyDictionary()
_lock = RLock()


def _get_beats(registry: CollectorRegistry, namespace: str) -> _Beats:
    with _lock:
        known = _BEATS.setdefault(get_self_metrics(registry), {})
        found = known[namespace]() if namespace in known else None
        if found is None:
            found = _Beats(registry, namespace)
            known[namespace] = weakref.ref(found)
        return found


def _forget_beats() -> None:
    global _lock  # another thread may have held it
    _lock = RLock()
    for known in list(_BEATS.values()):
        for refer in known.values():
            beats = refer()
            if beats is not None:
                beats.forget_all()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_beats)
