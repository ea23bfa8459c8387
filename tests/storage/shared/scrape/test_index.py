"""The index of series against a dict: it finds the same, and no part of it grows beyond its limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.storage.shared.scrape.index import Index

LARGEST_PART = 1024

keys = st.tuples(st.text(max_size=3), st.text(max_size=3))


class Colliding:
    """A key whose hash is that of all others."""

    def __hash__(self) -> int:
        return 5


def filled(count: int) -> Index[tuple[str, int]]:
    index: Index[tuple[str, int]] = Index()
    for number in range(count):
        index.setdefault(("series", number), number)
    return index


@given(st.lists(keys), st.integers(0, 5000))
def test_an_index_finds_what_a_dict_finds(asked, others):
    index: Index[tuple[object, ...]] = Index()
    model: dict[tuple[object, ...], int] = {}
    for number, key in enumerate([*(("other", number) for number in range(others)), *asked]):
        assert index.setdefault(key, number) == model.setdefault(key, number)
    assert {key: index.get(key) for key in [*model, ("missing",)]} == {**model, ("missing",): None}


def test_every_key_is_in_one_part():
    parts = filled(50_000).list_buckets()
    assert sorted(number for part in parts for number in part.values()) == list(range(50_000))


def test_no_part_grows_beyond_its_limit():
    assert max(map(len, filled(100_000).list_buckets())) <= LARGEST_PART


def test_few_keys_are_in_one_dict():
    assert len(filled(500).list_buckets()) == 1


def test_parts_are_not_split_all_at_one_time():
    index = filled(40_000)
    parts = len(index.list_buckets())
    for number in range(40_000, 40_256):
        index.setdefault(("series", number), number)
    assert len(index.list_buckets()) - parts <= 4


def test_keys_with_one_hash_are_found():
    index: Index[Colliding] = Index()
    colliding = [Colliding() for _ in range(1100)]
    for number, key in enumerate(colliding):
        index.setdefault(key, number)
    assert [index.get(key) for key in colliding] == list(range(1100))


def test_a_drained_index_is_empty():
    index = filled(5000)
    assert sum(map(len, index.pop_buckets())) == 5000
    assert (len(index), index.get(("series", 1))) == (0, None)
