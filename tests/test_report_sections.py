import copy
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genkai.analyse.limit import beyond_measured, limit_of
from genkai.analyse.scalability import fit_scalability
from genkai.pages.report import scale_record
from genkai.report.errors import ReportError
from genkai.report.messages import Messages
from genkai.report.sections import (
    actions,
    appendix,
    comparison,
    conditions,
    decision,
    diagnosis,
    limits,
    monitoring,
    scale,
    step_results,
)  # fmt: skip
from genkai.report.sections.decision import limit_text
from genkai.report.sections.explanation import finding_display
from genkai.report.sections.results import load_table
from report_records import CEILING, FINDINGS, KNEE, LEVELS, VERDICTS, number, records, target, whole_report

LANGS = pytest.mark.parametrize("m", [Messages("en"), Messages("ja")], ids=["en", "ja"])
EN = Messages("en")


def overall_of(status):
    values = {"target": number(1000, "rps"), "measured": CEILING, "reason": "x"}
    key = {"pass": "reached", "fail": "missed"}.get(status, "cannot_tell")
    return {"status": status, "sentence_key": f"verdict.overall.{key}", "values": values}


def changed(record, **fields):
    return {**copy.deepcopy(record), **fields}


@LANGS
def test_records_survive_json_and_give_the_same_document(m):
    read_back = json.loads(json.dumps(records(m.lang)))
    assert whole_report(m.lang).to_typst() == whole_report(m.lang, read_back).to_typst()


@LANGS
def test_every_reference_of_the_report_has_its_label(m):
    contents = whole_report(m.lang)
    used = set(re.findall(r"ref\(<([^>]+)>\)", contents.to_typst()))
    assert used
    assert used <= set(contents.labels())
    assert len(set(contents.labels())) == len(contents.labels())


@LANGS
def test_decision_says_verdict_limit_cause_and_next_action(m):
    plain = decision(m, VERDICTS, FINDINGS).to_plain()
    assert m("cause.load_balancer_capacity.claim") in plain
    assert str(m.text("cause.load_balancer_capacity.remedy").first_sentence()) in plain
    assert plain.startswith(f"[{m('status.fail')}]")
    assert m("answer.limit_found", **FINDINGS["values"]) in plain


@LANGS
@pytest.mark.parametrize(
    ("status", "cause", "following"),
    [
        ("pass", "no_cause_needed", "no_next"),
        ("fail", "no_cause", "next_unknown"),
        ("cannot_tell", "no_cause", "next_unknown"),
    ],
)
def test_decision_without_findings_follows_the_verdict(m, status, cause, following):
    plain = decision(m, {"overall": overall_of(status)}).to_plain()
    assert m(f"decision.{cause}") in plain
    assert m(f"decision.{following}") in plain


@LANGS
@pytest.mark.parametrize(
    ("status", "answer", "cause"),
    [
        ("pass", "cannot_tell", "no_cause"),
        ("pass", "no_limit", "no_cause_needed"),
        ("fail", "no_limit", "no_cause_missed"),
        ("fail", "cannot_tell", "no_cause"),
        ("cannot_tell", "no_limit", "no_cause_unseen"),
        ("not_run", "nothing_measured", "no_cause_unmeasured"),
    ],
)
def test_the_cause_on_page_1_agrees_with_the_limit_beside_it(m, status, answer, cause):
    reached = dict.fromkeys(("reached", "highest", "highest_load"), CEILING)
    findings = changed(FINDINGS, answer_key=f"answer.{answer}", findings=[], values={**FINDINGS["values"], **reached})
    plain = decision(m, {"overall": overall_of(status)}, findings).to_plain()
    assert f"{m('decision.cause')}: {m(f'decision.{cause}')}" in plain


USERS = np.array([2.0, 4, 8, 16, 32, 64])
GROWTH = {
    "limit_at": np.minimum(5 * USERS, 60),
    "limit_measured": 5 * USERS / (1 + 0.05 * (USERS - 1) + 0.0008 * USERS * (USERS - 1)),  # its peak is at 34 users
    "limit_model": 5 * USERS / (1 + 0.05 * (USERS - 1)),  # goes on to 100 rps
}


def stopped(m, growth, answer, kind):
    """(line of the limit, fit) of a service that grows so and is said to stop at 16 users."""
    throughput = GROWTH[growth]
    fit = fit_scalability(USERS, throughput * (1 + 0.003 * np.cos(3 * USERS)))
    at = {"load": number(16, "users"), "reached": number(float(throughput[3]), "rps"), "ceiling": CEILING,
          "highest": number(float(throughput.max()), "rps"), "highest_load": number(64, "users")}  # fmt: skip
    findings = {"answer_key": f"answer.{answer}", "kind": kind, "values": at, "findings": []}
    plain = decision(m, {"overall": overall_of("fail")}, findings, None, fit).to_plain()
    return next(line for line in plain.splitlines() if line.startswith(m("decision.limit"))), fit


