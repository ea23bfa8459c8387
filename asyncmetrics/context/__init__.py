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

Modules: `request` has what is bound for a request in all of its contexts, `names` the names that metrics declare,
`functions` decorates functions, and `exemplars` has the functions that metrics ask for exemplars.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Token
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, NoReturn, TypeVar, cast, final

from asyncmetrics.context.bound import BOUND, REQUEST, UNBOUND, Bound
from asyncmetrics.context.functions import wrap_function
from asyncmetrics.context.names import check_names, known, log_suspects, suspects
from asyncmetrics.context.request import RequestBindings
from asyncmetrics.entries import add_entry, find_owner, take_entry
from asyncmetrics.errors import show
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

    __slots__ = ("_after", "_before", "_bindings", "_names", "_request", "_token", "outer")

    outer: LabelTokens | None

    def __init__(self, labels: Mapping[str, object], *, is_block: bool) -> None:
        if not known.issuperset(labels):
            check_names(labels)
        self._names = labels.keys()
        self._before = before = BOUND.get()
        self._request: RequestBindings | None = before.get(REQUEST)
        self._bindings = {} if self._request is None else self._request.note(labels, is_block=is_block)
        self._after: Bound = {**before, **labels}
        self._token: Token[Bound] = BOUND.set(self._after)

    def reset(self) -> None:
        """Give the names the values that they had before, in the current context."""
        BOUND.set(self._restore(BOUND.get()))
        if self._request is not None:
            self._request.undo(self._bindings)
            self._request.note({name: self._before[name] for name in self._names if name in self._before})

    def end_block(self) -> None:
        """Undo the binding of a block: in its own context, and in a copy of it that has bound nothing since."""
        bound = BOUND.get()
        if bound is self._after:
            BOUND.set(self._before)
        else:
            try:
                BOUND.reset(self._token)
            except ValueError:  # another context, which keeps its labels
                pass
            else:
                BOUND.set(self._restore(bound))
        if self._request is not None:
            self._request.undo(self._bindings)

    def _restore(self, bound: Bound) -> Bound:
        before = {name: self._before[name] for name in self._names if name in self._before}
        return {name: value for name, value in bound.items() if name not in self._names} | before


def bind_labels(*wrong: NoReturn, **labels: object) -> LabelTokens:
    """Bind label values in the current context and return the tokens for `reset_labels`.

    A value is converted by ``str``. A callable without arguments is called each time a metric reads the name. Raises
    `TypeError` if the labels are not given by name.
    """
    if wrong:
        raise _make_name_error("bind_labels", wrong[0])
    return LabelTokens(labels, is_block=False)


def reset_labels(tokens: LabelTokens) -> None:
    """Undo one `bind_labels`: its names get the values that they had before it; other names keep theirs.

    Raises `TypeError` for anything but what `bind_labels` has returned.
    """
    if not isinstance(tokens, LabelTokens):
        message = f"reset_labels() expected what bind_labels() returned, got {show(tokens)}"
        raise TypeError(message)
    tokens.reset()


def enter_labels(labels: Bound) -> Token[Bound]:
    """Internal: bind the labels of a request that begins; the token restores what was bound before."""  # noqa: D401
    # A request inside another one: what it binds is not for the outer one.
    return BOUND.set({**{name: value for name, value in BOUND.get().items() if name is not REQUEST}, **labels})


def unbind_labels(*names: str) -> None:
    """Remove ``names`` from the current context; names that are not bound are ignored."""
    bound = BOUND.get()
    unbound = frozenset(names)
    BOUND.set({name: value for name, value in bound.items() if name not in unbound})
    if REQUEST in bound:
        bound[REQUEST].note(dict.fromkeys(names, UNBOUND))


def clear_labels() -> None:
    """Remove every label from the current context."""
    bound = BOUND.get()
    noted = bound[REQUEST].list_names() if REQUEST in bound else ()
    unbind_labels(*get_labels(), *noted)


def get_labels() -> Mapping[str, object]:
    """Return the labels of the current context, as a read-only mapping."""
    return MappingProxyType({name: value for name, value in BOUND.get().items() if name is not REQUEST})


def read_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Internal: return the values of ``names`` as text; an unbound name has the value ``""``.

    Raises what a bound callable or the ``str`` of a value raises.
    """  # noqa: D401
    if suspects:
        log_suspects()
    bound = BOUND.get()
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
    context than it began in, which keeps its own labels.

    Raises `TypeError` if a class, a property or no callable is decorated, or if the labels are not given by name.
    """

    __slots__ = ("_entries", "_labels")

    def __init__(self, *wrong: NoReturn, **labels: object) -> None:
        if wrong:
            raise _make_name_error("bound_labels", wrong[0])
        self._labels = labels
        self._entries: dict[object, LabelTokens] = {}

    def __call__(self, function: F, /) -> F:
        """Return ``function`` with the labels bound during its calls; it keeps its kind and its signature."""
        return cast(F, wrap_function(function, self._begin, LabelTokens.end_block))

    def __enter__(self) -> None:
        """Bind the labels."""
        self._enter(sys._getframe(1))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the values of before."""
        self._exit(sys._getframe(1))

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        """Bind the labels."""
        self._enter(sys._getframe(1))
        return _return()

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        """Restore the values of before."""
        self._exit(sys._getframe(1))
        return _return()

    def _begin(self) -> LabelTokens:
        return LabelTokens(self._labels, is_block=True)

    def _enter(self, frame: FrameType) -> None:
        add_entry(self._entries, find_owner(frame), self._begin())

    def _exit(self, frame: FrameType) -> None:
        entry = take_entry(self._entries, frame)
        if entry is not None:
            entry.end_block()


def _make_name_error(function: str, value: object) -> TypeError:
    return TypeError(f"{function}() takes labels by name, as in {function}(tenant='acme'), got {show(value)}")


async def _return() -> None:
    """Return nothing: what an ``async with`` statement awaits."""
