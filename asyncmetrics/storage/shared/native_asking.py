"""The native histograms of shared storage that ask for exemplars: see `asyncmetrics.children.exemplar_turns`.

*Rules.* Ask before the plain method loads the stage, since the provider may observe too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import cache
from math import frexp

from asyncmetrics.children.amounts import to_amount
from asyncmetrics.children.exemplar_turns import TURN_SLOTS, make_asking_class
from asyncmetrics.storage.memory.native_asking import LAST_PLACE, AskingDual, AskingNative
from asyncmetrics.storage.shared.asking import SharedAsking
from asyncmetrics.storage.shared.attachment import SharedChild
from asyncmetrics.storage.shared.native import SharedDualHistogram, SharedNativeHistogram

__all__ = ("SharedAskingDual", "SharedAskingNative", "find_shared_asking_native_class")


class _SharedAskingNative(SharedAsking, AskingNative):
    __slots__ = ()


class _SharedAskingDual(SharedAsking, AskingDual):
    __slots__ = ()


class SharedAskingNative(_SharedAskingNative, SharedNativeHistogram):
    """The child of a native histogram without classic buckets."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its bucket."""
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        if exemplar is None and amount == amount:  # noqa: PLR0124  # no NaN
            place = frexp(amount)[1] & LAST_PLACE
            if self._turns[place] != self._scrapes[0]:
                self.take_turn(place, amount)
        SharedNativeHistogram.observe(self, amount, exemplar)


class SharedAskingDual(_SharedAskingDual, SharedDualHistogram):
    """The child of a native histogram with a classic one beside it."""

    __slots__ = TURN_SLOTS

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Add one observation to its buckets."""
        if type(amount) is not float:  # see MemoryGauge.set
            amount = to_amount(self, amount)
        if exemplar is None and amount == amount:  # noqa: PLR0124  # no NaN
            place = bisect_left(self._bounds, amount)
            if self._turns[place] != self._scrapes[0]:
                self.take_turn(place, amount)
        SharedDualHistogram.observe(self, amount, exemplar)


_CLASSES: dict[type[SharedChild], type[SharedChild]] = {
    SharedNativeHistogram: SharedAskingNative,
    SharedDualHistogram: SharedAskingDual,
}


@cache
def find_shared_asking_native_class(kind: type[SharedChild]) -> type[SharedChild]:
    """Return the class of children that ask, and are otherwise those of ``kind``, a native histogram's."""
    if kind in _CLASSES:
        return _CLASSES[kind]
    return make_asking_class(kind, _SharedAskingDual if issubclass(kind, SharedDualHistogram) else _SharedAskingNative)
