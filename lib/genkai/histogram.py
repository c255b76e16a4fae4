"""Response-time histograms (HdrHistogram, 1 µs to 1 h, 3 digits): record, encode, merge, quantile.

Source: Tene, "How NOT to Measure Latency" (2013) and the HdrHistogram V2 format. Percentiles come from merged
histograms only: a mean of percentiles is not a percentile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3


def new_histogram() -> HdrHistogram:
    """An empty histogram of microseconds."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


def record_seconds(histogram: HdrHistogram, seconds: float, count: int = 1) -> None:
    """Record a duration in seconds; what lies outside 1 µs–1 h is recorded at the bound, never lost."""
    us = min(max(round(seconds * 1e6), LOWEST_US), HIGHEST_US)
    if not histogram.record_value(us, count):
        raise ValueError(f"histogram: expected {LOWEST_US} ≤ µs ≤ {HIGHEST_US}, got {us}")


def encode(histogram: HdrHistogram) -> bytes:
    """The histogram as HDR V2 compressed bytes (base64 text)."""
    encoded = histogram.encode()
    return encoded if isinstance(encoded, bytes) else encoded.encode()


def merge(encoded: Iterable[bytes | None]) -> HdrHistogram:
    """One histogram of all encoded ones (None is skipped); merging equals having recorded jointly."""
    total = new_histogram()
    for item in encoded:
        if item is not None:
            total.decode_and_add(item)
    return total


def join(encoded: Sequence[bytes]) -> bytes:
    """All encoded histograms as one encoded; a single one as it is."""
    return encoded[0] if len(encoded) == 1 else encode(merge(encoded))


def quantile_s(histogram: HdrHistogram, quantile: float) -> float | None:
    """The quantile (0–1) in seconds; None for an empty histogram. Raises ValueError outside 0–1."""
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile: expected 0 ≤ q ≤ 1, got {quantile}")
    if histogram.total_count == 0:
        return None
    return histogram.get_value_at_percentile(quantile * 100) / 1e6


def mean_s(histogram: HdrHistogram) -> float | None:
    """The mean in seconds; None for an empty histogram."""
    return histogram.get_mean_value() / 1e6 if histogram.total_count else None
