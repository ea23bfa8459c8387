"""Context labels: label values that are bound once, up the stack, and read by every metric that declares their names.

    >>> from asyncmetrics import Counter, CollectorRegistry, bound_labels
    >>> registry = CollectorRegistry()
    >>> jobs = Counter("jobs", "Jobs run.", context_labels=["tenant"], registry=registry)
    >>> with bound_labels(tenant="acme"):
    ...     jobs.inc()
    >>> registry.get_sample_value("jobs_total", {"tenant": "acme"})
    1.0

*Theory of operation.*

1. One `contextvars.ContextVar` holds one mapping of names to values. At the start it is empty.
2. Binding replaces the mapping by a new one and never changes it. The current context has the new mapping; all other
   contexts keep theirs.
3. Tasks, callbacks and threads started by ``to_thread`` inherit the mapping as they inherit any context variable.
   Siblings do not see each other's labels.
4. A metric reads only the names that it declares, so a label that is bound for one metric adds no series to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import NamedTuple, final

from asyncmetrics.model.names import clean_text

__all__ = (
    "LabelTokens",
    "bind_labels",
    "bound_labels",
    "clear_labels",
    "get_labels",
    "reset_labels",
    "unbind_labels",
)

_NO_LABELS: Mapping[str, object] = {}  # never changed, like every mapping that is bound
_BOUND: ContextVar[Mapping[str, object]] = ContextVar("asyncmetrics_labels", default=_NO_LABELS)


@final
class LabelTokens:
    """The values of some names before a `bind_labels`, for `reset_labels`."""

    __slots__ = ("_before", "_names")

    def __init__(self, names: frozenset[str], before: Mapping[str, object]) -> None:
        self._names = names
        self._before = {name: before[name] for name in names if name in before}

    def restore(self, bound: Mapping[str, object]) -> dict[str, object]:
        """Return ``bound`` with these names as they were before."""
        return {name: value for name, value in bound.items() if name not in self._names} | self._before


def bind_labels(**labels: object) -> LabelTokens:
    """Bind label values in the current context and return the tokens for `reset_labels`.

    A value is converted by ``str``. A callable without arguments is called each time a metric reads the name.
    """
    bound = _BOUND.get()
    _BOUND.set({**bound, **labels})
    return LabelTokens(frozenset(labels), bound)


def reset_labels(tokens: LabelTokens) -> None:
    """Undo one `bind_labels`: its names get the values that they had before it; other names keep theirs."""
    _BOUND.set(tokens.restore(_BOUND.get()))


def enter_labels(labels: Mapping[str, object]) -> Token[Mapping[str, object]]:
    """Internal: bind the mapping ``labels`` until ``leave_labels(token)``. Do not mutate it.

    This costs a fifth of `bind_labels`, once for each request: benchmarks/middleware.py.
    """  # noqa: D401
    bound = _BOUND.get()
    return _BOUND.set({**bound, **labels} if bound else labels)


def leave_labels(token: Token[Mapping[str, object]]) -> None:
    """Internal: restore the mapping of before `enter_labels`; this undoes all other bindings since then as well."""  # noqa: D401
    try:
        _BOUND.reset(token)
    except ValueError:  # a server ran the coroutine in another context, which has nothing to undo
        pass


def unbind_labels(*names: str) -> None:
    """Remove ``names`` from the current context; names that are not bound are ignored."""
    unbound = frozenset(names)
    _BOUND.set({name: value for name, value in _BOUND.get().items() if name not in unbound})


def clear_labels() -> None:
    """Remove every label from the current context."""
    _BOUND.set(_NO_LABELS)


def get_labels() -> Mapping[str, object]:
    """Return the labels of the current context, as a read-only mapping."""
    return MappingProxyType(dict(_BOUND.get()))


def read_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Internal: return the values of ``names`` as text; an unbound name has the value ``""``.

    Raises what a bound callable or the ``str`` of a value raises.
    """  # noqa: D401
    bound = _BOUND.get()
    return tuple([_to_text(bound[name]) if name in bound else "" for name in names])


def _to_text(value: object) -> str:
    if callable(value):
        value = value()
    return clean_text(value if isinstance(value, str) else str(value))


@final
class bound_labels:  # noqa: N801  # reads as a statement: with bound_labels(tenant="acme")
    """Bind label values for a block: ``with bound_labels(tenant="acme"): …``.

    The context manager may be used again, also inside itself and by several tasks at once.
    """

    __slots__ = ("_labels",)

    def __init__(self, **labels: object) -> None:
        self._labels = labels

    def __enter__(self) -> None:
        """Bind the labels."""
        _ENTERED.set(_Entered(self, bind_labels(**self._labels), _ENTERED.get()))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the values of before."""
        inner: list[_Entered] = []
        entered = _ENTERED.get()
        while entered is not None and entered.manager is not self:
            inner.append(entered)
            entered = entered.outer
        if entered is None:  # this context never entered it, so there is nothing to undo
            return
        outer = entered.outer
        for other in reversed(inner):
            outer = _Entered(other.manager, other.tokens, outer)
        _ENTERED.set(outer)
        reset_labels(entered.tokens)


@final
class _Entered(NamedTuple):
    """An entered manager and the ones around it. A chain: copying a tuple at each entry would take quadratic time."""

    manager: bound_labels
    tokens: LabelTokens
    outer: _Entered | None


# The entered managers of this context: each task undoes its own.
_ENTERED: ContextVar[_Entered | None] = ContextVar("asyncmetrics_entered", default=None)
