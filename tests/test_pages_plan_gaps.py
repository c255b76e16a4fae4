"""What a plan leaves open becomes a question in its document."""

from pathlib import Path

import pytest
import yaml

from genkai.pages.plan_document import PlanDocument, open_plan
from genkai.pages.plan_gaps import gaps
from genkai.planfile import read_plan
from genkai.report.messages import Messages
from sample_cycles import ROOT

BARE = {"name": "bare", "purposes": ["responsiveness"], "base_url": "http://127.0.0.1:9",
        "apis": [{"name": "a", "path": "/"}],
        "targets": {"throughput_rps": 5}, "steps": {"verify": {"levels": [{"users": 1}]}}}  # fmt: skip
ASKED = ("scope", "data_volume", "hold", "method", "estimate", "response", "environment", "production", "scenario",
         "schedule", "roles")  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_a_bare_plan_has_every_question(tmp_path: Path, lang: str) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(BARE))
    m, told = Messages(lang), PlanDocument(open_plan(plan=str(tmp_path / "plan.yaml")), lang).agreement().to_plain()
    for key in ASKED:
        assert m(f"plan_open.{key}") in told, key
    for step in ("api", "scenario", "endurance"):
        assert m("plan_open.step", step=step) in told
    assert "M9 " in told
    assert m("plan_doc.no_open_questions") not in told


def test_the_template_has_none() -> None:
    plan = read_plan(ROOT / "data/plans/template.yaml")
    assert [str(text) for text in gaps(Messages("en"), plan)] == []


def test_an_endurance_step_shorter_than_what_must_hold_is_a_question(tmp_path: Path) -> None:
    given = yaml.safe_load((ROOT / "data/plans/template.yaml").read_text())
    given["preconditions"]["hold_h"] = 48
    given["scenarios"][0].pop("why")
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(given))
    told = [str(text) for text in gaps(Messages("en"), read_plan(tmp_path / "plan.yaml"), ["M9"])]
    assert told[0] == "Why the scenario shopping was chosen is not stated."
    assert told[1].startswith("The performance must hold for 48 h, but the endurance step holds the load for ")
    assert told[2] == "Not watched by this plan: M9 Middleware. A cause there can be neither found nor ruled out."
