"""Context labels: label values bound once, up the stack, and read by every metric that declares their names.

    >>> from asyncmetrics import Counter, CollectorRegistry, bound_labels
    >>> registry = CollectorRegistry()
    >>> jobs = Counter("jobs", "Jobs run.", context_labels=["tenant"], registry=registry)
    >>> with bound_labels(tenant="acme"):
    ...     jobs.inc()
    >>> registry.get_sample_value("jobs_total", {"tenant": "acme"})
    1.0

*Theory of operation.* One `contextvars.ContextVar` holds one immutable mapping. Tasks, threads started by
``to_thread`` and callbacks inherit it as they inherit any context variable; siblings never see each other's. Only names
that a metric declares are ever read, so what is bound elsewhere cannot add series.
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
    "enter_labels",
    "get_labels",
    "leave_labels",
    "read_labels",
    "reset_labels",
    "unbind_labels",
)

_NOTHING: Mapping[str, object] = {}  # never changed, like every mapping that is bound
_BOUND: ContextVar[Mapping[str, object]] = ContextVar("asyncmetrics_labels", default=_NOTHING)


@final
class LabelTokens:
    """What some names were bound to before `bind_labels`; give it to `reset_labels`."""

    __slots__ = ("_before", "_names")

    def __init__(self, names: frozenset[str], before: Mapping[str, object]) -> None:
        self._names = names
        self._before = {name: before[name] for name in names if name in before}

    def restored(self, bound: Mapping[str, object]) -> dict[str, object]:
        """Return ``bound`` with these names as they were."""
        return {name: value for name, value in bound.items() if name not in self._names} | self._before


def bind_labels(**labels: object) -> LabelTokens:
    """Bind label values in the current context and return what undoes it.

    A value is written by ``str``; a callable without arguments is called each time a metric reads the name.
    """
    bound = _BOUND.get()
    _BOUND.set({**bound, **labels})
    return LabelTokens(frozenset(labels), bound)


def reset_labels(tokens: LabelTokens) -> None:
    """Bind the names of one `bind_labels` to what they were before it; other names stay."""
    _BOUND.set(tokens.restored(_BOUND.get()))


def enter_labels(labels: Mapping[str, object]) -> Token[Mapping[str, object]]:
    """Begin what `leave_labels` ends, with ``labels`` bound, which the caller changes no more.

    A fifth of the price of `bind_labels`, once for each request: benchmarks/middleware.py.
    """
    bound = _BOUND.get()
    return _BOUND.set({**bound, **labels} if bound else labels)


def leave_labels(token: Token[Mapping[str, object]]) -> None:
    """Bind exactly what was bound at `enter_labels`: whatever else was bound in between ends here as well."""
    try:
        _BOUND.reset(token)
    except ValueError:  # whoever drives the coroutine changed its context, so there is nothing here to undo
        pass


def unbind_labels(*names: str) -> None:
    """Take ``names`` out of the current context; names that are not bound do no harm."""
    unbound = frozenset(names)
    _BOUND.set({name: value for name, value in _BOUND.get().items() if name not in unbound})


def clear_labels() -> None:
    """Take every label out of the current context."""
    _BOUND.set(_NOTHING)


def get_labels() -> Mapping[str, object]:
    """Return a read-only view of what is bound in the current context."""
    return MappingProxyType(dict(_BOUND.get()))


def read_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of ``names`` as metrics see them: text, and ``""`` where nothing is bound.

    Whatever a bound callable, or the ``str`` of a value, raises comes out.
    """
    bound = _BOUND.get()
    return tuple([_text(bound[name]) if name in bound else "" for name in names])


def _text(value: object) -> str:
    if callable(value):
        value = value()
    return clean_text(value if isinstance(value, str) else str(value))


@final
class bound_labels:  # noqa: N801  # reads as a statement: with bound_labels(tenant="acme")
    """Bind label values for a block: ``with bound_labels(tenant="acme"): …``.

    The manager may be used again, also inside itself and by several tasks at once.
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
        """Bind what was bound before."""
        inner: list[_Entered] = []
        entered = _ENTERED.get()
        while entered is not None and entered.manager is not self:
            inner.append(entered)
            entered = entered.outer
        if entered is None:  # it was not entered in this context, so there is nothing here to undo
            return
        outer = entered.outer
        for other in reversed(inner):
            outer = _Entered(other.manager, other.tokens, outer)
        _ENTERED.set(outer)
        reset_labels(entered.tokens)


@final
class _Entered(NamedTuple):
    """A manager that is entered, and the ones around it: a chain, since a copy for each would be quadratic."""

    manager: bound_labels
    tokens: LabelTokens
    outer: _Entered | None


# The managers that are entered, by context: what each task has to undo is its own.
_ENTERED: ContextVar[_Entered | None] = ContextVar("asyncmetrics_entered", default=None)
