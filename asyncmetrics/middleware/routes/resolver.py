"""The template of the route that served a request, found after the router has chosen it.

*Rules.* Nothing is matched a second time where the router has said what it chose, and no path ever becomes a label.
What is not understood is ``<unmatched>``: framework internals that moved cost a label, never a request.

*Theory of operation.* Starlette and FastAPI write the outermost router and the innermost endpoint into the scope. An
index from endpoints to their places is built once for each router, and again when the routes have changed: that is
looked for when an endpoint comes that it does not know, and when the router has more or fewer routes of its own. An
endpoint with several places is told by their patterns, tried on the path without its root.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from asyncmetrics.middleware.routes.table import Place, RouteTable
from asyncmetrics.middleware.scope import ROUTE_KEY, remove_root_path
from asyncmetrics.model.caching import cache_short_texts
from asyncmetrics.typing import Scope

__all__ = ("FRONTEND", "PENDING", "UNMATCHED", "RouteResolver")

UNMATCHED = "<unmatched>"
PENDING = "<pending>"
FRONTEND = "<frontend>"

_MAX_ROUTERS = 64


@final
class RouteResolver:
    """Find route templates; one resolver serves one middleware and keeps an index for each router it meets.

    ``failed`` is called while the exception is handled that a route could not be understood for.
    """

    def __init__(self, failed: Callable[[], object]) -> None:
        self._failed = failed
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
        return (self._indexes.get(id(router)) or self._indexed(router)).template(endpoint, scope)

    def resolve_copied(self, scope: Scope) -> str:
        """Return the template for a request whose router wrote into a copy of the scope, by matching its path."""
        router = getattr(scope.get("app"), "router", None)
        return UNMATCHED if router is None else (self._indexes.get(id(router)) or self._indexed(router)).match(scope)

    def _indexed(self, router: Any) -> _Index:
        if len(self._indexes) >= _MAX_ROUTERS:  # routers made anew for each request: keep what is used now
            self._indexes.clear()
        index = self._indexes[id(router)] = _Index(router, self._failed)
        return index


@final
class _Index:
    def __init__(self, router: Any, failed: Callable[[], object]) -> None:
        self._router = router  # held, so that its id stays its own
        self._failed = failed
        self._build()

    def template(self, endpoint: object, scope: Scope) -> str:
        if len(self._router.routes) != self._length:  # an endpoint that is known may have a second place now
            self._refresh()
        found = self._found.get(id(endpoint))
        if found is None:
            self._refresh()
            found = self._found.get(id(endpoint))
        if isinstance(found, str):
            return found
        return self._mount_around(scope) if found is None else _chosen(found, _local_path(scope), scope.get("method"))

    def match(self, scope: Scope) -> str:
        self._refresh()
        return self._matched(_local_path(scope), str(scope.get("method", "")))  # a websocket has none

    def _refresh(self) -> None:
        if not self._table.is_current():
            self._build()

    def _build(self) -> None:
        table = RouteTable(self._router, self._failed)
        places: dict[int, list[Place]] = {}
        for place in table.places:
            places.setdefault(id(place.endpoint), []).append(place)
        # By endpoint, its one template or its several places. Whole before it is seen: a scrape in another thread
        # reads it as well.
        self._found = {key: here if len(here) > 1 else here[0].template for key, here in places.items()}
        self._table = table
        self._length = len(self._router.routes)
        told = [place for place in table.places if not place.hosted]
        self._matched: Callable[[str, str], str] = cache_short_texts(lambda path, method: _chosen(told, path, method))

    def _mount_around(self, scope: Scope) -> str:
        """Return the template of the mount that an endpoint unknown to the index is behind."""
        mounted_at = remove_root_path(
            scope.get("root_path", ""), scope.get("app_root_path", scope.get("root_path", ""))
        )
        if not mounted_at:
            return UNMATCHED
        inside = (place for place in self._table.places if place.mounted and place.fits(f"{mounted_at}/"))
        return next((place.template for place in inside), UNMATCHED)


def _chosen(places: list[Place], path: str, method: object) -> str:
    """Return the template of the first place for path and method; a 405 is that of the first for the path.

    A mount takes any method, but comes after all that is in it: what refuses the method there is the answer.
    """
    refusing: Place | None = None
    for place in places:
        if not place.fits(path):
            continue
        if place.takes(method):
            return refusing.template if refusing is not None and refusing.is_within(place) else place.template
        refusing = refusing or place
    return UNMATCHED if refusing is None else refusing.template


def _local_path(scope: Scope) -> str:
    return remove_root_path(scope["path"], scope.get("app_root_path", scope.get("root_path", "")))
