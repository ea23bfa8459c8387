"""The places of a router's endpoints: its routes walked down through mounts, hosts and included routers.

*Rules.* A route that cannot be understood costs its own label and no other's.

*Theory of operation.* A place keeps the patterns that the framework has compiled, its own and those of the mounts
around it, and tries them one after the other as the framework does. Patterns put together here would have to be
compiled here, 0.1 ms each, or for each request where there are more of them than `re` remembers (512).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias, final

__all__ = ("Place", "RouteTable")

_MAX_WRAPPERS = 32
_BELOW = "/{path}"


class Place(NamedTuple):
    """Where an endpoint is: its full template, and how to tell whether a request is for it.

    ``mounted`` says that the paths below it are its own, ``hosted`` that the host of a request has a say as well.
    """

    endpoint: object
    template: str
    mounts: tuple[re.Pattern[str], ...]
    own: re.Pattern[str] | None = None
    methods: frozenset[str] | None = None
    mounted: bool = False
    hosted: bool = False

    def fits(self, path: str) -> bool:
        """Tell whether a path without its root is one of this place."""
        for mount in self.mounts:
            found = mount.match(path)
            if found is None:
                return False
            path = f"/{found['path']}"
        return self.own is None or self.own.match(path) is not None

    def takes(self, method: object) -> bool:
        """Tell whether requests of ``method`` are answered here, and not refused with a 405."""
        return self.methods is None or method in self.methods

    def is_within(self, other: Place) -> bool:
        """Tell whether this is a place below another, which is a mount."""
        return other.mounted and self.mounts[: len(other.mounts)] == other.mounts


class _Prefix(NamedTuple):
    template: str = ""
    mounts: tuple[re.Pattern[str], ...] = ()
    hosted: bool = False
    owners: tuple[object, ...] = ()


_Places: TypeAlias = Iterator[Place]


@final
class RouteTable:
    """The places of a router in the order of its routes, and whether the routes are still those.

    ``failed`` is called while the exception is handled that a route could not be walked for.
    """

    def __init__(self, router: Any, failed: Callable[[], object]) -> None:
        self._failed = failed
        self._walked: list[tuple[Any, list[Any]]] = []
        self._kinds = _kinds()
        self.places = tuple(self._below(router, _Prefix()))

    def is_current(self) -> bool:
        """Tell whether no route was added, removed or replaced: 6 ns a route, since lists compare identities first."""
        return all(list(owner.routes) == routes for owner, routes in self._walked)

    def _below(self, owner: Any, prefix: _Prefix) -> _Places:
        """Walk the routes of ``owner`` unless it is mounted within itself, which has no end."""
        if owner is None or any(owner is one for one in prefix.owners):
            return iter(())
        prefix = prefix._replace(owners=(*prefix.owners, owner))
        return self._each(self._note(owner), prefix, self._of_any)

    def _note(self, owner: Any) -> list[Any]:
        routes = list(owner.routes)
        self._walked.append((owner, routes))
        return routes

    def _each(self, routes: Iterable[Any], prefix: _Prefix, walk: Callable[[Any, _Prefix], _Places]) -> _Places:
        for route in routes:
            try:
                yield from list(walk(route, prefix))
            except Exception:  # noqa: BLE001  # framework internals that moved, or a route of the user's own making
                self._failed()

    def _of_any(self, route: Any, prefix: _Prefix) -> _Places:
        for kind, walk in self._kinds:
            if isinstance(route, kind):
                return walk(self, route, prefix)
        contexts = getattr(route, "effective_route_contexts", None)  # FastAPI's included routers, 0.137 and later
        if contexts is None:
            return iter(())
        self._note_included(route.original_router)
        return self._each(contexts(), prefix, self._of_context)

    def _of_route(self, route: Any, prefix: _Prefix) -> _Places:
        methods = getattr(route, "methods", None)
        yield Place(
            route.endpoint,
            prefix.template + route.path_format,
            prefix.mounts,
            route.path_regex,
            frozenset(methods) if methods else None,
            hosted=prefix.hosted,
        )

    def _of_mount(self, route: Any, prefix: _Prefix) -> _Places:
        template = prefix.template + route.path_format.removesuffix(_BELOW)
        mounts = (*prefix.mounts, route.path_regex)
        inside = _routed(route.app) or (route if route.routes else None)
        yield from self._below(inside, prefix._replace(template=template, mounts=mounts))
        yield Place(route.app, template + _BELOW, mounts, mounted=True, hosted=prefix.hosted)

    def _of_host(self, route: Any, prefix: _Prefix) -> _Places:
        yield from self._below(_routed(route.app), prefix._replace(hosted=True))
        yield Place(route.app, prefix.template + _BELOW, prefix.mounts, mounted=True, hosted=True)

    def _of_context(self, context: Any, prefix: _Prefix) -> _Places:
        """Walk what FastAPI made of one route of an included router; one without a pattern must not fit every path."""
        if context.starlette_route is not None:
            yield from self._of_any(context.starlette_route, prefix)
        elif context.path_regex is not None:
            yield from self._of_route(context, prefix)

    def _note_included(self, router: Any) -> None:
        for route in self._note(router):
            included = getattr(route, "original_router", None)
            if included is not None:
                self._note_included(included)


_Kind: TypeAlias = "tuple[type, Callable[[RouteTable, Any, _Prefix], _Places]]"


def _kinds() -> tuple[_Kind, ...]:
    """Return how to walk each kind of route; the framework is there already, or there would be no routes."""
    routing: Any = sys.modules.get("starlette.routing")
    if routing is None:
        return ()
    return (
        (routing.Mount, RouteTable._of_mount),
        (routing.Host, RouteTable._of_host),
        (routing.Route, RouteTable._of_route),
        (routing.WebSocketRoute, RouteTable._of_route),
    )


def _routed(app: Any) -> Any:
    """Return what has the routes of a mounted application, through the middleware that wraps it; None if nothing."""
    for _ in range(_MAX_WRAPPERS):
        if app is None or getattr(app, "routes", None) is not None:
            return app
        app = getattr(app, "app", None)
    return None
