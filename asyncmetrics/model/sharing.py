"""Objects that exist once in a process, because numbers belong to them: they are neither copied nor pickled."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

__all__ = ("Unique",)

U = TypeVar("U", bound="Unique")  # typing.Self is the better name, from Python 3.11 on


class Unique:
    """A metric, a child or another object of which a second one would count apart from the first.

    `copy.copy` and `copy.deepcopy` return the object itself, so an object that holds a metric can be copied. Pickling
    raises TypeError.
    """

    __slots__ = ()

    def __copy__(self: U) -> U:  # noqa: PYI019
        return self

    def __deepcopy__(self: U, _: dict[int, Any]) -> U:  # noqa: PYI019
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        message = (
            f"{self!r} cannot be pickled: its numbers belong to this process; let the other process declare it too, by "
            "importing the module that declares it (workers of one server add up their numbers by themselves)"
        )
        raise TypeError(message)