@LANGS
@pytest.mark.parametrize("growth", GROWTH)
@pytest.mark.parametrize("answer", ["limit_found", "cannot_tell"])
def test_page_1_states_the_limit_of_its_figure_and_of_what_kind_it_is(m, growth, answer):
    told, fit = stopped(m, growth, answer, "throughput")
    assert beyond_measured(fit) == (growth == "limit_model")
    assert m.format(limit_of(fit), "measured") in told
    numbers = re.findall(r"[\d.]+(?= rps)", told)
    assert len(numbers) == (2 if growth == "limit_model" else 1), "beyond what was measured, with what was measured"
    assert (m.template(f"model.{fit['model']}") in told) == (growth == "limit_model")


FALLS = (100, 200, 300, 400, 350, 250)


@LANGS
def test_the_limit_of_throughput_that_falls_is_the_highest_that_was_measured(m):
    fit = fit_scalability((10, 20, 30, 40, 50, 100), FALLS)
    assert fit["peak_throughput_rps"]["value"] < max(FALLS), "the fitted peak lies below a level"
    at = {"load": number(50, "users"), "reached": number(350, "rps"), "ceiling": number(400, "rps")}
    findings = {"answer_key": "answer.cannot_tell", "kind": "throughput", "values": at}
    assert "400 rps" in str(limit_text(m, findings, fit))
    record = scale_record(SimpleNamespace(fit=fit))
    assert record["ceiling"]["value"] == 400
    told = scale(m, record).to_plain()
    assert m("scale.read_falls", model=m(f"model.{fit['model']}")) in told


@LANGS
def test_nothing_is_said_of_the_service_beyond_what_the_generator_could(m):
    _, fit = stopped(m, "limit_model", "limit_found", "throughput")
    told = stopped(m, "limit_model", "generator", "throughput")[0]
    assert m.format(limit_of(fit), "measured") not in told


@LANGS
@pytest.mark.parametrize(
    ("throughput", "read"),
    [((98, 243, 391, 472, 490, 517), "slows"), ((100, 248, 390, 480, 690, 830), "slows"),
     ((98, 246, 391, 490, 502, 499), "stops"), ((98, 246, 391, 490, 734, 963), "straight")],
)  # fmt: skip
def test_how_throughput_goes_on_is_said_as_the_levels_show_it(m, throughput, read):
    fit = fit_scalability((100, 250, 400, 500, 750, 1000), throughput)
    record = scale_record(SimpleNamespace(fit=fit))
    assert m(f"scale.read_{read}", model=m(f"model.{fit['model']}")) in scale(m, record).to_plain()
    beyond = fit["knee_load"] is not None and fit["knee_load"]["value"] > 1000
    assert (record["knee"] is None) == (beyond or read == "straight")
    assert (record.get("ceiling_model") is not None) == beyond, "the table says that it is the model's"


@LANGS
def test_a_comparison_by_another_model_than_the_reports_says_so(m):
    row = {"api": "mix", "step": "scenario", "what": "ceiling", "before": CEILING, "after": CEILING,
           "ratio": number(1.0, "factor"), "verdict": "same"}  # fmt: skip
    said = m("comparison.one_model", model=m("model.ceiling"))
    record = {"before": 1, "after": 2, "minimum_effect": 0.05, "rows": [row]}
    assert said not in comparison(m, record).to_plain()
    assert said in comparison(m, {**record, "rows": [row | {"model": "ceiling"}]}).to_plain()


@LANGS
def test_a_limit_of_response_times_is_told_as_such_beside_what_the_model_expects(m):
    told, fit = stopped(m, "limit_model", "response_time_limit_found", "response_time")
    assert m.template("answer.response_time_limit_found").split("{")[0] in told
    assert m.format(limit_of(fit), "measured") in told
    told, fit = stopped(m, "limit_at", "response_time_limit_found", "response_time")
    assert m.format(limit_of(fit), "measured") not in told, "what stops it first is the response time"


def test_targets_show_their_direction_and_what_is_missing():
    plain = step_results(EN, VERDICTS).to_plain()
    assert "API · items | Throughput | ≥ 700 rps | 498 rps (489–507) | −28.9% | [FAIL] | [fig-scale]" in plain
    assert "Endurance | Response time, p95 | ≤ 100 ms | – | – | [NOT RUN] | –" in plain


