"""The doctor looks at the real machine, and at what a plan needs."""

from pathlib import Path

import pytest

from genkai.doctor import check_machine
from genkai.planfile import PlanError

PLAN = """\
name: a
purposes: [responsiveness]
base_url: http://no-such-host.invalid
allow: [no-such-host.invalid]
targets: {throughput_rps: 1}
apis: [{name: a, path: /}]
steps: {}
hosts: [{name: far, ssh: far}]
aws: {profile: surely-not-configured}
"""


def test_this_machine_has_what_is_needed() -> None:
    found = {row.what: row for row in check_machine()}
    assert {"Python", "locust", "vmstat", "file descriptors", "local ports", "cores"} <= set(found)
    assert found["Python"].ok
    assert found["locust"].ok


def test_what_the_plan_needs_and_lacks_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    found = {row.what: row for row in check_machine(tmp_path / "plan.yaml")}
    assert not found["target"].ok
    assert "expected a host that resolves" in found["target"].remedy
    assert not found["AWS profile"].ok
    assert "aws configure --profile surely-not-configured" in found["AWS profile"].remedy
    assert "ssh" in found


def test_a_wrong_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="expected a readable plan file"):
        check_machine(tmp_path / "none.yaml")
