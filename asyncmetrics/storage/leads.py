"""`Lead`: which one of all workers does what only one of them may do, such as pushing the metrics of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar, final

__all__ = ("AlwaysLeader", "Lead")

L = TypeVar("L", bound="Lead")


class Lead(ABC):
    """The leadership of one name among the workers that share a storage; `CollectorRegistry.lead` returns it.

    At most one process leads at a time. It leads until it calls `release`, or ends in any way: then the first other
    process that calls `is_leader` leads. All leads of one name in a process lead together.
    """

    @abstractmethod
    def is_leader(self) -> bool:
        """Return whether this process leads; it begins to lead if no other process does. Takes microseconds."""

    @property
    @abstractmethod
    def has_predecessor(self) -> bool:
        """Whether another process has led before this one; known once this process leads."""

    @property
    @abstractmethod
    def group(self) -> str:
        """A text that is the same in all processes that may lead; empty if there is only this one."""

    @abstractmethod
    def release(self) -> None:
        """Stop leading, so that another process may lead while this one lives. `is_leader` may begin again."""

    def __enter__(self: L) -> L:  # noqa: PYI019  # for Python 3.10
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


@final
class AlwaysLeader(Lead):
    """The lead of a process that shares its numbers with no other one."""

    @property
    def has_predecessor(self) -> bool:
        """False: no other process leads."""
        return False

    @property
    def group(self) -> str:
        """An empty text."""
        return ""

    def is_leader(self) -> bool:
        """Return True."""
        return True

    def release(self) -> None:
        """Do nothing."""
