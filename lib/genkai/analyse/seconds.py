"""Second by second: what was sent, what came back and when, for one API or for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from genkai import schema
from genkai.analyse.distributions import Distributions, read_distributions
from genkai.plan import ALL_APIS

LONGEST_S = 3600  # a response time beyond an hour is not recorded either


@dataclass(frozen=True)
class Seconds:
    """One row a second from `start` (epoch second); rates in requests/s.

    sent, failed, dropped and responses belong to the second of the intended send; finished and errors to the second
    in which the response came, later by the response time: an overloaded service answers behind what it is asked.
    """

    start: int
    sent: np.ndarray
    failed: np.ndarray
    dropped: np.ndarray
    finished: np.ndarray
    errors: np.ndarray
    responses: Distributions

    @property
    def end(self) -> int:
        """Epoch second after the last row."""
        return self.start + len(self.sent)

    def between(self, first: int, last: int) -> Seconds:
        """Rows of the epoch seconds [first, last), as far as there are any."""
        a = min(max(first - self.start, 0), len(self.sent))
        b = min(max(last - self.start, a), len(self.sent))
        arrays = (x[a:b] for x in (self.sent, self.failed, self.dropped, self.finished, self.errors))
        return Seconds(self.start + a, *arrays, self.responses.between(a, b))


@dataclass(frozen=True)
class Decoded:
    """A requests table whose histograms are decoded, once for all that is asked of it."""

    second: np.ndarray
    requests: pd.DataFrame
    responses: Distributions

    @property
    def apis(self) -> list[str]:
        """Names of the APIs, sorted."""
        return sorted(self.requests["api"].unique())

    def seconds(self, api: str | None = None) -> Seconds:
        """The seconds of one API, or of all together; all share one time axis."""
        start, size = int(self.second.min()), int(self.second.max() - self.second.min()) + 1
        chosen = np.ones(len(self.second), bool) if api is None else (self.requests["api"] == api).to_numpy()
        row = np.where(chosen, self.second - start, -1)
        counted = {
            name: np.bincount(row[chosen], self.requests[name].to_numpy(float)[chosen], size)
            for name in ("sent", "failed", "dropped")
        }
        finished = self._moved("completed", row, size)
        errors = self._moved("failed", row, size)
        return Seconds(start, **counted, finished=finished, errors=errors, responses=self.responses.summed(row, size))

    def _moved(self, column: str, row: np.ndarray, size: int) -> np.ndarray:
        """Requests of a column in the second of their response; sends are taken as even within their second."""
        number = np.where(row >= 0, self.requests[column].to_numpy(float), 0.0)
        totals = self.responses.totals
        cells = self.responses.counts.tocoo()
        share = cells.data * (number / np.maximum(totals, 1))[cells.row]
        late = np.minimum(self.responses.middle_s, LONGEST_S)[cells.col]
        whole = np.floor(late).astype(int)
        target = np.maximum(row, 0)[cells.row] + whole
        moved = np.bincount(target, share * (1 - late + whole), size) if len(target) else np.zeros(size)
        after = np.bincount(target + 1, share * (late - whole), size) if len(target) else np.zeros(size)
        unknown = np.bincount(np.maximum(row, 0), np.where(totals > 0, 0.0, number), size)
        return moved[:size] + after[:size] + unknown[:size]


def decode_requests(requests: pd.DataFrame) -> Decoded:
    """Check a requests table and decode its histograms. Raises TableError; ValueError for a table of no rows."""
    requests = schema.check_table(requests, "requests")
    if requests.empty:
        raise ValueError("requests: expected at least one second with requests, got an empty table; did the run start?")
    second = (requests["time"].astype("int64") // 1_000_000).to_numpy()
    return Decoded(second, requests, read_distributions(list(requests["hist"])))


def seconds_table(requests: pd.DataFrame) -> pd.DataFrame:
    """Time series for figures: time, api, sent_rps, throughput_rps, error_rps, dropped_rps, mean_s, p50_s, p95_s.

    The first rows are of all APIs together (api = "(all)"); rows of each API follow when there are several.
    throughput_rps and error_rps belong to the second of the response, the rest to that of the intended send.
    """
    if requests.empty:
        names = ("sent_rps", "throughput_rps", "error_rps", "dropped_rps", "mean_s", "p50_s", "p95_s")
        empty = schema.empty_table("requests")
        return pd.DataFrame({"time": empty["time"], "api": empty["api"], **{n: pd.Series(dtype=float) for n in names}})
    decoded = decode_requests(requests)
    parts = [_series(decoded.seconds(), ALL_APIS)]
    if len(decoded.apis) > 1:
        parts += [_series(decoded.seconds(api), api) for api in decoded.apis]
    return pd.concat(parts, ignore_index=True)


def _series(seconds: Seconds, api: str) -> pd.DataFrame:
    p50, p95 = seconds.responses.row_quantiles([0.5, 0.95]).T
    time = pd.to_datetime(np.arange(seconds.start, seconds.end), unit="s", utc=True).astype("datetime64[us, UTC]")
    return pd.DataFrame({
        "time": time, "api": api, "sent_rps": seconds.sent, "throughput_rps": seconds.finished,
        "error_rps": seconds.errors, "dropped_rps": seconds.dropped, "mean_s": seconds.responses.row_means(),
        "p50_s": p50, "p95_s": p95,
    })  # fmt: skip
