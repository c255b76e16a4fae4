"""collect.stamps: of which year a stamp without one is, whenever it is read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.collect.stamps import parse_stamp, zone_named


@pytest.mark.parametrize(
    ("stamp", "read", "meant"),
    [
        ("Dec 31 23:59:58", "2027-01-01T00:00:05", "2026-12-31T23:59:58"),
        ("Dec 31 23:59:58", "2026-12-31T23:59:59", "2026-12-31T23:59:58"),
        ("Jan  1 00:00:01", "2026-12-31T23:59:59", "2027-01-01T00:00:01"),  # a clock that is a little ahead
        ("Jan  5 00:00:01", "2026-12-31T23:59:59", "2026-01-05T00:00:01"),
        ("Feb 29 12:00:00", "2028-02-29T12:00:01", "2028-02-29T12:00:00"),
        ("Feb 29 12:00:00", "2031-03-01T00:00:00", "2028-02-29T12:00:00"),
        ("Thu Nov 26 08:00:00", "2026-11-26T09:00:00", "2026-11-26T08:00:00"),
    ],
)
def test_a_stamp_without_a_year_is_the_last_of_its_kind(stamp: str, read: str, meant: str) -> None:
    now, expected = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (read, meant))
    assert parse_stamp(stamp, now=now) == expected.timestamp()


def test_where_the_year_began_earlier_it_is_that_one() -> None:
    now = datetime(2026, 12, 31, 20, 0, tzinfo=UTC)
    assert parse_stamp("Jan 1 04:59:00", zone_named("+09:00"), now) == now.timestamp() - 60


def test_a_day_that_never_was_is_no_stamp() -> None:
    assert parse_stamp("Feb 30 12:00:00") is None
    assert parse_stamp("2027-02-29 12:00:00") is None


@given(st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1)), st.integers(0, 363 * 86_400))
def test_what_is_less_than_a_year_old_is_read_as_what_it_was(read: datetime, age_s: int) -> None:
    now = read.replace(microsecond=0, tzinfo=UTC)
    then = now - timedelta(seconds=age_s)
    assert parse_stamp(f"{then:%b %d %H:%M:%S}", now=now) == then.timestamp()
