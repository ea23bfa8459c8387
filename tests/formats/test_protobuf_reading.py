"""Reading the wire format: what was written comes back, and anything else is a ValueError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmetrics.formats.protobuf import decode_fields, encode_block, encode_double, encode_integer

FIELDS = st.integers(1, 2**29 - 1)


@given(st.lists(st.tuples(FIELDS, st.integers(0, 2**64 - 1) | st.binary(max_size=300)), max_size=5))
def test_what_was_written_comes_back(fields):
    data = b"".join(
        encode_integer(field, value) if isinstance(value, int) else encode_block(field, value)
        for field, value in fields
    )
    decoded = list(decode_fields(data))
    assert [(field, value) for field, value, _ in decoded] == fields
    assert b"".join(whole for _, _, whole in decoded) == data


def test_a_number_of_a_fixed_size_comes_back_as_its_bytes():
    decoded = decode_fields(encode_double(3, 1.0) + b"\x25abcd")
    assert [(field, value) for field, value, _ in decoded] == [(3, encode_double(3, 1.0)[1:]), (4, b"abcd")]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_a_value_error(data):
    try:
        fields = list(decode_fields(data))
    except ValueError:
        return
    assert sum(len(value) for _, value, _ in fields if isinstance(value, bytes)) <= len(data)


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0b", b"\x00\x01", b"\x80" * 11, b"\x09abc"])
def test_what_is_no_message_is_a_value_error(data):
    with pytest.raises(ValueError, match="expected a"):
        list(decode_fields(data))
