"""The mapping of bound labels that each context has, and how a block is taken out of it.

*Theory of operation.* A mapping is never changed; binding replaces it. Its keys are:

- a text: the name of a label, with its value;
- `REQUEST`: the `asyncmetrics.context.request.RequestBindings` of the request that this context belongs to;
- a tuple of one name: the `Binding` by which this context has bound the name since that request began;
- `ENTERED`: the innermost `Entered`, a chain of the blocks that this context is in.

A block ends once, where its ``with`` statement ends:

1. In the context that it began in, which a `contextvars.Token` recognises: its names get their values of before.
   Contexts that were copied inside the block keep theirs: a task may outlive the block that started it.
2. In another context: an async generator may be closed by another task. The entry is put into `STALE`, and each
   context that still has it drops it when it reads its labels the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, NamedTuple, TypeAlias, final
from weakref import ref

__all__ = (
    "BOUND",
    "ENTERED",
    "NO_LABELS",
    "REQUEST",
    "STALE",
    "Entered",
    "Entry",
    "drop",
    "end_elsewhere",
    "get_bound",
    "pick",
    "replace",
)

Bound: TypeAlias = Mapping[Any, Any]

NO_LABELS: Bound = {}
BOUND: ContextVar[Bound] = ContextVar("asyncmetrics_labels", default=NO_LABELS)

# No text, so that no name of a label is equal to them.
REQUEST, ENTERED = object(), object()


@final
class Entry:
    """One block that has been entered: what it bound, and the request that its context belongs to.

    While it has not ended, ``bound`` is the mapping with its labels, and ``token`` recognises its context.
    """

    __slots__ = ("__weakref__", "bound", "changes", "manager", "request", "token")

    def __init__(self, manager: object, changes: Bound, request: object) -> None:
        self.manager = manager
        self.changes = changes
        self.request = request
        self.bound: Bound | None = None
        self.token: Token[Bound] | None = None


@final
class Entered(NamedTuple):
    """A block, the values of its names before it, and the block around it.

    A chain: copying a tuple at each entry would take quadratic time.
    """

    entry: Entry
    before: Bound
    outer: Entered | None


# Entries that ended in another context. An entry is here as long as any context has it.
STALE: set[ref[Entry]] = set()


def get_bound() -> Bound:
    """Return the mapping of the current context, without blocks that have ended in another one."""
    bound = BOUND.get()
    if STALE and ENTERED in bound:
        return _drop_stale(bound)
    return bound


def pick(bound: Bound, keys: Bound) -> Bound:
    """Return the part of ``bound`` that has the keys of ``keys``."""
    return {key: bound[key] for key in keys if key in bound}


def replace(bound: Bound, keys: Bound, values: Bound) -> Bound:
    """Return ``bound`` with ``values`` in place of those that it has for ``keys``."""
    result = {key: value for key, value in bound.items() if key not in keys}
    result.update(values)
    return result


def drop(bound: Bound, entry: Entry) -> Bound:
    """Return ``bound`` without what the block ``entry`` bound; blocks inside it keep what they bound."""
    inner: list[Entered] = []
    node = bound.get(ENTERED)
    while node is not None and node.entry is not entry:
        inner.append(node)
        node = node.outer
    if node is None:
        return bound
    changes, before, outer = entry.changes, node.before, node.outer
    for other in reversed(inner):
        # An inner block that binds the same name hides this one: it restores the value of before instead.
        hidden = pick(changes, other.entry.changes)
        if hidden:
            other = other._replace(before=replace(other.before, hidden, pick(before, hidden)))  # noqa: PLW2901
            changes = {key: value for key, value in changes.items() if key not in hidden}
            before = pick(before, changes)
        outer = other._replace(outer=outer)
    return replace(bound, {**changes, ENTERED: None}, before if outer is None else {**before, ENTERED: outer})


def end_elsewhere(entry: Entry) -> None:
    """End a block in another context than the one in which it began."""
    STALE.add(ref(entry, STALE.discard))


def _drop_stale(bound: Bound) -> Bound:
    found = bound
    node = bound[ENTERED]
    while node is not None:
        if ref(node.entry) in STALE:
            found = drop(found, node.entry)
        node = node.outer
    if found is not bound:
        BOUND.set(found)
    return found
