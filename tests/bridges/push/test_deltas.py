"""What cumulative numbers have grown by: whatever is lost, what arrives adds up to the numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmetrics.bridges.push.deltas import Deltas

SERIES = st.integers(0, 400)
NUMBERS = 3


class Peer:
    """A program and a server: numbers that grow, and what the server has added up."""

    def __init__(self):
        self.deltas = Deltas()
        self.numbers = {}
        self.received = {}

    def grow(self, series, amounts):
        before = self.numbers.get(series, (0.0,) * NUMBERS)
        self.numbers[series] = tuple(old + amount for old, amount in zip(before, amounts, strict=True))

    def push(self, in_part, arriving, split):
        """Push, with ``in_part`` series in a part, of which ``arriving`` arrive; ``split`` series have two each."""
        taken, parts, group = self.deltas.begin(1.0), [], []
        for number, (series, numbers) in enumerate(self.numbers.items()):
            then, growth = taken.take(series, numbers)
            if number < split and any(growth):
                marks = taken.split(series, then, [[0], [1, 2]])
                parts.append((marks[0], [(series, (growth[0], 0.0, 0.0))]))
                parts.append((marks[1], [(series, (0.0, *growth[1:]))]))
                continue
            group.append((series, growth))
            if len(group) == in_part:
                parts.append((taken.cut(), group))
                group = []
        parts.append((taken.cut(), group))
        for _ in taken.finish_in_steps():
            pass
        for mark, changes in parts[:arriving]:
            mark()
            for series, growth in changes:
                before = self.received.get(series, (0.0,) * NUMBERS)
                self.received[series] = tuple(old + new for old, new in zip(before, growth, strict=True))


GROWTHS = st.lists(st.tuples(SERIES, st.tuples(*[st.integers(0, 3)] * NUMBERS)), max_size=20)
PUSHES = st.tuples(GROWTHS, st.integers(1, 5), st.integers(0, 8), st.integers(0, 3))


@given(st.lists(PUSHES, max_size=8))
@settings(deadline=None)
def test_what_arrives_adds_up_whatever_is_lost(pushes):
    peer = Peer()
    for growths, in_part, arriving, split in pushes:
        for series, amounts in growths:
            peer.grow(series, amounts)
        peer.push(in_part, arriving, split)
    peer.push(3, 10**6, 2)
    assert peer.received == peer.numbers


def test_a_series_that_has_gone_is_forgotten_and_begins_anew():
    deltas = Deltas()
    for numbers, expected in (((5.0,), (None, (5.0,))), (None, None), ((7.0,), (None, (7.0,)))):
        taken = deltas.begin(1.0)
        if numbers:
            assert taken.take("a", numbers) == expected
        taken.cut()()
        list(taken.finish_in_steps())


def test_a_number_that_falls_begins_anew_unless_it_may_fall():
    deltas = Deltas()
    for numbers, may_fall, expected in (
        ((5.0, 1.0), (), (None, (5.0, 1.0))),
        ((6.0, -2.0), {1}, (1.0, (1.0, -3.0))),
        ((2.0, 3.0), {1}, (None, (2.0, 3.0))),
    ):
        taken = deltas.begin(1.0)
        assert taken.take("a", numbers, may_fall) == expected
        taken.cut()()


def test_a_part_that_is_confirmed_twice_counts_once():
    deltas = Deltas()
    taken = deltas.begin(1.0)
    taken.take("a", (5.0,))
    mark = taken.cut()
    mark()
    mark()
    assert deltas.begin(2.0).take("a", (6.0,)) == (1.0, (1.0,))


def test_many_series_are_confirmed_in_many_steps():
    deltas = Deltas()
    taken = deltas.begin(1.0)
    for series in range(1000):
        taken.take(series, (1.0,))
    taken.cut()()
    assert len(list(deltas.prepare())) > 5
    assert deltas.begin(2.0).take(999, (1.0,)) == (1.0, (0.0,))
