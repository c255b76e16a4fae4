"""Arrays of one metric each → rows of the metrics table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genkai import schema


def metric_rows(
    times: pd.Series, values: dict[str, np.ndarray], units: dict[str, str], source: str, resource: str,
    period_s: float | np.ndarray, statistic: str = "sample",
) -> pd.DataFrame:  # fmt: skip
    """Rows of the metrics table from one array a metric, all at the same times; missing values are left out."""
    if not values or not len(times):
        return schema.empty_table("metrics")
    names, count = list(values), len(times)
    period = np.broadcast_to(np.asarray(period_s, float), (count,))
    frame = pd.DataFrame({
        "time": pd.concat([times] * len(names), ignore_index=True),
        "source": source,
        "resource": resource,
        "metric": np.repeat(np.array(names, dtype=object), count),
        "statistic": statistic,
        "unit": np.repeat(np.array([units[n] for n in names], dtype=object), count),
        "period_s": np.tile(period, len(names)),
        "value": np.concatenate([np.asarray(values[n], float) for n in names]),
    })  # fmt: skip
    return schema.check_table(frame[frame["value"].notna()].reset_index(drop=True), "metrics")


def utc_times(epochs: np.ndarray) -> pd.Series:
    """Epoch seconds (NaN: unknown) as times of the schema's dtype, to the microsecond."""
    known = np.isfinite(epochs)
    micros = np.where(known, np.round(np.where(known, epochs, 0) * 1e6), np.iinfo(np.int64).min).astype(np.int64)
    return pd.Series(micros.view("datetime64[us]")).dt.tz_localize("UTC")
