"""Load goes to loopback and to what the list names, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.allow import AllowEntry, TargetRefused, check_address, check_target, is_allowed, is_loopback

SHOP = AllowEntry(host="shop.example.com", resolves_to=["203.0.113.0/24"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_always_allowed(host: str) -> None:
    assert is_loopback(host)
    assert is_allowed(host, [])


@given(st.ip_addresses(v=4).filter(lambda a: not a.is_loopback))
def test_no_other_address_is(address: object) -> None:
    assert not is_allowed(str(address), [])


@pytest.mark.parametrize("host", ["example.com", "evil-shop.example.com", "shop.example.com.evil.org", "10.0.0.1"])
def test_a_name_must_match_whole(host: str) -> None:
    assert not is_allowed(host, [SHOP])
    with pytest.raises(TargetRefused, match="expected a host that the plan's allow list names"):
        check_address(host, "203.0.113.7", [SHOP])


def test_an_allowed_name_must_resolve_as_expected() -> None:
    check_address("shop.example.com", "203.0.113.7", [SHOP])
    with pytest.raises(TargetRefused, match=r"to resolve into 203\.0\.113\.0/24, got 198\.51\.100\.1"):
        check_address("shop.example.com", "198.51.100.1", [SHOP])


def test_localhost_that_is_not_this_machine() -> None:
    with pytest.raises(TargetRefused, match="expected localhost to be this machine"):
        check_address("localhost", "198.51.100.1", [])


def test_a_wrong_network_is_told_when_the_plan_is_read() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 network"):
        AllowEntry(host="a", resolves_to=["300.1.1.1/8"])


def test_check_target_resolves() -> None:
    assert check_target("127.0.0.1", 80, []) == ["127.0.0.1"]
    with pytest.raises(TargetRefused, match="nothing was sent"):
        check_target("203.0.113.1", 80, [])
    with pytest.raises(TargetRefused, match="expected a host that resolves"):
        check_target("no-such-host.invalid", 80, [AllowEntry(host="no-such-host.invalid")])
