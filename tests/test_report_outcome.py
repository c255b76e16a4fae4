"""verdict.json, verdict.xml and the index: what a pipeline and a reader of one page get, from plain records."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from genkai.analyse.scalability import fit_scalability
from genkai.planfile import read_plan
from genkai.report.index import PAGES, index_html, read_verdicts
from genkai.report.junit import verdict_xml
from genkai.report.messages import LANGUAGES, Messages
from genkai.report.outcome import SCHEMA, Files, exit_code, main_run, results_files, verdict_json, verdict_record
from genkai.report.sections.decision import decision
from genkai.workspace import write_text
from report_records import FINDINGS, VERDICTS, number

ROOT = Path(__file__).parent.parent
MANIFEST = {"number": 3, "plan": "demo", "created": "2026-05-09T07:35:25+00:00"}
FILES = Files("data/cycles/demo/03", ["report-en.pdf", "report-ja.pdf"], ["plan-en.pdf"], ["60_report-en.ipynb"])
RUNS = [
    {"run_id": "2-api-items", "step": "api", "start": "2026-05-09T07:36:00+00:00", "end": "2026-05-09T07:36:30+00:00"},
    {"run_id": "3-scenario-mix", "step": "scenario", "start": "2026-05-09T07:37:00+00:00",
     "end": "2026-05-09T07:38:00+00:00", "stop_reason": "error ratio"},
]  # fmt: skip


def verdicts(**overall: object) -> dict:
    """The cycle of report_records, with the reasons that the analysis gives each target."""
    found = copy.deepcopy(VERDICTS)
    for row in found["targets"]:
        key = {"pass": "targets_met", "fail": "throughput_missed"}.get(row["status"], "not_decided")
        row |= {"why_key": f"verdict.why.{key}", "values": {k: row[k] for k in ("api", "measured", "target")}}
    found["overall"] |= overall
    return found


def record(found: dict | None = None, findings: dict | None = None, **manifest: object) -> dict:
    findings = (
        {"2-api-items": {**FINDINGS, "findings": []}, "3-scenario-mix": FINDINGS} if findings is None else findings
    )
    plan = read_plan(ROOT / "data/plans/demo.yaml")
    return verdict_record(plan, {**MANIFEST, **manifest}, found or verdicts(), findings, RUNS, FILES)


def test_the_record_says_all_that_page_1_says() -> None:
    found = json.loads(verdict_json(record()))
    assert (found["schema"], found["status"], found["exit_code"]) == (SCHEMA, "fail", 1)
    assert "misses the target" in found["sentence"]["en"]
    assert "達しない" in found["sentence"]["ja"]
    assert found["cause"]["cause"] == FINDINGS["findings"][0]["cause"]
    assert found["cause"]["remedy"]["en"].startswith(found["cause"]["next"]["en"].rstrip("."))
    assert found["limit"]["ceiling"] == FINDINGS["values"]["ceiling"]
    assert found["window"] == {"start": RUNS[0]["start"], "end": RUNS[1]["end"]}
    assert [r["stop_reason"] for s in found["steps"] for r in s["runs"]] == [None, "error ratio"]
    assert found["plan"]["digest"] == read_plan(ROOT / "data/plans/demo.yaml").digest()


def test_every_target_keeps_its_numbers() -> None:
    found = record()["targets"]
    for row, given in zip(found, VERDICTS["targets"], strict=True):
        assert {k: row[k] for k in given} == given


def test_the_documented_fields_are_the_fields() -> None:
    table = (ROOT / "docs/verdict.md").read_text()
    assert re.findall(r"^\| `(\w+)(?:\[\])?` \|", table, re.M) == list(record())


@pytest.mark.parametrize(("status", "code"), [("pass", 0), ("fail", 1), ("cannot_tell", 2), ("not_run", 2)])
def test_exit_codes(status: str, code: int) -> None:
    assert exit_code(status) == code


def test_nothing_found_and_nothing_measured_are_null() -> None:
    found = record(findings={})
    assert (found["limit"], found["cause"]) == (None, None)
    assert main_run({}) is None
    quiet = {**FINDINGS, "answer_key": "answer.no_limit", "findings": []}
    with_target = {**quiet, "values": {**quiet["values"], "highest_load": number(9, "users"),
                                       "highest": number(9, "rps"), "target": number(5, "rps")}}  # fmt: skip
    found = record(findings={"3-scenario-mix": with_target})
    assert (found["limit"]["found"], found["limit"]["ceiling"], found["cause"]) == (False, None, None)


def test_a_broken_response_time_target_is_a_limit_but_no_ceiling() -> None:
    slow = {**FINDINGS, "answer_key": "answer.response_time_limit_found"}
    slow["values"] = {**slow["values"], "reached": number(9, "rps")}
    found = record(findings={"3-scenario-mix": slow})["limit"]
    assert (found["found"], found["ceiling"]) == (True, None)


def test_the_limit_is_that_of_page_1() -> None:
    fit = fit_scalability((10, 20, 30, 40, 50, 100), (100, 200, 300, 400, 350, 250))
    at = {"load": number(50, "users"), "reached": number(350, "rps"), "ceiling": number(350, "rps")}
    unclear = {"answer_key": "answer.cannot_tell", "kind": "throughput", "values": at, "findings": []}
    given = {"2-api-items": FINDINGS, "3-scenario-mix": unclear}
    plan = read_plan(ROOT / "data/plans/demo.yaml")
    found = verdict_record(plan, MANIFEST, verdicts(), given, RUNS, FILES,
                           fits={"3-scenario-mix": fit}, shown="3-scenario-mix")  # fmt: skip
    for lang in LANGUAGES:
        m = Messages(lang)
        page = decision(m, verdicts(), unclear, None, fit).to_plain()
        assert found["limit"]["sentence"][lang] in page
    assert (found["limit"]["found"], found["limit"]["ceiling"]["value"]) == (True, 400)


def test_not_a_number_is_refused() -> None:
    broken = verdicts()
    broken["targets"][0]["measured"] = number(float("nan"), "rps")
    with pytest.raises(ValueError, match="JSON compliant"):
        verdict_json(record(broken))


def test_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("report-ja.pdf", "plan-en.pdf", "10_plan-en.ipynb", "verdict.json", "report-en.part"):
        (tmp_path / name).write_text("x")
    found = results_files(tmp_path, Path("data/cycles/demo/01"))
    assert (found.reports, found.plans, found.notebooks) == (["report-ja.pdf"], ["plan-en.pdf"], ["10_plan-en.ipynb"])


def suites(text: str) -> dict[str, ElementTree.Element]:
    return {s.get("name"): s for s in ElementTree.fromstring(text.encode()).iter("testsuite")}


def test_junit_has_a_suite_a_step_and_a_case_a_target() -> None:
    text = verdict_xml(record())
    found = suites(text)
    assert list(found) == ["verify", "api", "scenario", "endurance"]
    for step, suite in found.items():
        asked = [t for t in VERDICTS["targets"] if t["step"] == step]
        assert len(suite.findall("testcase")) == int(suite.get("tests")) == len(asked)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(kind)) == len(suite.findall(f"testcase/{tag}"))
    root = ElementTree.fromstring(text.encode())
    assert int(root.get("failures")) == sum(t["status"] == "fail" for t in VERDICTS["targets"])
    assert (found["scenario"].get("time"), found["scenario"].get("timestamp")) == ("60", "2026-05-09T07:37:00")


def test_junit_has_only_what_the_schema_of_jenkins_has() -> None:
    allowed = {
        "testsuites": {"name", "time", "tests", "failures", "errors", "disabled"},
        "testsuite": {"name", "time", "tests", "failures", "errors", "disabled", "skipped", "timestamp", "hostname",
                      "id", "package", "file", "log", "url"},
        "testcase": {"name", "time", "classname", "status", "assertions", "file", "line"},
        "failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"type", "message"},
        "system-out": set(),
    }  # fmt: skip
    given = verdicts()
    given["targets"][1]["status"] = "cannot_tell"
    for element in ElementTree.fromstring(verdict_xml(record(given)).encode()).iter():
        assert set(element.attrib) <= allowed[element.tag], element.tag


def test_a_missed_target_tells_what_was_measured_and_asked() -> None:
    case = suites(verdict_xml(record()))["api"].find("testcase/failure")
    assert case.text == "measured 498 rps (489–507), target ≥ 700 rps"
    assert case.get("message") == "items: 498 rps (489–507) instead of 700 rps."


def test_what_cannot_be_told_is_an_error_and_what_was_not_run_is_skipped() -> None:
    given = verdicts()
    given["targets"][1]["status"] = "cannot_tell"
    found = suites(verdict_xml(record(given)))
    assert len(found["api"].findall("testcase/error")) == 1
    assert len(found["endurance"].findall("testcase/skipped")) == 1


def test_a_step_that_no_target_speaks_for_has_a_case_of_its_own() -> None:
    given = verdicts()
    given["targets"] = [t for t in given["targets"] if t["step"] != "endurance"]
    given["steps"][2]["status"] = "cannot_tell"  # cut short; its targets say fail
    found = suites(verdict_xml(record(given)))
    assert [c.get("name") for c in found["endurance"].findall("testcase")] == ["Endurance"]
    assert [c.get("name") for c in found["scenario"].findall("testcase[error]")] == ["Scenario"]


def test_control_characters_do_not_break_the_xml() -> None:
    given = record()
    given["targets"][1]["why"]["en"] = "stopped \x1b[31m by <b> & \x00"
    message = suites(verdict_xml(given))["api"].find("testcase/failure").get("message")
    assert message == "stopped ?[31m by <b> & ?"


class Page(HTMLParser):
    """Links, texts and whatever would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [given["href"]] if tag == "a" else []
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") or "src" in given else []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("lang", PAGES)
def test_the_index_lists_verdict_limit_cause_and_links(tmp_path: Path, lang: str) -> None:
    for number_ in (9, 10):
        folder = tmp_path / "demo" / f"{number_:02d}"
        write_text(folder / "verdict.json", verdict_json(record(number=number_)))
    text = index_html(read_verdicts(tmp_path), lang)
    page, given = Page(text), record()
    told = " ".join(page.texts)
    for part in (given["sentence"], given["limit"]["sentence"], given["cause"]["claim"], given["cause"]["next"]):
        assert part[lang] in told
    assert {f"demo/10/{name}" for name in ("report-ja.pdf", "plan-en.pdf", "60_report-en.ipynb", "verdict.xml")} <= set(
        page.links
    )
    assert text.index("demo/10/") < text.index("demo/09/")
    assert page.loads == []
    assert text == index_html(read_verdicts(tmp_path), lang)


