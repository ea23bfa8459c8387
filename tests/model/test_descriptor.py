"""The bounds of buckets as text, beside prometheus_client's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from asyncmetrics.model.descriptor import format_bound


@given(st.floats(min_value=1e-6, max_value=1e300))
def test_a_bound_is_written_as_prometheus_client_writes_it(bound):
    assert format_bound(bound) == floatToGoString(bound)


@given(st.floats(allow_nan=False))
def test_a_bound_is_read_back_exactly(bound):
    assert float(format_bound(bound)) == bound
