"""planmachines: what a machine must keep, and the errors of who writes it wrongly."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from genkai.planmachines import MachineTarget, PlanTargets


def test_a_limit_holds_on_its_own_side() -> None:
    most = MachineTarget(metric="cpu_busy_ratio", at_most=0.7)
    least = MachineTarget(metric="mem_available_bytes", at_least=5e8)
    assert (most.bound, least.bound) == (("at_most", 0.7), ("at_least", 5e8))
    assert [most.kept_by(v) for v in (0.6, 0.7, 0.71)] == [True, True, False]
    assert [least.kept_by(v) for v in (4e8, 5e8, 6e8)] == [False, True, True]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"metric": "cpu_busy_ratio"}, "exactly one of at_most, at_least, got neither"),
        ({"metric": "cpu_busy_ratio", "at_most": 1, "at_least": 0}, "exactly one of at_most, at_least, got both"),
        ({"metric": "cpu_bussy_ratio", "at_most": 1}, "did you mean cpu_busy_ratio?"),
        ({"metric": "cpu_busy_ratoi", "at_most": 1}, "did you mean cpu_busy_ratio?"),
        ({"metric": "mem_available", "at_least": 1}, "did you mean mem_available_bytes?"),
        ({"metric": "cpu busy", "at_most": 1}, "should match pattern"),
        ({"metric": "CPUUtilization", "at_most": float("nan")}, "finite number"),
        ({"metric": "CPUUtilization", "at_most": 70, "statistic": "median"}, "average, sum, minimum, maximum, or p95"),
        ({"metric": "CPUUtilization", "at_most": 70, "over_level": "median"}, "'mean', 'p95', 'maximum' or 'minimum'"),
    ],
)
def test_errors_say_what_was_expected(given: dict, told: str) -> None:
    with pytest.raises(ValidationError, match="(?s)" + told.replace("?", r"\?")):
        MachineTarget.model_validate(given)


@pytest.mark.parametrize("metric", ["core0_busy_ratio", "net_lo_sent_bytes_per_s", "swap_in_pages_per_s", "NetworkIn"])
def test_names_that_only_resemble_others_are_taken(metric: str) -> None:
    assert MachineTarget(metric=metric, at_most=1).metric == metric


@pytest.mark.parametrize("metric", ["EBSIOBalance%", "ThrottledRequests[PutItem]", "process_php-fpm_rss_bytes"])
def test_every_name_of_the_table_can_be_given(metric: str) -> None:
    assert MachineTarget(metric=metric, at_least=1, statistic="Maximum").label == f"{metric} (maximum, mean)"


def test_only_the_plan_has_targets_of_machines() -> None:
    assert PlanTargets().machines == []
    assert PlanTargets.model_validate({"machines": [{"metric": "run_queue", "at_most": 4}]}).p95_ms is None
