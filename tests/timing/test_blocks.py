"""Timers and trackers as context managers."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from asyncmetrics.timing import Instrument


def test_a_timing_has_its_duration(h):
    before = perf_counter()
    with h.time() as timing:
        pass
    assert 0 < timing.duration <= perf_counter() - before


def test_an_instrument_can_be_entered_again_inside_itself(h, g, read):
    timer, tracker = h.time(), g.track_inprogress()
    with timer as outer, tracker, timer as inner, tracker:
        assert read("g") == 2
    assert outer.duration >= inner.duration
    assert (read("h"), read("g")) == (2, 0)


def test_nested_runs_of_one_timer_end_innermost_first(h):
    timer = h.time()
    with timer as outer, timer as middle:
        with timer as inner:
            pass
        assert inner.duration > 0
        assert (middle.duration, outer.duration) == (0, 0)


async def test_tasks_that_share_a_timer_have_their_own_times(h):
    timer = h.time()
    durations = {}

    async def work(seconds):
        before = perf_counter()
        with timer as timing:
            begun = perf_counter()
            await asyncio.sleep(seconds)
            ended = perf_counter()
        durations[seconds] = (ended - begun, timing.duration, perf_counter() - before)

    await asyncio.gather(*(work(seconds) for seconds in (0.05, 0.01, 0.03)))
    assert len(durations) == 3
    assert [found for found in durations.values() if sorted(found) != list(found)] == []


def test_leaving_a_timer_that_was_never_entered_is_an_error(h):
    with pytest.raises(RuntimeError, match="never entered"):
        h.time().__exit__(None, None, None)


def test_a_gauge_is_set_to_the_time(g, read):
    with g.time() as timing:
        pass
    assert read("g") == timing.duration


def test_an_instrument_that_cannot_measure_cannot_be_instantiated(h):
    with pytest.raises(TypeError, match="measure"):
        Instrument(h)
