"""The routes of a router as a flat table: a walk down through mounts, hosts and included routers.

*Rule.* Let a route that is not understood cost its own label, and no other route's.

*Theory of operation.*

1. The walk goes through the routes in their order, and into each mount, host and included router.
2. Each endpoint becomes a `RouteEntry` with the patterns that the framework has compiled: its own and those of the
   mounts around it. `RouteEntry.is_for` tries them one after the other, as the framework does.

One pattern for the whole path would have to be compiled here: 0.1 ms a route, and again for each request if there are
more of them than `re` caches (512).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias, final

__all__ = ("RouteEntry", "RouteTable")

_MAX_WRAPPERS = 32  # more than an application has around it, so that a wrapper of itself ends the search
_BELOW = "/{path}"


class RouteEntry(NamedTuple):
    """One endpoint at one path: its full template, and the patterns and methods of its requests.

    ``is_mount`` says that the entry has all paths below its own, ``is_hosted`` that it depends on a request's host too,
    ``is_websocket`` that it serves WebSockets, not requests.
    """

    endpoint: object
    template: str
    mounts: tuple[re.Pattern[str], ...]
    pattern: re.Pattern[str] | None = None
    methods: frozenset[str] | None = None
    is_mount: bool = False
    is_hosted: bool = False
    is_websocket: bool = False

    def is_for(self, path: str) -> bool:
        """Return whether the patterns match a path without its root path."""
        for mount in self.mounts:
            match = mount.match(path)
            if match is None:
                return False
            path = f"/{match['path']}"
        return self.pattern is None or self.pattern.match(path) is not None

    def has_method(self, method: object) -> bool:
        """Return whether the endpoint serves ``method``; other methods get a 405."""
        return self.methods is None or method in self.methods

    def serves_only(self, path: str) -> bool:
        """Return whether the entry serves requests for ``path``, or is mounted there, and has no parameter."""
        template = self.template.removesuffix(_BELOW) if self.is_mount else self.template
        return template.rstrip("/") == path and not self.is_websocket

    def is_within(self, other: RouteEntry) -> bool:
        """Return whether ``other`` is a mount around this entry."""
        return other.is_mount and self.mounts[: len(other.mounts)] == other.mounts


class _Prefix(NamedTuple):
    """The mounts and hosts around a route, and the routers on the way to it."""

    template: str = ""
    mounts: tuple[re.Pattern[str], ...] = ()
    is_hosted: bool = False
    owners: tuple[object, ...] = ()


_Entries: TypeAlias = Iterator[RouteEntry]


@final
class RouteTable:
    """The entries of a router in the order of its routes.

    ``count_failure`` is called in the ``except`` block of an error that a route caused.
    """

    def __init__(self, router: Any, count_failure: Callable[[], object]) -> None:
        self._count_failure = count_failure
        self._snapshots: list[tuple[Any, list[Any]]] = []
        self._walkers = _list_walkers()
        self.entries = tuple(self._walk_owner(router, _Prefix()))

    def is_current(self) -> bool:
        """Return whether the routes are unchanged: 6 ns a route, since lists compare identities first."""
        return all(list(owner.routes) == routes for owner, routes in self._snapshots)

    def _walk_owner(self, owner: Any, prefix: _Prefix) -> _Entries:
        """Walk the routes of ``owner`` unless it is mounted within itself, which would never end."""
        if owner is None or any(owner is one for one in prefix.owners):
            return iter(())
        prefix = prefix._replace(owners=(*prefix.owners, owner))
        return self._walk_each(self._remember(owner), prefix, self._walk_route)

    def _remember(self, owner: Any) -> list[Any]:
        """Return the routes of ``owner`` now, and keep them for `is_current`."""
        routes = list(owner.routes)
        self._snapshots.append((owner, routes))
        return routes

    def _walk_each(self, routes: Iterable[Any], prefix: _Prefix, walk: Callable[[Any, _Prefix], _Entries]) -> _Entries:
        for route in routes:
            try:
                yield from list(walk(route, prefix))
            except Exception:  # noqa: BLE001  # internals of a framework that changed, or a route class of the user's
                self._count_failure()

    def _walk_route(self, route: Any, prefix: _Prefix) -> _Entries:
        """Walk one route of any kind."""
        for kind, walk in self._walkers:
            if isinstance(route, kind):
                return walk(self, route, prefix)
        contexts = getattr(route, "effective_route_contexts", None)  # FastAPI's included routers, 0.137 and later
        if contexts is None:
            return iter(())
        self._remember_included(route.original_router)
        return self._walk_each(contexts(), prefix, self._walk_context)

    def _walk_endpoint(self, route: Any, prefix: _Prefix) -> _Entries:
        methods = getattr(route, "methods", None)
        yield RouteEntry(
            route.endpoint,
            prefix.template + route.path_format,
            prefix.mounts,
            route.path_regex,
            frozenset(methods) if methods else None,
            is_hosted=prefix.is_hosted,
        )

    def _walk_websocket(self, route: Any, prefix: _Prefix) -> _Entries:
        return (entry._replace(is_websocket=True) for entry in self._walk_endpoint(route, prefix))

    def _walk_mount(self, route: Any, prefix: _Prefix) -> _Entries:
        template = prefix.template + route.path_format.removesuffix(_BELOW)
        mounts = (*prefix.mounts, route.path_regex)
        inside = _find_routes_owner(route.app) or (route if route.routes else None)
        yield from self._walk_owner(inside, prefix._replace(template=template, mounts=mounts))
        yield RouteEntry(route.app, template + _BELOW, mounts, is_mount=True, is_hosted=prefix.is_hosted)

    def _walk_host(self, route: Any, prefix: _Prefix) -> _Entries:
        yield from self._walk_owner(_find_routes_owner(route.app), prefix._replace(is_hosted=True))
        yield RouteEntry(route.app, prefix.template + _BELOW, prefix.mounts, is_mount=True, is_hosted=True)

    def _walk_context(self, context: Any, prefix: _Prefix) -> _Entries:
        """Walk FastAPI's context for one route of an included router, except one without a pattern.

        An entry without a pattern would match every path.
        """
        if context.starlette_route is not None:
            yield from self._walk_route(context.starlette_route, prefix)
        elif context.path_regex is not None:
            yield from self._walk_endpoint(context, prefix)

    def _remember_included(self, router: Any) -> None:
        for route in self._remember(router):
            included = getattr(route, "original_router", None)
            if included is not None:
                self._remember_included(included)


_Walker: TypeAlias = "tuple[type, Callable[[RouteTable, Any, _Prefix], _Entries]]"


def _list_walkers() -> tuple[_Walker, ...]:
    """Return the method that walks each kind of route. Without Starlette in ``sys.modules`` there are no routes."""
    routing: Any = sys.modules.get("starlette.routing")
    if routing is None:
        return ()
    return (
        (routing.Mount, RouteTable._walk_mount),
        (routing.Host, RouteTable._walk_host),
        (routing.Route, RouteTable._walk_endpoint),
        (routing.WebSocketRoute, RouteTable._walk_websocket),
    )


def _find_routes_owner(app: Any) -> Any:
    """Return the object with the routes of a mounted application: the first with ``routes`` on the way inwards."""
    for _ in range(_MAX_WRAPPERS):
        if app is None or getattr(app, "routes", None) is not None:
            return app
        app = getattr(app, "app", None)
    return None
