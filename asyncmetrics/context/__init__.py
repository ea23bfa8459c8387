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

Modules:

* `bound`: the mapping of a context, and its blocks.
* `request`: what is bound for a request, in all of its contexts.
* `names`: the names that metrics declare, and those that none declares.
* `functions`: functions that are decorated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Token
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar, cast, final
from weakref import ref

from asyncmetrics.context.bound import (
    BOUND,
    ENTERED,
    REQUEST,
    STALE,
    Bound,
    Entered,
    Entry,
    drop,
    end_elsewhere,
    get_bound,
    pick,
    replace,
)
from asyncmetrics.context.functions import wrap_function
from asyncmetrics.context.names import check_names, known, log_suspects, suspects
from asyncmetrics.context.request import UNBOUND, end_bindings, note_labels, settle
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

F = TypeVar("F", bound=Callable[..., Any])  # a callable of the user's, of any signature


@final
class LabelTokens:
    """The values of some names before a `bind_labels`, for `reset_labels`."""

    __slots__ = ("_before", "_changes", "_is_noted")

    def __init__(self, changes: Bound, before: Bound) -> None:
        self._changes = changes
        self._is_noted = REQUEST in before
        self._before = {key: before[key] for key in changes if key in before}

    def restore(self, bound: Bound) -> Bound:
        """Return ``bound`` with these names as they were before."""
        restored = replace(bound, self._changes, self._before)
        if self._is_noted:
            settle(self._changes, bound, restored)
        return restored


def bind_labels(**labels: object) -> LabelTokens:
    """Bind label values in the current context and return the tokens for `reset_labels`.

    A value is converted by ``str``. A callable without arguments is called each time a metric reads the name.
    """
    if not known.issuperset(labels):
        check_names(labels)
    bound = get_bound() if STALE else BOUND.get()
    changes: Bound = {**labels, **note_labels(bound, labels)} if REQUEST in bound else labels
    BOUND.set({**bound, **changes})
    return LabelTokens(changes, bound)


def reset_labels(tokens: LabelTokens) -> None:
    """Undo one `bind_labels`: its names get the values that they had before it; other names keep theirs."""
    BOUND.set(tokens.restore(get_bound()))


def enter_labels(labels: Bound) -> Token[Bound]:
    """Internal: bind the labels of a request that begins; the token restores what was bound before."""  # noqa: D401
    # A request inside another one: what it binds is not for the outer one.
    bound = {key: value for key, value in get_bound().items() if key is ENTERED or isinstance(key, str)}
    return BOUND.set({**bound, **labels})


def unbind_labels(*names: str) -> None:
    """Remove ``names`` from the current context; names that are not bound are ignored."""
    _unbind(frozenset(names))


def clear_labels() -> None:
    """Remove every label from the current context."""
    bound = get_bound()
    names = {key for key in bound if isinstance(key, str)}
    if REQUEST in bound:
        names.update(bound[REQUEST].list_names())
    _unbind(frozenset(names))


def _unbind(names: frozenset[str]) -> None:
    bound = get_bound()
    left = {key: value for key, value in bound.items() if key not in names}
    BOUND.set({**left, **note_labels(bound, dict.fromkeys(names, UNBOUND))})


def get_labels() -> Mapping[str, object]:
    """Return the labels of the current context, as a read-only mapping."""
    return MappingProxyType({name: value for name, value in get_bound().items() if isinstance(name, str)})


def read_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Internal: return the values of ``names`` as text; an unbound name has the value ``""``.

    Raises what a bound callable or the ``str`` of a value raises.
    """  # noqa: D401
    if suspects:
        log_suspects()
    bound = get_bound() if STALE else BOUND.get()
    return tuple([to_label_value(bound[name]) if name in bound else UNBOUND for name in names])


def to_label_value(value: object) -> str:
    """Internal: return a bound value as text. Raises what a callable or the ``str`` of a value raises."""  # noqa: D401
    if type(value) is str and value.isascii():  # of most values, and a third of the time
        return value
    if callable(value):
        value = value()
    return clean_text(value if isinstance(value, str) else str(value))


@final
class bound_labels:  # noqa: N801  # reads as a statement: with bound_labels(tenant="acme")
    """Bind label values for a block or for the calls of a function.

    Write ``with bound_labels(tenant="acme"): …``, ``async with …``, or ``@bound_labels(tenant="acme")`` above a
    function of any kind. The labels of a decorated generator are bound while its own code runs, and not while the code
    around it runs between two values. A block inside a generator is bound for both until the block ends.

    The same object may be used again, also inside itself and by several tasks at once. A block may end in another
    context than it began in; its labels are then unbound in both.

    Raises `TypeError` if a class, a property or no callable is decorated.
    """

    __slots__ = ("_labels", "_open")

    def __init__(self, **labels: object) -> None:
        self._labels = labels
        self._open: dict[int, ref[Entry]] = {}

    def __call__(self, function: F, /) -> F:
        """Return ``function`` with the labels bound during its calls; it keeps its kind and its signature."""
        return cast(F, wrap_function(function, self._begin, self._end))

    def __enter__(self) -> None:
        """Bind the labels."""
        entry = self._begin()
        self._open[id(entry)] = ref(entry)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the values of before."""
        entry = self._find_entry()
        if entry is not None:
            self._open.pop(id(entry), None)
            self._end(entry)

    async def __aenter__(self) -> None:
        """Bind the labels."""
        self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the values of before."""
        self.__exit__(exc_type, exc, traceback)

    def _begin(self) -> Entry:
        labels = self._labels
        if not known.issuperset(labels):
            check_names(labels)
        bound = get_bound()
        request = bound.get(REQUEST)
        changes: Bound = labels if request is None else {**labels, **request.note(labels, is_block=True)}
        entry = Entry(self, changes, request)
        entry.bound = {**bound, **changes, ENTERED: Entered(entry, pick(bound, changes), bound.get(ENTERED))}
        entry.token = BOUND.set(entry.bound)
        return entry

    def _end(self, entry: Entry) -> None:
        """Undo one entry, in the context in which it was made or in another one."""
        token, entered, entry.token, entry.bound = entry.token, entry.bound, None, None
        if token is None:
            return
        bound = BOUND.get()
        try:
            BOUND.reset(token)
        except ValueError:  # made in another context
            end_elsewhere(entry)
            end_bindings(entry.changes)
            return
        if bound is not entered:  # there were other bindings since then
            BOUND.set(drop(bound, entry))
        if entry.request is not None:
            settle(entry.changes, bound, BOUND.get())

    def _find_entry(self) -> Entry | None:
        """Return the innermost entry that this context has, or else one that another context of its request has."""
        bound = get_bound()
        node: Entered | None = bound.get(ENTERED)
        while node is not None:
            if node.entry.manager is self and node.entry.token is not None:
                return node.entry
            node = node.outer
        request = bound.get(REQUEST)
        entries = [entry for reference in list(self._open.values()) if (entry := reference()) is not None]
        self._open = {id(entry): ref(entry) for entry in entries}
        entries = [entry for entry in entries if entry.request is request]
        # Without a request, several entries are those of several tasks: each of them ends its own.
        return entries[-1] if entries and (request is not None or len(entries) == 1) else None
