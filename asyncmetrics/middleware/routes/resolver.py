"""The template of the route that served a request, found after the router has chosen it.

*Rules.*

- Never match a path again if the router has written its choice into the scope, and never use a path as a label.
- Use ``<unmatched>`` if a scope is not understood: changed internals of a framework cost a label, never a request.

*Theory of operation.* Starlette and FastAPI write the outermost router and the innermost endpoint into the scope.

1. The first request of a router builds an index: from each endpoint to its template, or to its several route entries.
2. A request looks its endpoint up. Several entries of an endpoint are distinguished by their patterns, on the path
   without the root path.
3. If the index does not know the endpoint, or if the number of the router's own routes has changed, the routes are
   compared with those of the index. If they differ, the index is built again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from asyncmetrics.middleware.routes.table import RouteEntry, RouteTable
from asyncmetrics.middleware.scope import ROUTE_KEY, remove_root_path
from asyncmetrics.model.caching import cache_short_texts
from asyncmetrics.typing import Scope

__all__ = ("FRONTEND", "PENDING", "UNMATCHED", "RouteResolver")

UNMATCHED = "<unmatched>"
PENDING = "<pending>"
FRONTEND = "<frontend>"

# Far more than an application has; it bounds the memory of one that creates a router for each request.
_MAX_ROUTERS = 64


@final
class RouteResolver:
    """Find route templates. Each middleware has a resolver, which keeps an index for each router.

    ``count_failure`` is called in the ``except`` block of an error that the routes caused.
    """

    def __init__(self, count_failure: Callable[[], object]) -> None:
        self._count_failure = count_failure
        self._indexes: dict[int, _Index] = {}

    def resolve(self, scope: Scope) -> str:
        """Return the template for a routed request, or `PENDING` if no router has written into its scope yet."""
        own = scope.get(ROUTE_KEY)
        if own is not None:
            return str(own)
        router = scope.get("router")
        if router is None:
            return PENDING
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return FRONTEND if "frontend_path" in (scope.get("fastapi") or ()) else UNMATCHED
        return (self._indexes.get(id(router)) or self._add_index(router)).find_template(endpoint, scope)

    def resolve_final(self, scope: Scope) -> str:
        """Return the template for a request that no router will see any more."""
        if "router" in scope or ROUTE_KEY in scope:
            route = self.resolve(scope)
            if route is not PENDING:
                return route
        return self.match_copied(scope) if "app" in scope else UNMATCHED

    def match_copied(self, scope: Scope) -> str:
        """Return the template for a request whose router wrote into a copy of the scope, by matching its path."""
        router = getattr(scope.get("app"), "router", None)
        return UNMATCHED if router is None else (self._indexes.get(id(router)) or self._add_index(router)).match(scope)

    def _add_index(self, router: Any) -> _Index:
        if len(self._indexes) >= _MAX_ROUTERS:
            self._indexes.clear()
        index = self._indexes[id(router)] = _Index(router, self._count_failure)
        return index


@final
class _Index:
    """The routes of one router, by endpoint and in their order."""

    def __init__(self, router: Any, count_failure: Callable[[], object]) -> None:
        self._router = router  # a reference, so that no other object gets the same id
        self._count_failure = count_failure
        self._build()

    def find_template(self, endpoint: object, scope: Scope) -> str:
        if len(self._router.routes) != self._length:  # a known endpoint may have another route now
            self._refresh()
        entry = self._by_endpoint.get(id(endpoint))
        if entry is None:
            self._refresh()
            entry = self._by_endpoint.get(id(endpoint))
        if isinstance(entry, str):
            return entry
        if entry is None:
            return self._find_mount(scope)
        return _find_first(entry, _get_local_path(scope), scope.get("method"))

    def match(self, scope: Scope) -> str:
        self._refresh()
        return self._match_cached(_get_local_path(scope), str(scope.get("method", "")))  # a websocket has no method

    def _refresh(self) -> None:
        if not self._table.is_current():
            self._build()

    def _build(self) -> None:
        table = RouteTable(self._router, self._count_failure)
        lists: dict[int, list[RouteEntry]] = {}
        for entry in table.entries:
            lists.setdefault(id(entry.endpoint), []).append(entry)
        # By endpoint, its one template or its several entries. The dict is complete before it is assigned, since a
        # scrape in another thread reads it as well.
        self._by_endpoint = {
            key: entries if len(entries) > 1 else entries[0].template for key, entries in lists.items()
        }
        self._table = table
        self._length = len(self._router.routes)
        # A match looks at the path alone, so it cannot choose a route that depends on the host.
        unhosted = [entry for entry in table.entries if not entry.is_hosted]
        self._match_cached: Callable[[str, str], str] = cache_short_texts(
            lambda path, method: _find_first(unhosted, path, method)
        )

    def _find_mount(self, scope: Scope) -> str:
        """Return the template of the mount around an endpoint that the index does not know."""
        mount_path = remove_root_path(
            scope.get("root_path", ""), scope.get("app_root_path", scope.get("root_path", ""))
        )
        if not mount_path:
            return UNMATCHED
        mounts = (entry for entry in self._table.entries if entry.is_mount and entry.is_for(f"{mount_path}/"))
        return next((entry.template for entry in mounts), UNMATCHED)


def _find_first(entries: list[RouteEntry], path: str, method: object) -> str:
    """Return the template of the first entry for path and method, or else that of the first for the path: a 405.

    A mount takes any method and comes after the routes inside. If one of those has the path but not the method, it is
    the route that responds with a 405.
    """
    refusal: RouteEntry | None = None
    for entry in entries:
        if not entry.is_for(path):
            continue
        if entry.has_method(method):
            return refusal.template if refusal is not None and refusal.is_within(entry) else entry.template
        refusal = refusal or entry
    return UNMATCHED if refusal is None else refusal.template


def _get_local_path(scope: Scope) -> str:
    return remove_root_path(scope["path"], scope.get("app_root_path", scope.get("root_path", "")))
