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

from asyncmetrics.context.bound import BOUND, UNBOUND, Bound
from asyncmetrics.context.names import log_suspects, suspects

__all__ = ("Binding", "RequestBindings")


@final
class Binding(NamedTuple):
    """A value that was bound for a request, by a block or until further notice, and the binding before it."""

    value: object
    is_block: bool
    older: Binding | None


class RequestBindings:
    """The bindings of some names during one request. A request whose middleware reads no names begins none.

    It has no ``__init__``, since an instance takes half of the time without one: benchmarks/middleware.py.
    """

    __slots__ = ("_names", "_newest", "_outside")

    _names: tuple[str, ...]
    _newest: dict[str, Binding]
    _outside: Bound | None  # None once the request has ended

    def begin_bindings(self, names: tuple[str, ...]) -> None:
        """Note the bindings of ``names`` from here on; what the current context has bound is outside of the request."""
        self._names = names
        self._newest = {}
        self._outside = BOUND.get()

    def note(self, labels: Mapping[str, object], *, is_block: bool = False) -> dict[str, Binding]:
        """Note labels that are bound, and return their bindings for `undo`."""
        if self._outside is None:
            return {}
        return {name: self._add(name, labels[name], is_block=is_block) for name in self._names if name in labels}

    def _add(self, name: str, value: object, *, is_block: bool) -> Binding:
        older = self._newest.get(name)
        if older is not None and not (is_block or older.is_block):
            older = older.older  # replaced: a loop may bind a name again without end
        self._newest[name] = binding = Binding(value, is_block, older)
        return binding

    def undo(self, bindings: Mapping[str, Binding]) -> None:
        """Undo bindings, and the newer ones of their names."""
        for name, binding in bindings.items():
            found = self._newest.get(name)
            while found is not None and found is not binding:
                found = found.older
            if found is None:  # undone already
                continue
            if found.older is None:
                self._newest.pop(name, None)
            else:
                self._newest[name] = found.older

    def list_names(self) -> list[str]:
        """Return the names that are bound for the request."""
        return list(self._newest)

    def read_bindings(self) -> list[object]:
        """Return the values of the names."""
        if suspects:
            log_suspects()
        return [self._read(name) for name in self._names]

    def _read(self, name: str) -> object:
        newest = self._newest.get(name)
        if newest is not None:
            return newest.value
        return UNBOUND if self._outside is None else self._outside.get(name, UNBOUND)

    def end_bindings(self) -> list[object]:
        """Return the values of the names, as `read_bindings` does, and release them: a task may outlive the request.

        From here on no binding is noted. If nothing was bound, the list is empty.
        """
        values = self.read_bindings() if self._newest or self._outside or suspects else []
        self._outside = None
        self._newest = {}
        return values
