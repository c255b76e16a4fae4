"""The banner of a step: its status, its reason, and the targets that it rests on."""

import json

import pytest

from genkai.pages.verdicts import step_banner
from genkai.report.messages import Messages
from genkai.steps import judge_step
from genkai.study import read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, plain


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("step", ["verify", "api", "scenario"])
def test_a_recorded_verdict(step: str, lang: str) -> None:
    m, record = Messages(lang), json.loads((SAMPLE / f"results/step-{step}.json").read_text())
    told = plain(step_banner(record, lang))
    assert told.startswith(f"[{m('status.' + record['status'])}] {m.text(record['why_key'], **record['values'])}")
    for row in record["targets"]:
        assert m.format(row["measured"]) in told
        assert f"[{m('status.' + row['status'])}]" in told


def test_without_targets_there_is_the_banner_alone() -> None:
    """As the verdict of a step that the gate kept from running."""
    study = read_study(Cycle(SAMPLE))
    shown = step_banner(judge_step(study, "endurance"))
    assert len(shown.items) == 1
    assert plain(shown).startswith("[NOT RUN]")
