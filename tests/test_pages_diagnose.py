"""Notebook 50: the answer, the findings with figures of their evidence, what was ruled out, what was not measured."""

import copy
import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from genkai.pages import diagnose as page
from genkai.pages.diagnose import Diagnosis, evidence_figures
from genkai.pages.limits import instance_names
from genkai.report.messages import Messages
from genkai.study import Study, read_study
from genkai.study.results import fit_run
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, checksums, copy_sample, plain

LANGUAGES = ("en", "ja")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.fixture(scope="module")
def found(study: Study) -> Diagnosis:
    return Diagnosis(study)


@pytest.fixture(scope="module")
def healthy(study: Study) -> Diagnosis:
    """Of the verify run: one low level, no limit."""
    return Diagnosis(study, "verify")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_answer_and_its_finding(found: Diagnosis, lang: str) -> None:
    m, first = Messages(lang), found.record["findings"][0]
    assert first["cause"] == "load_balancer_capacity"
    answer, generator = plain(found.answer(lang)), found.record["generator"]
    assert answer.startswith(str(m.text(found.record["answer_key"], **found.record["values"])))
    assert answer.endswith(str(m.text(generator["text_key"], **generator["values"])))
    told = plain(found.findings(lang))
    assert m(f"cause.{first['cause']}.name") in told or str(m.text(first["claim_key"], **first["values"])) in told
    assert m(f"status.{first['strength']}") in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_each_finding_with_series_has_its_figure(found: Diagnosis, lang: str) -> None:
    labels = {e["figure"] for f in found.record["findings"] for e in f["evidence"] if e["figure"]}
    shown = found.evidence(lang)
    assert set(shown.labels()) == labels
    assert "fig-evidence-1" in labels
    assert plain(shown)


def test_the_evidence_is_shaded_from_the_knee_that_page_1_names(
    found: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    monkeypatch.setattr(page.figures, "evidence", lambda *_, stall_load, **__: starts.append(stall_load) or Figure())
    fit = fit_run(found.study, found.run)
    monkeypatch.setattr(page, "Figure", lambda drawn, **_: drawn)
    evidence_figures(found.run, found.record, fit=fit)
    evidence_figures(found.run, found.record, fit={**fit, "bend": False})
    assert starts == [fit["knee_load"]["value"], found.record["values"]["knee_load"]["value"]]
    assert starts[0] > starts[1]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_evidence_calls_instances_as_its_figure_does(found: Diagnosis, lang: str) -> None:
    names = instance_names(found.run, Messages(lang))
    pieces = [e for f in found.record["findings"] for e in f["evidence"] if e["resource"] in names]
    assert pieces
    told = plain(found.findings(lang))
    for piece in pieces:
        assert names[piece["resource"]] in told
        assert piece["resource"].partition(":")[2] not in told


def test_a_reference_without_a_series_makes_no_figure(found: Diagnosis) -> None:
    record = copy.deepcopy(found.record)
    for item in record["findings"][0]["evidence"]:
        item["metric"] = ""
    assert "fig-evidence-1" not in [f.label for f in evidence_figures(found.run, record)]
    for item in found.record["findings"][0]["evidence"]:
        assert item["metric"] or item["figure"] is None


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_was_ruled_out_and_what_was_not_measured(found: Diagnosis, lang: str) -> None:
    m, told = Messages(lang), plain(found.ruled_out(lang))
    assert found.record["ruled_out"]
    for row in found.record["ruled_out"]:
        assert row["resource"].partition(":")[2] in told
        assert f"[{m('status.' + row['verdict'])}]" in told
    missing = plain(found.not_measured(lang)).splitlines()
    assert len(missing) == max(1, len(found.record["not_measured"]))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_finding_is_an_answer(healthy: Diagnosis, lang: str) -> None:
    m = Messages(lang)
    assert healthy.record["findings"] == []
    assert plain(healthy.answer(lang))
    assert plain(healthy.findings(lang)) == str(m.text("page.no_finding"))
    assert plain(healthy.evidence(lang)) == str(m.text("page.no_evidence"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_empty_lists_are_said(study: Study, lang: str) -> None:
    m, bare = Messages(lang), Diagnosis(study, "verify")
    bare.record |= {"ruled_out": [], "not_measured": []}
    assert plain(bare.ruled_out(lang)) == str(m.text("page.nothing_ruled_out"))
    assert plain(bare.not_measured(lang)) == str(m.text("page.all_measured"))


def test_the_artifact_holds_every_run_and_the_sample_is_not_written_to(tmp_path: Path, found: Diagnosis) -> None:
    cycle = copy_sample(tmp_path)
    before, study = checksums(cycle.path), read_study(cycle)
    path = page.write(study)
    assert path == tmp_path / "data/cycles/.recorded/sample/findings.json"
    assert checksums(cycle.path) == before
    record = json.loads(path.read_text())
    assert list(record) == [r.run.name for r in study.runs]
    assert record[found.run.run.name] == json.loads(json.dumps(found.record)), "the same findings again"
