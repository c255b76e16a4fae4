"""Histograms as one sparse matrix, so that merging, moving and resampling them are sums of rows.

The value of a bucket, and so a quantile, is HdrHistogram's own; only the loops are numpy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hdrh.histogram import HdrHistogram
from scipy.sparse import csr_array

from genkai.histogram import merge, new_histogram

CHUNK = 512  # rows made dense at a time: hours of seconds stay within some MB


@dataclass(frozen=True)
class Distributions:
    """counts[i, j]: requests of row i whose response time lies in bucket j (its middle and upper end in seconds)."""

    counts: csr_array
    middle_s: np.ndarray
    upper_s: np.ndarray

    @property
    def totals(self) -> np.ndarray:
        """Requests of each row."""
        return np.asarray(self.counts.sum(axis=1)).ravel()

    def summed(self, groups: np.ndarray, size: int) -> Distributions:
        """Rows added up by group (0 … size − 1; a negative group is left out)."""
        used = np.flatnonzero(groups >= 0)
        adding = csr_array((np.ones(len(used)), (groups[used], used)), shape=(size, self.counts.shape[0]))
        return Distributions(csr_array(adding @ self.counts), self.middle_s, self.upper_s)

    def between(self, first: int, last: int) -> Distributions:
        """Rows [first, last)."""
        return Distributions(self.counts[first:last], self.middle_s, self.upper_s)

    def occurring(self) -> Distributions:
        """The same without the buckets that no row has."""
        used = np.flatnonzero(self.total())
        return Distributions(self.counts[:, used], self.middle_s[used], self.upper_s[used])

    def row_quantiles(self, wanted: Sequence[float]) -> np.ndarray:
        """Quantiles in seconds of every row, (rows, wanted); NaN for an empty row."""
        rows = self.counts.shape[0]
        parts = [quantiles(self.counts[i : i + CHUNK].toarray(), self.upper_s, wanted) for i in range(0, rows, CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(wanted)))

    def row_means(self) -> np.ndarray:
        """Mean in seconds of every row; NaN for an empty row."""
        return _ratio(self.counts @ self.middle_s, self.totals)

    def total(self) -> np.ndarray:
        """Counts of all rows together, (buckets,)."""
        return np.asarray(self.counts.sum(axis=0)).ravel()


def read_distributions(encoded: Sequence[bytes | None]) -> Distributions:
    """Decode histograms (None: no requests) into one matrix over the buckets that occur."""
    empty = new_histogram()
    none = (np.zeros(0, dtype=int), np.zeros(0))
    decoded = [none if item is None else _counts(merge([item])) for item in encoded]
    sizes = [len(index) for index, _ in decoded]
    bucket = np.concatenate([index for index, _ in decoded] or [none[0]])
    count = np.concatenate([number for _, number in decoded] or [none[1]])
    occurring = np.unique(bucket)
    position = (np.repeat(np.arange(len(decoded)), sizes), np.searchsorted(occurring, bucket))
    lowest = [empty.get_value_from_index(int(i)) for i in occurring]
    upper = [empty.get_highest_equivalent_value(value) for value in lowest]
    middle = [low + ((high - low + 1) >> 1) for low, high in zip(lowest, upper, strict=True)]
    counts = csr_array((count, position), shape=(len(decoded), len(occurring)))
    return Distributions(counts, np.array(middle, dtype=float) / 1e6, np.array(upper, dtype=float) / 1e6)


def _counts(histogram: HdrHistogram) -> tuple[np.ndarray, np.ndarray]:
    counts = np.ctypeslib.as_array(histogram.encoder.payload.counts)
    index = np.flatnonzero(counts)
    return index, counts[index].astype(float)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def quantiles(counts: np.ndarray, upper_s: np.ndarray, wanted: Sequence[float]) -> np.ndarray:
    """Quantiles (0–1) in seconds of each row of dense counts, as HdrHistogram gives them; NaN for an empty row.

    counts: (rows, buckets), or (buckets,) for one row. Returns (rows, wanted). Raises ValueError outside 0–1.
    """
    counts = np.atleast_2d(counts)
    cumulative = np.cumsum(counts, axis=1)
    total = cumulative[:, -1] if cumulative.shape[1] else np.zeros(len(counts))
    found = np.full((len(counts), len(wanted)), np.nan)
    some = total > 0
    for column, quantile in enumerate(wanted):
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile: expected 0 ≤ q ≤ 1, got {quantile}")
        target = np.maximum(np.floor(quantile * total + 0.5), 1)
        position = (cumulative < target[:, None]).sum(axis=1)
        found[some, column] = upper_s[np.minimum(position[some], len(upper_s) - 1)]
    return found


def means(counts: np.ndarray, middle_s: np.ndarray) -> np.ndarray:
    """Mean in seconds of each row of dense counts; NaN for an empty row."""
    counts = np.atleast_2d(counts)
    return _ratio(counts @ middle_s, counts.sum(axis=1))
