"""What is bound for one request, wherever its work is done: in other tasks, in threads, in generators.

A binding reaches the contexts that are copied from its own, and no others. The middleware records a request in the
context that sends the end of the response, which a binding in a thread (a sync endpoint of FastAPI) or in another task
(under Starlette's ``BaseHTTPMiddleware``) does not reach. All contexts of a request therefore share one object, which
notes the bindings of the names that the middleware reads.

*Rules.* The value of a name is the first of these:

1. the newest binding, if it is that of the context that sends the end of the response, or if that context has none;
2. the newest binding, if it was made in another thread: the request awaits the end of a sync endpoint;
3. the newest binding, if a router had chosen the route by then, but not yet at the context's own binding: an endpoint
   replaces what middleware in front of it has bound;
4. the context's own binding: a task that an endpoint starts does not replace what the endpoint has bound;
5. the value from outside of the request.

A binding that was undone does not count: the end of a block and `reset_labels` undo it, in any context.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from threading import get_ident
from typing import final

from asyncmetrics.context.bound import BOUND, NO_LABELS, REQUEST, Bound, get_bound
from asyncmetrics.context.names import log_suspects, suspects

__all__ = ("UNBOUND", "Binding", "RequestBindings", "end_bindings", "note_labels", "settle")

UNBOUND = ""
"""The value of a name that is not bound."""

_get_next_number = count().__next__


@final
class Binding:
    """One name that was bound for a request, at one time."""

    __slots__ = ("is_block", "is_over", "is_routed", "name", "number", "request", "thread", "value")

    def __init__(self, request: RequestBindings, name: str, value: object, *, is_block: bool, is_routed: bool) -> None:
        self.request = request
        self.name = name
        self.value = value
        self.is_block = is_block
        self.is_routed = is_routed
        self.is_over = False
        self.number = _get_next_number()
        self.thread = get_ident()

    def replaces(self, own: Binding) -> bool:
        """Return whether this binding comes before an older one of the context that sends the end of the response."""
        return self.thread != own.thread or (self.is_routed and not own.is_routed)


class RequestBindings:
    """The bindings of some names during one request. A request whose middleware reads no names begins none.

    It has no ``__init__``, since an instance takes half of the time without one: benchmarks/middleware.py.
    """

    __slots__ = ("_names", "_open", "_outside")

    _names: tuple[str, ...]
    _outside: Bound | None  # None once the request has ended
    # A dict, since threads add and remove bindings at the same time, each by one call.
    _open: dict[Binding, None]

    def begin_bindings(self, names: tuple[str, ...]) -> None:
        """Note the bindings of ``names`` from here on."""
        self._names = names
        self._open = {}
        self._outside = BOUND.get()

    def is_routed(self) -> bool:
        """Return whether a router has chosen the route of the request."""
        raise NotImplementedError

    def note(self, labels: Mapping[str, object], *, is_block: bool = False) -> Bound:
        """Note labels that are bound in the current context; return their bindings by the keys that a mapping has."""
        names = [name for name in self._names if name in labels] if self._outside is not None else ()
        is_routed = bool(names) and self.is_routed()
        bindings: dict[tuple[str], Binding] = {}
        for name in names:
            if not is_block:
                self._forget(name)
            bindings[name,] = binding = Binding(self, name, labels[name], is_block=is_block, is_routed=is_routed)
            self._open[binding] = None
        return bindings

    def list_names(self) -> list[str]:
        """Return the names that are bound for the request."""
        return [binding.name for binding in list(self._open)]

    def end_binding(self, binding: Binding) -> None:
        """Undo a binding."""
        binding.is_over = True
        self._open.pop(binding, None)

    def reopen(self, binding: Binding) -> None:
        """Let a binding count again, after the one that replaced it was undone."""
        if self._outside is not None and not binding.is_over:
            self._open[binding] = None

    def read_bindings(self) -> list[object]:
        """Return the values of the names. Call it in the context that sends the end of the response."""
        if suspects:
            log_suspects()
        if not self._open:
            outside = self._outside or NO_LABELS
            return [outside.get(name, UNBOUND) for name in self._names]
        bound = get_bound()
        is_inside = bound.get(REQUEST) is self
        return [self._read(name, bound.get((name,)) if is_inside else None) for name in self._names]

    def end_bindings(self) -> list[object]:
        """Return the values of the names, as `read_bindings` does, and release them: a task may outlive the request.

        From here on no binding is noted. If nothing was bound, the list is empty.
        """
        values = self.read_bindings() if self._open or self._outside or suspects else []
        self._outside = None
        if self._open:
            self._open.clear()
        return values

    def _read(self, name: str, own: Binding | None) -> object:
        newest: Binding | None = None
        for binding in list(self._open):
            if binding.name == name and (newest is None or binding.number > newest.number):
                newest = binding
        if (
            own is not None
            and not own.is_over
            and not (newest is not None and newest.number > own.number and newest.replaces(own))
        ):
            return own.value
        if newest is not None:
            return newest.value
        return (self._outside or NO_LABELS).get(name, UNBOUND)

    def _forget(self, name: str) -> None:
        """Forget the bindings of a name that no block ends: a loop may bind it again without end."""
        for binding in list(self._open):
            if binding.name == name and not binding.is_block:
                self._open.pop(binding, None)


def note_labels(bound: Bound, labels: Mapping[str, object]) -> Bound:
    """Note labels that are bound in a context with the mapping ``bound`` for the request of the context, if any."""
    request: RequestBindings | None = bound.get(REQUEST)
    return {} if request is None else request.note(labels)


def end_bindings(changes: Bound) -> None:
    """Undo the bindings in ``changes``."""
    for binding in changes.values():
        if isinstance(binding, Binding):
            binding.request.end_binding(binding)


def settle(changes: Bound, before: Bound, after: Bound) -> None:
    """Undo the bindings in ``changes``, of a context whose mapping was ``before`` and is ``after``.

    Those that replaced them end as well, and those that the context has again count again.
    """
    end_bindings(changes)
    for key in changes:
        replaced, restored = before.get(key), after.get(key)
        if replaced is not restored:
            if isinstance(replaced, Binding):
                replaced.request.end_binding(replaced)
            if isinstance(restored, Binding):
                restored.request.reopen(restored)
