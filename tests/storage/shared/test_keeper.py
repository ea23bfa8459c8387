"""When the thread that does the chores of a worker wakes up."""

from __future__ import annotations

import math

from asyncmetrics.storage.shared.keeper import Keeper


class _Chore:
    interval_seconds = 3600.0

    def __init__(self) -> None:
        self.runs = 0

    def run_chore(self) -> None:
        self.runs += 1


def test_a_chore_is_done_once_in_its_interval():
    keeper, chore = Keeper(), _Chore()
    keeper.is_allowed = False  # no thread: the test does what it would do
    keeper.add(chore)
    pauses = [keeper.run_due() for _ in range(3)]
    assert chore.runs == 1
    assert all(0 < pause <= 3600 for pause in pauses)


def test_without_a_chore_there_is_nothing_to_wake_up_for():
    assert Keeper().run_due() == math.inf
