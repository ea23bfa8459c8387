"""The template of the route that served a request, found after the router has chosen it.

*Rules.* Nothing is matched a second time where the router has said what it chose, and no path ever becomes a label.
What is not understood is ``<unmatched>``: framework internals that moved cost a label, never a request.

*Theory of operation.* Starlette and FastAPI write the outermost router and the innermost endpoint into the scope. An
index from endpoints to their full templates (mounts, hosts and included routers walked down) is built once for each
router, and again when an endpoint comes that it does not know and the routes have changed. An endpoint with several
templates is told by their patterns, tried on the path without its root.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, final

from asyncmetrics.typing import Scope

__all__ = ("FRONTEND", "PENDING", "ROUTE_KEY", "UNMATCHED", "RouteResolver")

UNMATCHED = "<unmatched>"
PENDING = "<pending>"
FRONTEND = "<frontend>"
ROUTE_KEY = "asyncmetrics.route"
"""Where anyone may write the route of a request into its scope."""

_MAX_ROUTERS = 64
_MAX_WRAPPERS = 32
_BELOW = "/{path}"
_GROUP_NAME = re.compile(r"\(\?P<\w+>")
_MOUNT_TAIL = "/(?P<path>.*)$"


class _Place(NamedTuple):
    """Where an endpoint is: its full template, the pattern of its paths, and whether paths below it are its own.

    ``hosted`` says that the path alone does not tell, since the host decides as well.
    """

    endpoint: object
    template: str
    pattern: str
    mounted: bool
    hosted: bool


class _Prefix(NamedTuple):
    template: str = ""
    pattern: str = ""
    hosted: bool = False


@final
class RouteResolver:
    """Find route templates; one resolver serves one middleware and keeps an index for each router it meets."""

    def __init__(self) -> None:
        self._indexes: dict[int, _Index] = {}

    def resolve(self, scope: Scope) -> str:
        """Return the template for a request that has been routed, or `PENDING` if no router has seen it yet."""
        own = scope.get(ROUTE_KEY)
        if own is not None:
            return str(own)
        router = scope.get("router")
        if router is None:
            return PENDING
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return FRONTEND if "frontend_path" in (scope.get("fastapi") or ()) else UNMATCHED
        return self._index(router).template(endpoint, scope)

    def resolve_copied(self, scope: Scope) -> str:
        """Return the template for a request whose router wrote into a copy of the scope, by matching its path."""
        router = getattr(scope.get("app"), "router", None)
        return UNMATCHED if router is None else self._index(router).match(_local_path(scope))

    def _index(self, router: Any) -> _Index:
        index = self._indexes.get(id(router))
        if index is None:
            if len(self._indexes) >= _MAX_ROUTERS:  # routers made anew for each request: keep what is used now
                self._indexes.clear()
            index = self._indexes[id(router)] = _Index(router)
        return index


@final
class _Index:
    def __init__(self, router: Any) -> None:
        self._router = router  # held, so that its id stays its own
        self._build()

    def template(self, endpoint: object, scope: Scope) -> str:
        places = self._places.get(id(endpoint))
        if places is None and self._version() != self._built:
            self._build()
            places = self._places.get(id(endpoint))
        if places is None:
            return self._mount_around(scope)
        if len(places) == 1:
            return places[0].template
        path = _local_path(scope)
        return next((place.template for place in places if re.fullmatch(place.pattern, path)), places[0].template)

    def match(self, path: str) -> str:
        if self._version() != self._built:
            self._build()
        return self._matched(path)

    def _build(self) -> None:
        self._built = self._version()
        self._all = tuple(_places(self._router.routes, _Prefix()))
        self._places: dict[int, list[_Place]] = {}
        for place in self._all:
            self._places.setdefault(id(place.endpoint), []).append(place)
        self._matched: Callable[[str], str] = lru_cache(maxsize=1024)(self._match)

    def _match(self, path: str) -> str:
        told = (place for place in self._all if not place.hosted and re.fullmatch(place.pattern, path))
        return next((place.template for place in told), UNMATCHED)

    def _mount_around(self, scope: Scope) -> str:
        """Return the template of the mount that an endpoint unknown to the index is behind."""
        mounted_at = _without_root(scope.get("root_path", ""), scope.get("app_root_path", scope.get("root_path", "")))
        if not mounted_at:
            return UNMATCHED
        inside = (place for place in self._all if place.mounted and re.fullmatch(place.pattern, f"{mounted_at}/"))
        return next((place.template for place in inside), UNMATCHED)

    def _version(self) -> tuple[int, ...]:
        return tuple(id(route) for route in _every_route(self._router.routes))


def _local_path(scope: Scope) -> str:
    return _without_root(scope["path"], scope.get("app_root_path", scope.get("root_path", "")))


def _without_root(path: str, root: str) -> str:
    return path[len(root) :] if root and path.startswith(root) else path


def _routes_of(app: Any) -> list[Any]:
    """Return the routes of a mounted application, through the middleware that wraps it."""
    for _ in range(_MAX_WRAPPERS):
        routes = getattr(app, "routes", None)
        if routes is not None or app is None:
            return list(routes or ())
        app = getattr(app, "app", None)
    return []


def _every_route(routes: Iterable[Any]) -> Iterator[Any]:
    for route in routes:
        yield route
        included = getattr(route, "original_router", None)
        yield from _every_route(_routes_of(included if included is not None else getattr(route, "app", None)))


Walk: TypeAlias = Callable[[Any, _Prefix], Iterator[_Place]]


def _places(routes: Iterable[Any], prefix: _Prefix) -> Iterator[_Place]:
    kinds = _kinds()
    for route in routes:
        walk = next((walk for kind, walk in kinds if isinstance(route, kind)), None)
        if walk is not None:
            yield from walk(route, prefix)
        elif hasattr(route, "effective_route_contexts"):
            yield from _places_of_included(route, prefix)


def _kinds() -> list[tuple[type, Walk]]:
    """Return how to walk each kind of route; the framework is there already, or there would be no routes."""
    routing: Any = sys.modules.get("starlette.routing")
    if routing is None:
        return []
    return [
        (routing.Mount, _places_of_mount),
        (routing.Host, _places_of_host),
        (routing.Route, _places_of_route),
        (routing.WebSocketRoute, _places_of_route),
    ]


def _places_of_route(route: Any, prefix: _Prefix) -> Iterator[_Place]:
    pattern = prefix.pattern + _inner(route.path_regex.pattern)
    yield _Place(route.endpoint, prefix.template + route.path_format, pattern, mounted=False, hosted=prefix.hosted)


def _places_of_mount(route: Any, prefix: _Prefix) -> Iterator[_Place]:
    template = prefix.template + route.path_format.removesuffix(_BELOW)
    pattern = prefix.pattern + _inner(route.path_regex.pattern.removesuffix(_MOUNT_TAIL))
    yield from _places(_routes_of(route.app) or route.routes, _Prefix(template, pattern, prefix.hosted))
    yield _Place(route.app, template + _BELOW, f"{pattern}/.*", mounted=True, hosted=prefix.hosted)


def _places_of_host(route: Any, prefix: _Prefix) -> Iterator[_Place]:
    yield from _places(_routes_of(route.app), prefix._replace(hosted=True))
    yield _Place(route.app, prefix.template + _BELOW, f"{prefix.pattern}/.*", mounted=True, hosted=True)


def _places_of_included(route: Any, prefix: _Prefix) -> Iterator[_Place]:
    """Walk what FastAPI (0.137 and later) made of the routes of an included router."""
    for context in route.effective_route_contexts():
        if context.starlette_route is not None:
            yield from _places([context.starlette_route], prefix)
        elif context.path_regex is not None:
            yield from _places_of_route(context, prefix)


def _inner(pattern: str) -> str:
    """Return a route's pattern without its anchors and its group names, so that patterns can be put together."""
    return _GROUP_NAME.sub("(?:", pattern.removeprefix("^").removesuffix("$"))
