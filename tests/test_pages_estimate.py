"""The estimate as record and lines: each number against the rule worked by hand, and what is refused."""

import json
import re
from pathlib import Path

import pytest

from genkai.pages.estimate import estimate_record, estimate_text, plan_record
from genkai.planfile import read_plan
from genkai.study import StudyError
from sample_cycles import ROOT, own_cycle

DEMO = ROOT / "data/plans/demo.yaml"


def numbers(line: str) -> list[float]:
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*\.?\d*", line)]


def test_every_line_of_bare_factors() -> None:
    lines = estimate_text(estimate_record(None, 50_000, 20, 3, 3)).splitlines()
    assert numbers(lines[0]) == [1_000_000]
    assert [numbers(line)[0] for line in lines[1:4]] == [11.57, 34.72, 104.17]
    assert len(lines) == 4, "no range, no sensitivity, no split"


def test_a_plan_has_ranges_and_a_split() -> None:
    plan, record = read_plan(DEMO), estimate_record(DEMO, None, None, 1, 1)
    assert record == plan_record(plan)
    text = estimate_text(record)
    low, high = record["low_rps"], record["high_rps"]
    corner = [getattr(plan.estimate, n).range for n in ("users_per_day", "peak_factor", "safety_factor")]
    accesses = plan.estimate.accesses_per_user.value
    assert low == pytest.approx(corner[0][0] * corner[1][0] * corner[2][0] * accesses / 86_400)
    assert high == pytest.approx(corner[0][1] * corner[1][1] * corner[2][1] * accesses / 86_400)
    assert f"{low:.2f} – {high:.2f} rps" in text
    for api in plan.apis:
        assert (f"  {api.name}: " in text) == bool(api.share)
    assert f"  search: {record['target_rps'] * 0.5:.2f} rps" in text


def test_factors_of_millions_are_written_out() -> None:
    record = estimate_record(DEMO, None, None, 1, 1)
    row = {"factor": "users_per_day", "low": 1_250_000.0, "high": 12_500_000.0, "target_at_low_rps": 1.0,
           "target_at_high_rps": 2.0}  # fmt: skip
    text = estimate_text({**record, "sensitivity": [row]})
    assert "e+" not in text
    line = next(line for line in text.splitlines() if "users_per_day" in line)
    assert numbers(line)[:2] == [1_250_000, 12_500_000]


def test_a_target_that_is_stated_has_no_factors(tmp_path: Path) -> None:
    def stated(plan) -> None:
        del plan["estimate"]
        plan["targets"]["throughput_rps"] = 123.4

    cycle = own_cycle(tmp_path, edit=stated, runs=False)
    record = plan_record(cycle.plan())
    assert record["target_rps"] == 123.4
    assert estimate_text(record) == "target 123.40 rps (stated in the plan)"
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize(
    ("users", "accesses", "peak", "told"),
    [(None, 20, 3, "expected a plan file, or --users and --accesses"), (1, None, 3, "expected a plan file"),
     (0, 20, 3, "expected factors > 0, got --users 0 --accesses 20 --peak 3"), (1, 20, -3, "got .*--peak -3")],
)  # fmt: skip
def test_what_is_refused(users, accesses, peak, told) -> None:
    with pytest.raises(StudyError, match=told):
        estimate_record(None, users, accesses, peak, 1)
