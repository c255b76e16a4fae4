import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.figures.quantities import number as figure_number
from genkai.report.errors import ReportError
from genkai.report.messages import Messages
from genkai.report.quantities import interval, is_missing, measured, significant
from report_records import number

EN, JA = Messages("en"), Messages("ja")


@pytest.mark.parametrize(
    ("value", "spec", "en", "ja"),
    [
        (412.4, "rps", "412 rps", "412 rps"),
        (1234567, "count", "1,234,567", "1,234,567"),
        (0.0852, "ms", "85.2 ms", "85.2 ms"),
        (12.5, "time", "12.5 s", "12.5 秒"),
        (0.031, "percent", "3.1%", "3.1%"),
        (0.0, "percent", "0%", "0%"),
        (95, "duration", "1 min 35 s", "1 分 35 秒"),
        (7200, "duration", "2 h", "2 時間"),
        (2.04, "factor", "×2.04", "2.04 倍"),
        (1.5e6, "bytes", "1.5 MB", "1.5 MB"),
        (0.0512, "signed", "+5.12%", "+5.12%"),
        (-0.289, "signed", "−28.9%", "−28.9%"),
        (None, "rps", "–", "–"),
        (math.nan, "ms", "–", "–"),
        (number(0.612, "s", 0.02), "measured", "612 ms (592–632)", "612 ms (592–632)"),
        (number(0.9998, "s", 0.001), "measured", "1,000 ms (999–1,001)", "1,000 ms (999–1,001)"),
        (number(497.3, "rps", 8.4), "interval", "489–506 rps", "489–506 rps"),
        (number(-0.05, "points", 0.01), "measured", "−5 points (−6 to −4)", "−5 ポイント (−6 ～ −4)"),
        (number(500, "users"), "", "500 users", "500 ユーザ"),
        (number(7, "cores"), "", "7 cores", "7 cores"),
        (datetime(2026, 5, 9, 7, 35, tzinfo=UTC), "date", "2026-05-09", "2026-05-09"),
        (0, "datetime", "1970-01-01 00:00:00 UTC", "1970-01-01 00:00:00 UTC"),
    ],
)
def test_numbers_are_printed_with_their_unit_in_both_languages(value, spec, en, ja):
    assert (EN.format(value, spec), JA.format(value, spec)) == (en, ja)


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_three_significant_digits_keep_the_value_within_half_a_percent(value):
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=5.1e-3)


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_printed_sign_is_the_value_s_sign(value):
    assert significant(value).startswith("−") == (value < 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9996, "1.00"), (99.96, "100"), (9.996, "10.0"), (999.6, "1,000"), (-0.09996, "−0.100"), (0.1, "0.1")],
)
def test_what_rounds_up_to_a_digit_more_keeps_three(value, text):
    assert significant(value) == figure_number(value) == text


def test_an_interval_that_is_not_there_is_not_invented():
    record = number(5, "rps")
    assert interval({"rps": "{value} rps"}, record) == ""
    assert measured({"rps": "{value} rps"}, record) == "5 rps"


def test_missing_is_seen_inside_a_record():
    assert is_missing({"value": None, "unit": "rps"})
    assert not is_missing({"value": 0.0, "unit": "rps"})


def test_unknown_format_and_unprintable_value_are_refused():
    with pytest.raises(ReportError, match=r'expected one of .*rps.*got "knots"'):
        EN.format(1, "knots")
    with pytest.raises(ReportError, match=r'format "rps": expected a value that it can print, got .fast.'):
        EN.format("fast", "rps")
