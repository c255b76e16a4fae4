"""`genkai discover` against a local AWS over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import genkai
from genkai.collect.discovery import Discovery
from genkai.collect.errors import CollectError
from genkai.demo.world import DemoWorld
from genkai.pages.discovery import discovery_record, discovery_table, discovery_text
from genkai.report.messages import Messages
from genkai.study import StudyError

PLAN = """\
name: a
purposes: [responsiveness]
base_url: http://127.0.0.1
targets: {throughput_rps: 1}
environment: {target: {instances: 3}}
apis: [{name: a, path: /}]
steps: {}
aws: {load_balancer: genkai-demo, endpoints: %s}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with DemoWorld() as world:
        path = tmp_path_factory.mktemp("plan") / "plan.yaml"
        path.write_text(PLAN % json.dumps(world.aws_endpoints))
        yield path


def test_what_is_behind_the_load_balancer_and_how_it_differs_from_the_plan(plan: Path) -> None:
    record = discovery_record(plan, None, "", None)
    assert len(record["instances"]) == 2
    assert [d["item"] for d in record["differences"]] == ["instances"]
    text = discovery_text(record)
    assert "load balancer (classic)" in text
    assert "differs from the plan: instances: plan 3, found 2" in text


FOUND = Discovery(
    "eu-west-1", {"name": "shop", "kind": "alb", "scheme": "internal", "zones": ["a", "b"]},
    [{"name": "web", "type": "instance", "targets": [{"state": "healthy"}, {"state": "draining"}]}],
    [{"id": "i-1", "type": "t3.medium", "state": "running", "credit_mode": "standard"}, {"id": "i-2"}],
    {"t3.medium": {"vcpus": 2, "memory_gib": 4.0, "network_base_line_gbps": 0.256, "network_peak_gbps": 5.0,
                   "ebs_base_line_mbps": None, "credit_base_line_ratio": 0.2}},
    [{"name": "asg", "in_service": 2, "desired": 3, "min": 1, "max": 4}],
    [{"cluster": "c", "service": "s", "running": 1, "desired": 1, "launch_type": "FARGATE"}], {"sqs": ["jobs"]},
)  # fmt: skip


@pytest.mark.parametrize(("lang", "rows"), [
    ("en", [("load balancer (alb)", "shop", "internal", "a, b"), ("target group", "web", "1 of 2 healthy", "instance"),
            ("instance", "i-1 (instance 1)", "running, t3.medium, standard",
             "2 vCPU; 4 GiB; network 0.256 Gbps, burst 5 Gbps; CPU base line 20% per vCPU"),
            ("instance", "i-2", "", ""),
            ("Auto Scaling group", "asg", "2 in service, desired 3", "1–4"),
            ("ECS service", "c/s", "1 in service, desired 1", "FARGATE"), ("sqs", "jobs", "named in the plan", "")]),
    ("ja", [("ロードバランサ（alb）", "shop", "internal", "a, b"),
            ("ターゲットグループ", "web", "2 台中 1 台が正常", "instance"),
            ("インスタンス", "i-1 (instance 1)", "running, t3.medium, standard",
             "2 vCPU; 4 GiB; ネットワーク 0.256 Gbps（バースト 5 Gbps）; CPU ベースライン vCPU あたり 20%"),
            ("インスタンス", "i-2", "", ""), ("Auto Scaling グループ", "asg", "稼働 2、希望 3", "1–4"),
            ("ECS サービス", "c/s", "稼働 1、希望 1", "FARGATE"), ("sqs", "jobs", "計画に記載", "")]),
])  # fmt: skip
def test_the_table_says_what_is_there(lang: str, rows: list[tuple[str, ...]]) -> None:
    table = discovery_table(FOUND, Messages(lang), {"ec2:i-1": "instance 1"})
    assert list(table.itertuples(index=False, name=None)) == rows


def test_the_command_prints_json(plan: Path) -> None:
    found = genkai("discover", str(plan), "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["load_balancer"]["name"] == "genkai-demo"


def test_a_load_balancer_that_is_not_there(plan: Path) -> None:
    with pytest.raises(CollectError, match="no-such-balancer"):
        discovery_record(plan, "no-such-balancer", "", None)


def test_no_name_at_all() -> None:
    with pytest.raises(StudyError, match="expected the name of a load balancer"):
        discovery_record(None, None, "eu-west-1", None)