@LANGS
def test_a_pass_with_a_negative_margin_is_explained(m):
    near = target("api", "items", "throughput", number(700, "rps"), number(699, "rps"), -0.001, "pass", None)
    explained = m("caption.targets_near", tolerance=0.02)
    assert explained in step_results(m, changed(VERDICTS, targets=[near])).to_plain()
    assert explained not in step_results(m, VERDICTS).to_plain()


@LANGS
def test_what_is_not_decided_says_why_once_for_all_that_it_is_true_of(m):
    kept = {"status": "cannot_tell", "why_key": "verdict.why.kept_below_target", "values": {"throughput": CEILING}}
    rows = [target("scenario", api, "p95", number(0.2, "s"), number(0.1, "s"), 0.5, "cannot_tell", None) | kept
            for api in ("items", "order")]  # fmt: skip
    told = step_results(m, changed(VERDICTS, targets=rows)).to_plain()
    both = m("word.comma").join(("items", "order"))
    reason = m("verdict.why.kept_below_target", api=both, throughput=CEILING)
    assert told.count(reason) == 1
    assert m("steps.undecided", step="scenario", reason="").strip() in told


@LANGS
def test_what_is_not_decided_for_other_numbers_has_a_sentence_of_its_own(m):
    rows = [
        target("api", api, "p95", number(0.2, "s"), number(0.1, "s"), 0.5, "cannot_tell", None)
        | {"why_key": "verdict.why.kept_below_target", "values": {"throughput": number(rps, "rps")}}
        for api, rps in (("items", 109), ("order", 54))
    ]
    told = step_results(m, changed(VERDICTS, targets=rows)).to_plain()
    for api, rps in (("items", 109), ("order", 54)):
        assert m("verdict.why.kept_below_target", api=api, throughput=number(rps, "rps")) in told


@LANGS
def test_a_step_that_was_not_run_and_leaves_all_undecided_is_what_to_do_next(m):
    left = {"key": "verdict.why.step_not_run", "values": {"step": "endurance"}}
    overall = overall_of("cannot_tell")
    overall["values"]["reason"] = left
    following = f"{m('decision.next')}: {m('decision.next_run', steps=m('step.endurance'))}"
    assert following in decision(m, changed(VERDICTS, overall=overall), FINDINGS).to_plain()
    assert following not in decision(m, changed(VERDICTS, overall=overall_of("fail")), FINDINGS).to_plain()


@LANGS
def test_where_nothing_was_run_nothing_is_said_of_what_was_measured(m):
    plain = decision(m, {"overall": overall_of("not_run")}).to_plain()
    assert m("decision.no_cause_unmeasured") in plain
    assert m("decision.no_cause_unseen") not in plain


@LANGS
def test_only_steps_that_were_run_are_counted(m):
    setup = records(m.lang)["setup"]
    counted = m("conditions.summary", n=2)
    assert counted not in conditions(m, setup).to_plain()
    steps = [setup["steps"][0] | {"ran": False}, *setup["steps"][1:]]
    assert counted in conditions(m, changed(setup, steps=steps)).to_plain()
    none = [step | {"ran": False} for step in steps]
    assert m("conditions.summary", n=0) not in conditions(m, changed(setup, steps=none)).to_plain()


def test_page_1_shows_what_was_missed_first_and_leaves_the_generator_out():
    rows = [
        line for line in decision(EN, VERDICTS, FINDINGS).to_plain().splitlines() if " · " in line and "| [" in line
    ]
    states = [row.split("[")[1].split("]")[0] for row in rows]
    assert states == sorted(states, key=["FAIL", "CANNOT TELL", "NOT RUN", "PASS"].index)
    assert "498 rps / ≥ 700 rps" in next(row for row in rows if row.startswith("API · items"))
    assert not [row for row in rows if row.startswith("Tools")]


@LANGS
def test_machines_have_a_column_of_their_own_where_the_plan_asks(m):
    throughput = target(
        "scenario", None, "throughput", number(700, "rps"), number(710, "rps"), 0.01, "pass", "fig-scale"
    )
    machine = {"kind": "machine", "bound": "at_most", "margin_ratio": number(0.21, "ratio"), "over_level": "mean"}
    cpu = throughput | machine | {"api": "i-2", "what": "CPUUtilization", "target": number(70, "percent"),
                                  "measured": number(55, "percent")}  # fmt: skip
    memory = cpu | {"what": "mem_available_bytes", "bound": "at_least", "target": number(5e8, "bytes"),
                    "measured": number(6e8, "bytes"), "margin_ratio": number(0.2, "ratio")}  # fmt: skip
    verdicts = changed(VERDICTS, targets=[throughput, cpu, memory])
    page = decision(m, verdicts).to_plain()
    assert m("column.machines") in page
    floor = m("number.at_least", value=m.format(memory["target"]))
    assert f"mem_available_bytes 600 MB / {floor}" in page, "the one with the least margin"
    whole = step_results(m, verdicts).to_plain()
    cpu_mean = m("decision.machine_quantity", metric=m("metric.CPUUtilization"), how=m("over_level.mean"))
    assert f"i-2 | {cpu_mean} | {m('number.at_most', value='70%')} | 55% " in whole
    assert m("column.machines") not in decision(m, VERDICTS).to_plain()


