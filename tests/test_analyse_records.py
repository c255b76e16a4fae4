"""Number records: JSON-safe, ordered, with the interval the draws give."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.analyse.records import finite, from_draws, interval_of, number, value_of

ANY = st.one_of(st.none(), st.floats(), st.integers(-10, 10))


@given(value=ANY)
def test_every_record_is_json_and_gives_its_value_back(value):
    record = number(value, unit="rps")
    json.dumps(record, allow_nan=False)
    assert value_of(record) == finite(value)


def test_missing_values_of_pandas_and_numpy_are_null():
    assert [finite(v) for v in (pd.NA, pd.NaT, np.nan, np.inf, None)] == [None] * 5
    assert finite(np.float32(2)) == 2.0
    assert value_of(3) == 3.0


def test_draws_give_the_middle_95_percent_widened_to_the_value():
    draws = np.arange(1001.0)
    assert interval_of(from_draws(500, draws, 9)) == pytest.approx((25, 975))
    assert interval_of(from_draws(2000, draws, 9)) == pytest.approx((25, 2000))
    assert interval_of(from_draws(5, np.full(100, math.nan), 9)) is None
    assert interval_of(None) is None


def test_an_interval_upside_down_is_refused():
    with pytest.raises(ValueError, match=r"low ≤ high, got 3\.0 > 1\.0"):
        number(2, 3, 1)
