"""Which results the cache for short texts keeps, and which texts it keeps alive."""

from __future__ import annotations

from weakref import ref

import pytest

from asyncmetrics.model.caching import MAX_CACHED_LENGTH, cache_short_texts


class Text(str):
    """A text that a weak reference can watch."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def join(calls):
    """A cached function of two texts that appends to ``calls``."""

    @cache_short_texts
    def join(one: str, other: str) -> str:
        calls.append(one + other)
        return one + other

    return join


def test_a_short_text_is_looked_at_once(join, calls):
    assert [join("ab", "c"), join("ab", "c")] == ["abc", "abc"]
    assert calls == ["abc"]


@pytest.mark.parametrize("lengths", [(MAX_CACHED_LENGTH + 1, 0), (0, MAX_CACHED_LENGTH + 1), (MAX_CACHED_LENGTH, 1)])
def test_long_texts_are_not_pinned(join, lengths):
    texts = [Text("x" * length) for length in lengths]
    assert join(*texts) == "x" * sum(lengths)
    kept = [ref(text) for text in texts]
    del texts
    assert [text() for text in kept] == [None, None]


def test_a_text_of_the_greatest_length_is_kept(join, calls):
    for _ in range(2):
        join("x" * MAX_CACHED_LENGTH, "")
    assert len(calls) == 1
