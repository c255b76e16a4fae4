"""The stop rule on its own."""

import pytest

from genkai.analyse import generator_limit
from genkai.load import stop
from genkai.load.stop import StopWatch
from genkai.load.tail import News
from genkai.plan import StopRule


def strikes_at(rule: StopRule, seconds: list[News]) -> int | None:
    """The second at which the rule strikes."""
    watch = StopWatch(rule)
    for second, news in enumerate(seconds, start=1):
        if watch.see(news, float(second)):
            return second
    return None


@pytest.mark.parametrize(
    ("ratios", "strikes"),
    [
        ([0, 0.9, 0.9, 0.9, 0.9], 4),
        ([0.9, 0.9, 0, 0.9, 0.9, 0.9], 6),
        ([0.5] * 10, None),
        ([0.9, None, 0.9], 3),
        ([None] * 10, None),
    ],
)
def test_only_a_ratio_above_the_limit_for_long_enough_strikes(ratios, strikes) -> None:
    seconds = [News() if r is None else News(completed=round(100 * (1 - r)), failed=round(100 * r)) for r in ratios]
    assert strikes_at(StopRule(error_ratio=0.5, for_s=3), seconds) == strikes


def test_a_slow_p95_strikes_only_where_the_plan_limits_it() -> None:
    seconds = [News(completed=9, p95_s=p95) for p95 in (0.1, 0.3, 0.3, 0.2, 0.21, 0.3, 0.3)]
    assert strikes_at(StopRule(p95_ms=200, for_s=3), seconds) == 7
    assert strikes_at(StopRule(for_s=3), seconds) is None
    assert StopWatch(StopRule(p95_ms=200)).needs_histograms
    assert not StopWatch(StopRule()).needs_histograms


@pytest.mark.parametrize("sick", [{"cpu_ratio": 0.9}, {"cpu_ratio": 0.1, "late_s": 0.051}])
def test_a_generator_at_its_limit_strikes_where_the_plan_says_so(sick) -> None:
    well = News(completed=9, cpu_ratio=0.89, late_s=0.05)
    seconds = [well, News(completed=9, **sick), well, *[News(completed=9, **sick)] * 2]
    assert strikes_at(StopRule(generator_limited=True, for_s=2), seconds) == 5
    assert strikes_at(StopRule(for_s=2), seconds) is None
    assert (generator_limit.CPU_RATIO, generator_limit.LATE_FLOOR_S) == (stop.CPU_RATIO, stop.LATE_S)


@pytest.mark.parametrize(
    ("rule", "news", "reason"),
    [
        ({"error_ratio": 0.2}, News(completed=1, failed=1, dropped=2), "error ratio 0.75 > 0.2"),
        ({"p95_ms": 250}, News(completed=1, p95_s=0.3), "p95 300 ms > 250 ms"),
        ({"generator_limited": True}, News(cpu_ratio=0.95),
         "generator limited: a process used 0.95 of a core ≥ 0.9"),
    ],
)  # fmt: skip
def test_the_reason_names_the_numbers(rule: dict, news: News, reason: str) -> None:
    assert StopWatch(StopRule(for_s=1, **rule)).see(news, 5.0) == f"{reason} for 1 s (plan: stop)"