def test_a_machine_without_a_margin_comes_after_one_that_has_one():
    """A limit of 0 and what was not measured have no margin."""
    cpu = target("scenario", "app-1", "cpu_busy_ratio", number(0.7, "ratio"), number(0.6, "ratio"), 0.14, "pass", None)
    kind = {"kind": "machine", "bound": "at_most", "over_level": "mean"}
    kills = cpu | {"what": "oom_kills", "target": number(0, "count"), "measured": number(0, "count"),
                   "margin_ratio": number(None, "ratio")}  # fmt: skip
    page = decision(EN, changed(VERDICTS, targets=[kills | kind, cpu | kind])).to_plain()
    assert "Host: CPU 60% / ≤ 70%" in page


def test_a_target_without_measurement_field_is_refused():
    target = {key: value for key, value in VERDICTS["targets"][0].items() if key != "measured"}
    with pytest.raises(ReportError, match='target record: expected a field "measured"'):
        decision(EN, changed(VERDICTS, targets=[target]))


def test_verdicts_without_overall_are_refused():
    with pytest.raises(ReportError, match='verdicts record: expected a field "overall"'):
        decision(EN, {})


def test_a_finding_may_name_its_own_texts():
    finding = changed(FINDINGS["findings"][0], remedy_key="not_measured.memory.how")
    plain = diagnosis(EN, changed(FINDINGS, findings=[finding])).to_plain()
    assert EN("not_measured.memory.how") in plain
    assert EN("cause.load_balancer_capacity.remedy") not in plain


@LANGS
def test_evidence_says_of_which_load_it_speaks(m):
    (found,) = FINDINGS["findings"]
    at_limit = m("finding.at_load", load=found["values"]["load"])
    told = changed(found, values={**found["values"], "knee_load": number(750, "users")})
    assert at_limit in finding_display(m, told).to_plain()
    unknown = changed(told, values={**told["values"], "knee_load": number(None, "users")})
    assert at_limit not in finding_display(m, unknown).to_plain(), "no limit, or nothing measured below it"
    steady = changed(
        told, evidence=[{"text_key": "evidence.failures.timeout", "values": {"count": number(3, "requests")}}]
    )
    assert at_limit not in finding_display(m, steady).to_plain(), "no value beside which one stands in brackets"


def test_a_cause_without_texts_and_a_claim_without_evidence_are_refused():
    finding = FINDINGS["findings"][0]
    with pytest.raises(ReportError, match=r'a message "cause\.moon\.[a-z]+" for language en'):
        diagnosis(EN, changed(FINDINGS, findings=[changed(finding, cause="moon")]))
    with pytest.raises(ReportError, match="expected at least one piece of evidence"):
        diagnosis(EN, changed(FINDINGS, findings=[changed(finding, evidence=[])]))


@LANGS
def test_diagnosis_says_what_was_ruled_out_and_not_measured(m):
    plain = diagnosis(m, FINDINGS).to_plain()
    assert f"web-1 CPU | [{m('status.idle')}] | –" in plain
    assert (
        m("diagnosis.not_measured_item", what=m("not_measured.workers.name"), how=m("not_measured.workers.how"))
        in plain
    )


def test_levels_come_as_rows_or_as_a_dataframe():
    frame = pd.DataFrame(LEVELS).assign(p99_s=float("nan"), generator_limited=[False] * 7 + [True])
    plain = step_results(EN, VERDICTS, {"scenario": frame}).to_plain()
    assert "1 | 100 users | 99.5 rps | 2.5 | 21 ms | 43 ms | – | 0% | yes" in plain
    assert "generator was the limit" in plain
    assert "1 | 100 users" in step_results(EN, VERDICTS, {"scenario": LEVELS}).to_plain()


