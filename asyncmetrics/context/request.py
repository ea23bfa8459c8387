"""What is bound for one request, wherever its work is done: in other tasks, in threads, in generators.

A binding reaches the contexts that are copied from its own, and no others. The middleware records a request in the
context that sends the end of the response, which a binding in a thread (a sync endpoint of FastAPI) or in another task
(under Starlette's ``BaseHTTPMiddleware``) does not reach. All contexts of a request therefore share one object, which
notes the bindings of the names that the middleware reads.

*Rules.* The newest binding of a name counts, in whatever context of the request it was made. Undoing a binding also
undoes the newer ones of the name. If none is left, the value from outside of the request counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, final

from asyncmetrics.context.bound import BOUND, UNBOUND
from asyncmetrics.context.names import log_suspects, suspects

__all__ = ("Binding", "RequestBindings")


@final
class Binding(NamedTuple):
    """A value that was bound for a request, by a block or until further notice, and the binding before it."""

    value: object
    is_block: bool
    older: Binding | None


class RequestBindings:
    """The bindings of ``names`` during one request.

    It has no ``__init__``, since an instance takes half of the time without one: the middleware sets both attributes
    (benchmarks/middleware.py).
    """

    __slots__ = ("names", "newest")

    names: tuple[str, ...]
    """The names that the middleware reads; none once it has read them."""
    newest: dict[str, Binding] | None
    """The newest binding of each name that is bound; None if nothing was bound so far."""

    def note(self, labels: Mapping[str, object], *, is_block: bool = False) -> dict[str, Binding]:
        """Note labels that are bound, and return their bindings for `undo`."""
        return {name: self._add(name, labels[name], is_block=is_block) for name in self.names if name in labels}

    def _add(self, name: str, value: object, *, is_block: bool) -> Binding:
        newest = self.newest
        if newest is None:
            self.newest = newest = {}
        older = newest.get(name)
        if older is not None and not (is_block or older.is_block):
            older = older.older  # replaced: a loop may bind a name again without end
        newest[name] = binding = Binding(value, is_block, older)
        return binding

    def undo(self, bindings: Mapping[str, Binding]) -> None:
        """Undo bindings, and the newer ones of their names."""
        newest = self.newest or {}
        for name, binding in bindings.items():
            found = newest.get(name)
            while found is not None and found is not binding:
                found = found.older
            if found is None:  # undone already
                continue
            if found.older is None:
                newest.pop(name, None)
            else:
                newest[name] = found.older

    def list_names(self) -> list[str]:
        """Return the names that are bound for the request."""
        return list(self.newest or ())

    def read_bindings(self) -> list[object]:
        """Return the values of the names; what is not bound in the request has the value of the current context."""
        if suspects:
            log_suspects()
        newest, outside = self.newest or {}, BOUND.get()
        return [newest[name].value if name in newest else outside.get(name, UNBOUND) for name in self.names]

    def end_bindings(self) -> list[object]:
        """Return the values of the names, as `read_bindings` does, and release them: a task may outlive the request.

        From here on no binding is noted. If none of the names is bound, the list is empty.
        """
        is_unbound = self.newest is None and not suspects and BOUND.get().keys().isdisjoint(self.names)
        values = [] if is_unbound else self.read_bindings()
        self.names, self.newest = (), None
        return values