def test_the_index_survives_what_is_not_a_verdict(tmp_path: Path) -> None:
    write_text(tmp_path / "demo/01/verdict.json", verdict_json(record())[:100])
    write_text(tmp_path / "demo/02/verdict.json", json.dumps({"schema": "genkai.verdict/9"}))
    write_text(tmp_path / "demo/03/verdict.json", json.dumps({"schema": SCHEMA}))
    write_text(tmp_path / "sample/verdict.json", verdict_json(record(recorded=True)))
    assert [folder for folder, _ in read_verdicts(tmp_path)] == ["sample"]
    assert "recorded sample" in index_html(read_verdicts(tmp_path))
    assert "genkai cycle PLAN" in index_html([])


def test_a_story_of_four_cycles_has_bars_where_limits_were_found() -> None:
    for limit, bars in ((number(500, "rps"), 1), (None, 0)):
        given = record()
        rows = [{"number": n, "status": "fail", "limit": limit} for n in range(1, 5)]
        given["history"] = {"cycles": rows, "change_points": []}
        text = index_html([("demo/04", given)])
        assert text.count('class="bars"') == bars
        assert text.count('<i style="height:100%') == 4 * bars
        assert "No change point among 4 cycles" in text


def test_a_cycle_without_a_limit_does_not_look_like_one_with_a_low_limit() -> None:
    limits = [520.0, 5.0, None, None]
    rows = [{"number": n, "status": "pass", "limit": None if v is None else number(v, unit="rps")}
            for n, v in enumerate(limits, 1)]  # fmt: skip
    given = record()
    given["history"] = {"cycles": rows, "change_points": []}
    for lang, told in (("en", "no limit found"), ("ja", "限界は見つからず")):
        bars = re.findall(
            r'<i style="height:(\d+%);background:([^"]*)" title="([^"]*)"', index_html([("x", given)], lang)
        )
        assert [height for height, *_ in bars] == ["100%", "3%", "100%", "100%"]
        assert ["gradient" in look for _, look, _ in bars] == [False, False, True, True]
        assert [told in title for *_, title in bars] == [False, False, True, True]


def test_what_became_of_actions_is_in_the_record() -> None:
    row = {"action": "warmed", "cause": "load_balancer_capacity", "owner": "me", "due": "", "done": True}
    told = {"outcome": "cannot_tell", "text_key": "outcome.no_earlier", "values": {}, "rows": [], "evidence": None}
    plan = read_plan(ROOT / "data/plans/demo.yaml")
    given = [{**row, **told}, {**row, "done": False, "outcome": "open", "rows": [], "evidence": None}]
    found = verdict_record(plan, MANIFEST, verdicts(), {}, RUNS, FILES, None, given)["actions"]
    assert found[0] == {**row, "outcome": "cannot_tell", "why": {
        "en": "There is no earlier cycle to compare with.", "ja": "比較する以前のサイクルがない。"}}  # fmt: skip
    assert found[1]["why"] is None


def test_words_of_a_plan_are_not_markup() -> None:
    given = record()
    given["plan"]["title"] = "<script>alert(1)</script>"
    assert "<script>" not in index_html([("demo/01", given)])
