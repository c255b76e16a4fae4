"""Intervals within one run: seconds are resampled in blocks, because neighbouring seconds are alike.

Source: Künsch, "The jackknife and the bootstrap for general stationary observations" (1989); blocks are circular
(Politis and Romano, 1992).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from genkai import schema
from genkai.analyse.distributions import means, quantiles
from genkai.analyse.levels import window_values
from genkai.analyse.records import Record, from_draws
from genkai.analyse.seconds import Decoded, Seconds, decode_requests

RESAMPLES = 1000
MOST_BINS = 600
BATCH = 100  # resamples whose distributions are held at a time
UNITS = {"throughput_rps": "rps", "error_ratio": "ratio", "mean_s": "s", **dict.fromkeys(schema.QUANTILES, "s")}


def block_length(n: int) -> int:
    """Seconds in a block: about ∛n, at least 2."""
    return max(2, round(n ** (1 / 3)))


def few_blocks(n: int) -> float:
    """How much wider the spread of block means must be taken for so few blocks (variance n − b, Student's t)."""
    blocks = max(n / block_length(n), 1.5)
    return float(stdtrit(1.5 * blocks - 1, 0.975) / 1.96 * np.sqrt(blocks / (blocks - 1)))


def block_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n seconds is drawn, (resamples, n), by circular blocks of about ∛n (at least 2) seconds."""
    if n < 1:
        raise ValueError(f"block bootstrap: expected at least 1 second, got {n}")
    block = min(n, block_length(n))
    starts = rng.integers(0, n, (resamples, -(-n // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n] % n
    flat = drawn + n * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)


def window_draws(window: Seconds, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
    """{column: bootstrap draws} of throughput, error ratio, mean and quantiles of a window of seconds."""
    values = window_values(window)
    window, seconds = _binned(window)
    n = len(window.sent)
    weights = block_weights(n, resamples, np.random.default_rng(seed))
    due = weights @ (window.sent + window.dropped)
    bad = weights @ (window.failed + window.dropped)
    draws = {
        "throughput_rps": weights @ window.finished / n / seconds,
        "error_ratio": np.divide(bad, due, out=np.full(resamples, np.nan), where=due > 0),
    }
    wanted, responses = list(schema.QUANTILES.values()), window.responses.occurring()
    spread = np.empty((resamples, 1 + len(wanted)))
    for first in range(0, resamples, BATCH):
        counts = weights[first : first + BATCH] @ responses.counts
        spread[first : first + BATCH, 0] = means(counts, responses.middle_s)
        spread[first : first + BATCH, 1:] = quantiles(counts, responses.upper_s, wanted)
    draws |= dict(zip(("mean_s", *schema.QUANTILES), spread.T, strict=True))
    return {name: _widened(draws[name], values[name], few_blocks(n)) for name in draws}


def _widened(draws: np.ndarray, value: float | None, factor: float) -> np.ndarray:
    return draws if value is None else np.maximum(value + (draws - value) * factor, 0)


def _binned(window: Seconds) -> tuple[Seconds, int]:
    """(window of at most about MOST_BINS rows, seconds in each row): hours of seconds need no finer blocks."""
    size = max(1, len(window.sent) // MOST_BINS)
    if size == 1:
        return window, 1
    bins = len(window.sent) // size
    group = np.where(np.arange(len(window.sent)) < bins * size, np.arange(len(window.sent)) // size, -1)
    kept = group >= 0
    names = ("sent", "failed", "dropped", "finished", "errors")
    summed = (np.bincount(group[kept], getattr(window, name)[kept], bins) for name in names)
    return Seconds(window.start, *summed, window.responses.summed(group, bins)), size


def window_intervals(window: Seconds, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Record]:
    """{column of the levels table: number record with its 95 % interval} of a window; n is its seconds."""
    values, draws = window_values(window), window_draws(window, resamples, seed)
    return {name: from_draws(values[name], draws[name], len(window.sent), unit) for name, unit in UNITS.items()}


def level_window(decoded: Decoded, levels: pd.DataFrame, level: int, api: str | None = None) -> Seconds:
    """The seconds of a level's window. api: None for all together.

    Raises ValueError when the table has no such level, or the level has no window.
    """
    found = levels[levels["level"] == level]
    if found.empty or pd.isna(found["window_start"].iloc[0]):
        raise ValueError(f"level {level}: expected a level with a window, got "
                         + ("none in the table" if found.empty else "one whose hold was never reached"))  # fmt: skip
    first, last = (int(found[name].iloc[0].timestamp()) for name in ("window_start", "window_end"))
    return decoded.seconds(api if api in decoded.apis else None).between(first, last)


def level_interval(
    requests: pd.DataFrame | Decoded, levels: pd.DataFrame, level: int, api: str | None = None,
    resamples: int = RESAMPLES, seed: int = 0,
) -> dict[str, Record]:  # fmt: skip
    """Number records with 95 % intervals of one level: throughput_rps, error_ratio, mean_s, p50_s … p999_s.

    api: an API of the requests; anything else (the subject, None) means all together. Raises ValueError.
    """
    decoded = requests if isinstance(requests, Decoded) else decode_requests(requests)
    return window_intervals(level_window(decoded, levels, level, api), resamples, seed)


def level_intervals(requests: pd.DataFrame, levels: pd.DataFrame, resamples: int = RESAMPLES) -> dict[str, dict]:
    """{interval_key: level_interval} of every row of a levels table that has a window."""
    if levels.empty or requests.empty:
        return {}
    decoded = decode_requests(requests)
    measured = levels[levels["window_start"].notna()]
    return {
        interval_key(row.level, row.api): level_interval(decoded, levels, int(row.level), row.api, resamples)
        for row in measured.itertuples()
    }


def interval_key(level: int, api: str) -> str:
    """Key of a level and API in the record of intervals."""
    return f"{int(level)}/{api}"
