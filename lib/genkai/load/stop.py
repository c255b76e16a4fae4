"""When a run ends itself."""

from __future__ import annotations

from genkai.journals import News


class StopWatch:
    """The stop rule: an error ratio above its limit for so many seconds in a row; idle seconds do not count."""

    def __init__(self, error_ratio: float, for_s: float) -> None:
        self._limit, self._for_s = error_ratio, for_s
        self._since: float | None = None

    def see(self, news: News, moment: float) -> str | None:
        """The reason to stop, or None."""
        ratio = news.error_ratio
        if ratio is None:
            return None
        if ratio <= self._limit:
            self._since = None
            return None
        self._since = moment - 1.0 if self._since is None else self._since
        if moment - self._since < self._for_s:
            return None
        return f"error ratio {ratio:.2f} > {self._limit:g} for {self._for_s:g} s (plan: stop)"
