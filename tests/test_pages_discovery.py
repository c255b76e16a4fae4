"""`genkai discover` against a local AWS over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import genkai
from genkai.collect.errors import CollectError
from genkai.demo.world import DemoWorld
from genkai.pages.discovery import discovery_record, discovery_text
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
