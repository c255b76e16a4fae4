"""The stop rule on its own."""

import pytest

from genkai.journals import News
from genkai.load.stop import StopWatch


def watch(ratios: list[float | None], limit: float = 0.5, for_s: float = 3) -> int | None:
    """The second at which the rule strikes."""
    rule = StopWatch(limit, for_s)
    for second, ratio in enumerate(ratios, start=1):
        news = News() if ratio is None else News(completed=round(100 * (1 - ratio)), failed=round(100 * ratio))
        if rule.see(news, float(second)):
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
    assert watch(ratios) == strikes


def test_the_reason_names_the_numbers() -> None:
    assert StopWatch(0.2, 1).see(News(completed=1, failed=1, dropped=2), 5.0) == (
        "error ratio 0.75 > 0.2 for 1 s (plan: stop)"
    )
