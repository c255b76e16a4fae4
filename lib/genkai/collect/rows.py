"""Arrays of one metric each → rows of the metrics table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genkai import schema
from genkai.metrics import Block, micros


def metric_rows(
    times: pd.Series, values: dict[str, np.ndarray], units: dict[str, str], source: str, resource: str,
    period_s: float | np.ndarray,
) -> pd.DataFrame:  # fmt: skip
    """Rows of the metrics table from one array a metric, all at the same times; missing values are left out."""
    if not values or not len(times):
        return schema.empty_table("metrics")
    return Block(source, resource, naive(times), period_s, values, units).frame


def naive(times: pd.Series) -> np.ndarray:
    """Times of the schema's dtype as datetime64[us] in UTC."""
    return times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")


def utc_times(epochs: np.ndarray) -> pd.Series:
    """Epoch seconds (NaN: unknown) as times of the schema's dtype, to the microsecond."""
    return pd.Series(micros(epochs)).dt.tz_localize("UTC")
