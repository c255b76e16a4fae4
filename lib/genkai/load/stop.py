"""When a run ends itself: limits of one second that are exceeded for so many seconds in a row.

The hold times are those of Yandex.Tank's autostop: a second within the limit starts the count anew, an idle one does
not count.
"""

from __future__ import annotations

from collections.abc import Callable

from genkai.load.tail import SILENT_S, News
from genkai.plan import StopRule

CPU_RATIO, LATE_S = 0.9, 0.05  # from where the analysis calls a process the limit, too


class Condition:
    """One limit; a second's answer is the text of what is exceeded, "" within the limit, None where it says nothing."""

    def __init__(self, exceeded: Callable[[News], str | None], for_s: float) -> None:
        self._exceeded, self._for_s = exceeded, for_s
        self._since: float | None = None

    def see(self, news: News, moment: float) -> str | None:
        """The reason to stop, or None."""
        text = self._exceeded(news)
        if text is None:
            return None
        if not text:
            self._since = None
            return None
        self._since = moment - 1.0 if self._since is None else self._since
        if moment - self._since < self._for_s:
            return None
        return f"{text} for {self._for_s:g} s (plan: stop)"


class StopWatch:
    """All limits of the plan's stop rule, and whether a lost load process ends the run."""

    def __init__(self, rule: StopRule, stop_on_loss: bool = False) -> None:
        self._stop_on_loss = stop_on_loss
        self.needs_histograms = rule.p95_ms is not None
        checks: list[Callable[[News], str | None]] = [lambda news: _errors(news, rule.error_ratio)]
        if rule.p95_ms is not None:
            limit_s = rule.p95_ms / 1000
            checks.append(lambda news: _slow(news, limit_s))
        if rule.generator_limited:
            checks.append(_limited)
        self._conditions = [Condition(check, rule.for_s) for check in checks]

    def see(self, news: News, moment: float) -> str | None:
        """The first reason to stop, or None; every limit sees every second."""
        reasons = [condition.see(news, moment) for condition in self._conditions]
        reasons += [_lost(news)] if self._stop_on_loss else []
        return next((reason for reason in reasons if reason is not None), None)


def _lost(news: News) -> str | None:
    newest = max(news.told.values(), default=0)
    silent = sorted(process for process, second in news.told.items() if second < newest - SILENT_S)
    return f"lost {', '.join(silent)}: told nothing for {SILENT_S:g} s (plan: generator.on_loss)" if silent else None


def _errors(news: News, limit: float) -> str | None:
    ratio = news.error_ratio
    if ratio is None:
        return None
    return f"error ratio {ratio:.2f} > {limit:g}" if ratio > limit else ""


def _slow(news: News, limit_s: float) -> str | None:
    if news.p95_s is None:
        return None
    return f"p95 {news.p95_s * 1000:.0f} ms > {limit_s * 1000:g} ms" if news.p95_s > limit_s else ""


def _limited(news: News) -> str | None:
    if news.cpu_ratio is None and news.late_s is None:
        return None
    if (news.cpu_ratio or 0.0) >= CPU_RATIO:
        return f"generator limited: a process used {news.cpu_ratio:.2f} of a core ≥ {CPU_RATIO}"
    if (news.late_s or 0.0) > LATE_S:
        return f"generator limited: {news.late_s * 1000:.0f} ms late (p99) > {LATE_S * 1000:g} ms"
    return ""
