"""The capacity estimate, four ways: published example, naive oracle, properties, errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai.capacity import estimate_capacity, estimate_sensitivity, target_rps, target_split
from genkai.plan import Estimate
from genkai.planfile import parse_plan

POSITIVE = st.floats(0.1, 1e6)
BASE = "name: a\npurposes: [responsiveness]\nbase_url: http://127.0.0.1\nsteps: {}\n"


def test_the_notes_example() -> None:
    found = estimate_capacity(Estimate(users_per_day=50_000, accesses_per_user=20, peak_factor=3, safety_factor=3))
    assert found.accesses_per_day == 1_000_000
    assert found.mean_rps == pytest.approx(11.574, abs=1e-3)
    assert found.peak_rps == pytest.approx(34.72, abs=1e-2)
    assert found.target_rps == pytest.approx(104.17, abs=5e-3)


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE)
def test_against_the_plain_formula(users: float, accesses: float, peak: float, safety: float) -> None:
    found = estimate_capacity(
        Estimate(users_per_day=users, accesses_per_user=accesses, peak_factor=peak, safety_factor=safety)
    )
    assert found.target_rps == pytest.approx(users * accesses / 86_400 * peak * safety)
    assert found.low_rps == found.target_rps == found.high_rps, "points have no range"


@given(POSITIVE, st.floats(1, 5), st.floats(1, 5))
def test_the_range_holds_the_point_and_grows_with_each_factor(users: float, low: float, high: float) -> None:
    estimate = Estimate(
        users_per_day={"value": users, "low": users / low, "high": users * high},
        accesses_per_user={"value": 2, "high": 3},
    )
    found = estimate_capacity(estimate)
    assert found.low_rps <= found.target_rps <= found.high_rps
    rows = estimate_sensitivity(estimate)
    assert rows == sorted(rows, key=lambda r: -r.swing_rps)
    assert all(r.target_at_low_rps <= found.target_rps * (1 + 1e-9) for r in rows)
    assert found.high_rps >= max(r.target_at_high_rps for r in rows)


def test_a_factor_without_a_range_has_no_row() -> None:
    assert estimate_sensitivity(Estimate(users_per_day=1, accesses_per_user=1)) == []


def test_the_target_is_split_by_share_and_the_rest_evenly() -> None:
    plan = parse_plan(
        BASE.replace("steps: {}", "steps: {verify: {api: h, levels: [{users: 1}]}}")
        + "targets: {throughput_rps: 100}\napis:\n  - {name: h, path: /h}\n  - {name: a, path: /a, share: 0.5}\n"
        "  - {name: b, path: /b}\n  - {name: c, path: /c}\n  - {name: d, path: /d, targets: {throughput_rps: 7}}\n"
    )
    split = target_split(plan)
    assert split["h"] == 0, "the API that only proves the tools carries no share"
    assert split["a"] == 50
    assert split["b"] == split["c"] == pytest.approx(50 / 3)
    assert split["d"] == 7, "an API's own target is taken as it is"


def test_a_stated_target_wins_over_the_estimate() -> None:
    plan = parse_plan(
        BASE + "targets: {throughput_rps: 9}\nestimate: {users_per_day: 1, accesses_per_user: 1}\n"
        "apis: [{name: a, path: /}]\n"
    )
    assert target_rps(plan) == 9


def test_no_target_at_all() -> None:
    plan = parse_plan(BASE + "targets: {throughput_rps: 9}\napis: [{name: a, path: /}]\n")
    with pytest.raises(ValueError, match="expected an estimate or targets"):
        target_rps(plan.model_copy(update={"targets": plan.targets.model_copy(update={"throughput_rps": None})}))
