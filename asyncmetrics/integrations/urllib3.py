"""urllib3: the requests of every pool of connections, and so those of requests, botocore and others above it.

*Theory of operation.*

1. ``HTTPConnectionPool.urlopen`` begins a call: an attempt. For a redirect or a retry it calls itself, so that is an
   attempt of its own. The attempt of a thread is kept until its request is sent.
2. ``_make_request`` ends the attempt by its exception, before ``urlopen`` waits and tries again, or lets the body of
   its response end it. Where ``_make_request`` is another function, ``urlopen`` does so with what it returns or raises.
3. A `requests.Session` that is instrumented by itself passes its metrics on to its adapters, an adapter or a
   `PoolManager` to its pools, each when it returns one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from queue import Queue
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.poolmanager import PoolManager
from urllib3.util import parse_url

from asyncmetrics.integrations.client_options import HTTP_CLIENT_DEFAULTS
from asyncmetrics.integrations.http_client import HttpCall, HttpClientIntegration, HttpClientMetrics
from asyncmetrics.integrations.urllib3_bodies import BodySize, begin_request, find_response, follow_body, list_wrappers
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics.pools import PoolNumbers
from asyncmetrics.patching import Patch, Wrap, on_import

__all__ = ("INTEGRATION", "Urllib3Integration")


class _Attempt(threading.local):
    """The attempt of the current thread that has sent nothing yet."""

    call: HttpCall | None = None


class Urllib3Integration(HttpClientIntegration):
    """The integration with urllib3 and requests."""

    def __init__(self) -> None:
        self._attempt = _Attempt()
        self._sources = ExitStack()
        self._has_sources = False
        self._children: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()
        wrappers: list[tuple[type, str, Wrap]] = [
            (HTTPConnectionPool, "urlopen", self._wrap_urlopen),
            (HTTPConnectionPool, "close", self._wrap_pool_close),
        ]
        if "_make_request" in vars(HTTPConnectionPool):
            wrappers.append((HTTPConnectionPool, "_make_request", self._wrap_make_request))
        super().__init__(
            "urllib3", HTTP_CLIENT_DEFAULTS, [Patch(*wrapper) for wrapper in (*wrappers, *list_wrappers())]
        )

    def hook(self, undo: ExitStack) -> None:
        """Install the hooks, but those of `_hook_sources`."""
        super().hook(undo)
        self._sources = undo.enter_context(ExitStack())
        self._has_sources = False

    def adopt(self, part: Any, metrics: HttpClientMetrics) -> None:
        """Expose a pool; let an object that has pools pass its metrics on to them."""
        if not self._has_sources:
            self._has_sources = True
            self._hook_sources(self._sources)
        super().adopt(part, metrics)

    def _hook_sources(self, undo: ExitStack) -> None:
        """Wrap what returns adapters and pools. It costs 2 µs a request, which `measure_all` can do without."""

        def wrap(owner: type, name: str) -> None:
            patch = Patch(owner, name, self._wrap_source)
            patch.apply()
            undo.callback(patch.undo)

        def hook_requests(sessions: ModuleType) -> None:
            adapter = sessions.HTTPAdapter
            wrap(sessions.Session, "get_adapter")
            for name in ("get_connection_with_tls_context", "get_connection"):  # the first one from requests 2.32 on
                if name in vars(adapter):
                    wrap(adapter, name)

        wrap(PoolManager, "connection_from_pool_key")
        undo.callback(on_import("requests.sessions", hook_requests))

    def forget(self, part: Any) -> None:
        """Stop measuring a part, and those that got their metrics from it."""
        for child in list(self._children.pop(part, ())):
            self.forget(child)
        super().forget(part)

    def find_pool(self, part: Any) -> Any:
        """Return ``part`` if it is a pool."""
        return part if isinstance(part, HTTPConnectionPool) else None

    def read_pool(self, pool: Any) -> PoolNumbers:
        """Return the numbers of a pool, whose queue has an item for each connection that is not in use."""
        queue = pool.pool
        if not isinstance(queue, Queue):  # closed, or a class of the application
            return PoolNumbers(0, 0)
        waiting = getattr(queue.not_empty, "_waiters", None)
        items = list(queue.queue)
        idle = sum(1 for item in items if item is not None)
        return PoolNumbers(idle, queue.maxsize - len(items), queue.maxsize, None if waiting is None else len(waiting))

    def _wrap_source(self, get: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method that returns a child of its object: an adapter of a session, a pool of an adapter."""

        @wraps(get)
        def source(part: Any, *args: Any, **kwargs: Any) -> Any:
            child = get(part, *args, **kwargs)
            try:
                self._pass_on(part, child)
            except Exception as error:  # noqa: BLE001  # nothing of ours may break a call of the application
                pass_interruption(error)
                self.count_failure()
            return child

        return source

    def _pass_on(self, part: Any, child: Any) -> None:
        metrics = self.find_own(part)
        if metrics is not None and self.find_own(child) is None:
            self._children.setdefault(part, WeakSet()).add(child)
            self.include(child, metrics)

    def _wrap_urlopen(self, urlopen: Callable[..., Any]) -> Callable[..., Any]:
        attempt = self._attempt

        @wraps(urlopen)
        def measured(pool: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
            outer = attempt.call
            if outer is not None:  # a retry of an attempt that `_make_request` has not seen
                outer.fail(_find_error(args, kwargs))
            attempt.call = call = self._begin(pool, method, url)
            if call is None:
                return urlopen(pool, method, url, *args, **kwargs)
            try:
                response = urlopen(pool, method, url, *args, **kwargs)
            except BaseException as error:
                if attempt.call is call:
                    call.fail(error.reason or error if isinstance(error, MaxRetryError) else error)
                raise
            else:
                if attempt.call is call:
                    self._follow(response, call)
                return response
            finally:
                attempt.call = None

        return measured

    def _wrap_make_request(self, make_request: Callable[..., Any]) -> Callable[..., Any]:
        attempt = self._attempt

        @wraps(make_request)
        def measured(pool: Any, *args: Any, **kwargs: Any) -> Any:
            call, attempt.call = attempt.call, None
            if call is None:
                return make_request(pool, *args, **kwargs)
            size = self._begin_body(call, kwargs) if call.needs_request_size else None
            try:
                response = make_request(pool, *args, **kwargs)
            except BaseException as error:
                broken = find_response(error)
                if broken is not None:  # its body was read at once
                    call.respond(broken.status)
                call.fail(error)
                raise
            finally:
                if size is not None:
                    call.observe_request(size.size)
            self._follow(response, call)
            return response

        return measured

    def _wrap_pool_close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(close)
        def closing(pool: Any, *args: Any, **kwargs: Any) -> Any:
            self.hide_closed(pool)
            return close(pool, *args, **kwargs)

        return closing

    def _begin(self, pool: Any, method: Any, url: Any) -> HttpCall | None:
        metrics: HttpClientMetrics | None = self.find(pool)
        if metrics is None:
            return None
        try:
            if id(pool) not in metrics.exposed:
                self.expose(pool, metrics)
            if url.startswith("/"):
                return metrics.begin(method, pool.scheme, pool.host, pool.port)
            parsed = parse_url(url)  # a request that a proxy forwards
            host = (parsed.host or pool.host).strip("[]")
            return metrics.begin(method, parsed.scheme or pool.scheme, host, parsed.port)
        except Exception as error:  # noqa: BLE001  # changed internals of urllib3 cost a measurement, never a request
            pass_interruption(error)
            self.count_failure()
            return None

    def _begin_body(self, call: HttpCall, kwargs: dict[str, Any]) -> BodySize | None:
        try:
            return begin_request(call, kwargs)
        except Exception as error:  # noqa: BLE001  # as in `_begin`
            pass_interruption(error)
            self.count_failure()
            return None

    def _follow(self, response: Any, call: HttpCall) -> None:
        try:
            follow_body(response, call)
        except Exception as error:  # noqa: BLE001  # as in `_begin`
            pass_interruption(error)
            self.count_failure()
            call.end()


def _find_error(args: tuple[Any, ...], kwargs: Any) -> BaseException:
    """Return the exception that the arguments of a retry have for the attempt before."""
    retries = args[2] if len(args) > 2 else kwargs.get("retries")
    history = getattr(retries, "history", None)
    return (history[-1].error if history else None) or HTTPError()


INTEGRATION = Urllib3Integration()
