"""The texts that a label may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.model.names import clean_text, to_label_text


@given(st.text())
def test_clean_text_can_be_encoded_and_is_the_same_where_it_could_be(text):
    cleaned = clean_text(text)
    cleaned.encode()
    assert len(cleaned) == len(text)
    assert all(a == b or b == "\ufffd" for a, b in zip(text, cleaned, strict=True))


@pytest.mark.parametrize(("value", "text"), [(1, "1"), ("a\udc80", "a\ufffd"), (b"x", "b'x'")])
def test_a_label_is_text(value, text):
    assert to_label_text(value) == text