@LANGS
def test_corrected_levels_stand_after_the_measured_ones_and_say_so(m):
    corrected = [changed(LEVELS[0], p99_s=1.5)]
    plain = step_results(m, VERDICTS, {"scenario": LEVELS}, paced={"scenario": corrected}).to_plain()
    measured, label = (
        m("caption.step_levels", step=m("step.scenario")),
        m("caption.step_paced", step=m("step.scenario")),
    )
    assert plain.index(measured) < plain.index(label)
    assert plain.count("1.5") == 1 + step_results(m, VERDICTS, {"scenario": LEVELS}).to_plain().count("1.5")
    assert label not in step_results(m, VERDICTS, {"scenario": LEVELS}).to_plain()


def test_open_workloads_are_in_rps_and_unsteady_levels_are_said():
    rows = [changed(LEVELS[0], workload="open", steady=False)]
    assert (
        "1 | 100 rps | 99.5 rps | 2.5 | 21 ms | 43 ms | 71 ms | 0% | no"
        in step_results(EN, VERDICTS, {"scenario": rows}).to_plain()
    )


@pytest.mark.parametrize(("workload", "levels", "en", "ja"), [
    ("closed", [250.0, 1000.0], "250 → 1,000 users", "250 → 1,000 ユーザ"),
    ("open", ["50%", "100%"], "50% → 100% of each target", "各目標値の 50% → 100%"),
    ("open", [50.0, "100%"], "50 rps → 100% of its target", "50 rps → 目標値の 100%"),
    ("open", ["50%", 120.0], "50% of its target → 120 rps", "目標値の 50% → 120 rps"),
])  # fmt: skip
def test_each_level_has_its_unit_and_stays_in_one_line(workload, levels, en, ja):
    step = {"step": "api", "workload": workload, "levels": levels, "duration_s": 10}
    for lang, said in (("en", en), ("ja", ja)):
        (row,) = load_table(Messages(lang), [step], "caption").cells
        assert str(row[3]) == said
        assert "of each" in en or [s.content for s in row[3].spans if s.kind == "whole"] == said.split(" → ")


@LANGS
def test_scale_with_and_without_a_model(m):
    fitted = scale(m, {"model": "usl", "runner_up": None, "knee": KNEE, "ceiling": CEILING}).to_plain()
    assert m.format(KNEE, "measured") in fitted
    assert m("scale.runner_up") not in fitted
    reason = {"key": "verdict.why.too_few_levels", "values": {"n": 3, "needed": 4}}
    none = scale(m, {"model": None, "reason": reason}).to_plain()
    assert m("verdict.why.too_few_levels", n=3, needed=4).rstrip(".。") in none


@LANGS
def test_first_cycle_and_refused_comparison_are_said(m):
    assert m("comparison.first") in comparison(m, None).to_plain()
    refused = comparison(m, {"refused": {"key": "verdict.why.no_previous_cycle"}}).to_plain()
    assert m("verdict.why.no_previous_cycle").rstrip(".。") in refused


@LANGS
def test_empty_sections_say_so(m):
    assert m("actions.none") in actions(m, []).to_plain()
    assert m("limits.none") in limits(m, []).to_plain()
    assert m("monitoring.none") in monitoring(m, {}).to_plain()
    assert m("section.appendix") in appendix(m, {}).to_plain()
    assert m("section.conditions") in conditions(m, {}).to_plain()


def test_actions_carry_owner_due_and_outcome():
    rows = [
        {
            "action": "warm the LB",
            "owner": "Sato",
            "due": "2026-06-01",
            "outcome": "worked",
            "evidence": "fig-a",
        }
    ]
    assert "warm the LB | Sato | 2026-06-01 | [WORKED] | – | [fig-a]" in actions(EN, rows).to_plain()


@LANGS
def test_what_shows_an_outcome_is_one_text_of_all_changes(m):
    change = {"key": "outcome.ceiling_gone", "values": {"before": number(520, "rps")}}
    values = {"cycle": "1", "changes": [change, {"key": "outcome.nothing_in_common", "values": {}}]}
    row = {"action": "x", "outcome": "worked", "text_key": "outcome.own_better", "values": values, "rows": [{}]}
    plain = actions(m, [row]).to_plain()
    said = [m.format(change), m("outcome.nothing_in_common")]
    assert m("actions.separator").join(said) in plain
    assert m("actions.read") in plain
    assert m("actions.read") not in actions(m, [{**row, "rows": []}]).to_plain()


def test_appendix_names_every_run_and_the_plan_hash():
    plain = appendix(EN, records("en")["appendix"]).to_plain()
    assert "verify-01 | Tools | 2026-05-09 07:35:25 UTC | 2026-05-09 07:41:00 UTC | finished" in plain
    assert "9f2c1a7b44de" in plain
