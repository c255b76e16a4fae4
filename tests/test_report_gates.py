"""Gates of the documents: notebooks 10 and 60 of the recorded cycle, their PDFs against the results, both languages."""

import ast
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from pypdf import PdfReader

from genkai.analyse.limit import limit_of
from genkai.pages.plan_document import PlanDocument
from genkai.report.exporter import compile_pdf, laid_out
from genkai.report.layout import compiler_of, floating_figures, laid
from genkai.report.messages import Messages
from genkai.report.outcome import Files, verdict_record
from genkai.report.sections.decision import cause_text
from genkai.report.sections.records import message, target_value
from genkai.report.typst_source import HIDDEN_TAGS, Source, notebook_source
from genkai.study import Study, facts
from genkai.workspace import Cycle
from golden_pages import EXAMPLE, GOLDEN, TOLERANCE, check_page, difference, pages_text
from sample_cycles import ROOT, own_cycle

NAMES = {"10_plan": "document", "60_report": "report"}
MANY = 3_000_000


def executed(name: str, cycle: Cycle, lang: str) -> tuple[Any, dict[str, Any]]:
    """(notebook with its outputs, its variables): the cells as a kernel runs them, without one."""
    given = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    space: dict[str, Any] = {}
    cells = []
    for cell in given["cells"]:
        if cell["cell_type"] != "code":
            cells.append(nbformat.from_dict(cell))
            continue
        outputs = []
        body = ast.parse("".join(cell["source"]))
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, name, "exec"), space)
        if "parameters" in cell["metadata"].get("tags", []):
            space.update(cycle=str(cycle.path), lang=lang)
        if last is not None:
            shown = eval(compile(ast.Expression(last.value), name, "eval"), space)
            if hasattr(shown, "_repr_mimebundle_"):
                outputs = [new_output("display_data", data=shown._repr_mimebundle_())]
        cells.append(new_code_cell(cell["source"], outputs=outputs, metadata=cell["metadata"]))
    return nbformat.from_dict(new_notebook(cells=cells)), space


class Rendered:
    """One document: its Typst source, its PDF, the PDF's text without white space, and what the notebook made."""

    def __init__(self, name: str, cycle: Cycle, lang: str) -> None:
        self.name, self.m = name, Messages(lang)
        self.notebook, space = executed(name, cycle, lang)
        self.made = space[NAMES[name]]
        self.source: Source = notebook_source(self.notebook, name=name)
        self.pdf = compile_pdf(self.source)
        self.reader = PdfReader(BytesIO(self.pdf))
        self.text = squeezed("".join(page.extract_text() for page in self.reader.pages))

    def says(self, text: str) -> bool:
        return squeezed(text) in self.text


def squeezed(text: str) -> str:
    """Lines break where they fit, so white space says nothing."""
    return re.sub(r"[\s\u200b]+", "", text)


@pytest.fixture(scope="module")
def cycle(tmp_path_factory: pytest.TempPathFactory) -> Cycle:
    return own_cycle(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module", params=["en", "ja"])
def report(request: pytest.FixtureRequest, cycle: Cycle) -> Rendered:
    return Rendered("60_report", cycle, request.param)


@pytest.fixture(scope="module", params=["en", "ja"])
def plan(request: pytest.FixtureRequest, cycle: Cycle) -> Rendered:
    return Rendered("10_plan", cycle, request.param)


MOST_WHITE = 0.35  # share of a page's height for text


def half_white(source: Source, floating: list[str] | None = None) -> list[int]:
    """Numbers of the pages, the last one apart, that are too white at their end."""
    with laid_out(source) as main:
        compiler = compiler_of(main)
        found = laid(compiler, floating_figures(compiler) if floating is None else floating)
    return [page for page, white in enumerate(found.white[:-1], 1) if white > MOST_WHITE]


def test_no_page_of_the_report_is_half_white(report: Rendered) -> None:
    assert half_white(report.source) == []


def test_no_page_of_the_plan_is_half_white(plan: Rendered) -> None:
    assert half_white(plan.source) == []


def without_intervals(values: dict[str, Any]) -> dict[str, Any]:
    return {k: {**v, "low": None, "high": None} if isinstance(v, dict) and "low" in v else v for k, v in values.items()}


def labels(source: Source) -> list[str]:
    return re.findall(r"<((?:fig|tab)-[\w.-]+)>", re.sub(r"ref\(<[^>]+>\)", "", source.main))


def references(source: Source) -> set[str]:
    return set(re.findall(r"ref\(<([^>]+)>\)", source.main))


def check_document(found: Rendered) -> None:
    assert references(found.source)
    assert references(found.source) <= set(labels(found.source))
    assert len(labels(found.source)) == len(set(labels(found.source)))
    assert len(found.pdf) < MANY
    assert found.reader.metadata.title == found.made.study.plan.title
    code = [c for c in found.notebook.cells if c.cell_type == "code"]
    assert [c.source for c in code if found.says(c.source)] == []
    hidden = [c for c in found.notebook.cells if c.cell_type == "markdown" and HIDDEN_TAGS & set(c.metadata.tags)]
    assert [c.source for c in hidden if found.says(c.source[:60])] == []


def test_every_reference_of_the_report_resolves(report: Rendered) -> None:
    check_document(report)


def test_each_claim_has_its_figure(report: Rendered) -> None:
    """Every verdict that was judged, and every finding, refers to a figure or table that is in the document."""
    defined = set(labels(report.source))
    judged = [t for t in report.made.verdicts["targets"] if t["status"] != "not_run"]
    assert judged
    assert {t["evidence"] for t in judged} <= defined
    for finding in report.made.findings["findings"]:
        shown = {item["figure"] for item in finding["evidence"] if item.get("figure")}
        assert shown
        assert shown <= defined


def test_the_report_says_what_the_results_say(report: Rendered, cycle: Cycle) -> None:
    m, verdicts = report.m, cycle.read_result("verdicts")
    assert verdicts == json.loads(json.dumps(report.made.verdicts)), "the PDF and the file are of one analysis"
    for row in verdicts["targets"]:
        assert report.says(target_value(m, row)), row
        assert report.says(m.format(row["measured"], "measured")), row
        assert report.says(m.format(row["margin_ratio"], "signed")), row
    wrong = {**verdicts["targets"][2]["measured"], "value": 123.4, "low": None, "high": None}
    assert not report.says(m.format(wrong, "measured")), "this check can fail"
    for row in verdicts["steps"]:
        assert report.says(str(message(m, row, "why_key"))), row
    for row in verdicts["purposes"]:  # page 1 leaves the intervals out
        plain = {**row, "values": without_intervals(row["values"])}
        assert report.says(str(message(m, plain, "why_key"))), row
    for run in cycle.runs():
        assert report.says(run.name)
    assert report.says(report.made.study.plan.digest())


def test_page_1_says_verdict_limit_cause_and_action(report: Rendered) -> None:
    m, first = report.m, squeezed(report.reader.pages[0].extract_text())
    overall, findings = report.made.verdicts["overall"], report.made.findings
    assert squeezed(m(f"status.{overall['status']}")) in first
    assert squeezed(str(message(m, overall, "sentence_key"))) in first
    limit = limit_of(report.made.scale.fit)
    assert squeezed(m("decision.limit_at", load=findings["values"]["load"], limit=limit)) in first
    cause = findings["findings"][0]
    assert squeezed(str(cause_text(m, cause, "claim"))) in first
    assert squeezed(str(cause_text(m, cause, "remedy").first_sentence())) in first


def test_the_levels_of_the_report_are_those_of_the_table(report: Rendered) -> None:
    study: Study = report.made.study
    for row in study.main("scenario").whole.to_dict("records"):
        assert report.says(report.m.format({"value": row["throughput_rps"], "unit": "rps"}))
        assert report.says(report.m.format({"value": row["p95_s"], "unit": "s"}))


def test_the_plan_is_complete_enough_to_approve(plan: Rendered) -> None:
    check_document(plan)
    m, study = plan.m, plan.made.study
    given = study.plan
    assert plan.says(m("cover.kind_plan"))
    for name in ("aims", "target", "environment", "load", "watch", "safety", "agreement"):
        assert plan.says(m(f"plan_doc.section.{name}"))
    for purpose in given.purposes:
        assert plan.says(m(f"plan_doc.purpose.{purpose}"))
    for number in range(1, 11):
        assert plan.says(f"M{number}{m(f'plan_doc.monitor.M{number}')}")
    for api in given.apis:
        assert plan.says(f"{api.method} {api.path}")
    words = [given.base_url, *given.scope.included, *given.scope.excluded, given.preconditions.data_volume,
             *(s.why for s in given.scenarios), *(s.what for s in given.schedule), *given.roles,
             *given.environment.differences, given.digest()]  # fmt: skip
    assert [word for word in words if not plan.says(word)] == []
    assert plan.says(m.format({"value": study.target_rps, "unit": "rps"}))
    assert plan.says(m.format(plan.made.load_s, "duration"))
    assert plan.says("≠") == bool(facts.differences(given))
    assert plan.says(m("plan_open.unwatched", items=f"M9 {m('plan_doc.monitor.M9')}"))
    steps = [step for step in ("verify", "api", "scenario", "endurance") if given.step_named(step)]
    assert {"fig-capacity", "fig-tornado", *(f"fig-load-{s}" for s in steps)} <= set(labels(plan.source))


def test_the_same_results_give_the_same_bytes(plan: Rendered, cycle: Cycle) -> None:
    again = Rendered("10_plan", cycle, plan.m.lang)
    assert again.pdf == plan.pdf


def test_the_same_report_gives_the_same_bytes(report: Rendered) -> None:
    assert compile_pdf(notebook_source(report.notebook, name=report.name)) == report.pdf
    redrawn = report.made.decision()
    assert redrawn.to_typst() == report.made.decision().to_typst()
    assert redrawn.resources() == report.made.decision().resources()


def numbers(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "value" in node and "low" in node:
            yield node
        for child in node.values():
            yield from numbers(child)
    elif isinstance(node, list):
        for child in node:
            yield from numbers(child)


def test_no_number_of_the_outcome_is_without_its_unit(report: Rendered, cycle: Cycle) -> None:
    study = report.made.study
    findings = {study.main("scenario").run.name: report.made.findings}
    record = verdict_record(study.plan, cycle.manifest(), report.made.verdicts, findings,
                            facts.run_rows(cycle.runs()), Files(str(cycle.path)))  # fmt: skip
    found = [n for n in numbers(record) if n["value"] is not None]
    assert len(found) > 20
    assert [n for n in found if not n["unit"]] == []


def test_a_plan_without_a_cycle_and_with_little_in_it(tmp_path: Path) -> None:
    from genkai.pages.plan_document import open_plan

    (tmp_path / "plan.yaml").write_text(
        "name: bare\npurposes: [responsiveness]\nbase_url: http://127.0.0.1:9\ntargets: {throughput_rps: 5}\n"
        "apis: [{name: a, path: /}]\nsteps:\n  verify: {levels: [{users: 1}]}\n"
    )
    for lang in ("en", "ja"):
        document, m = PlanDocument(open_plan(plan=str(tmp_path / "plan.yaml")), lang), Messages(lang)
        told = "\n".join(part().to_plain() for part in (document.cover, document.aims, document.target,
                         document.environment, document.load, document.watch, document.agreement))  # fmt: skip
        for key in ("no_actions", "no_scenario", "no_difference",
                    "step_left_out", "not_watched"):  # fmt: skip
            assert m(f"plan_doc.{key}") in told, key
        assert m("plan_doc.stated", target="5 rps") in told
        assert document.write() == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "plan.yaml"]


def test_every_figure_of_the_plan_has_words_for_those_who_cannot_see_it(plan: Rendered) -> None:
    told = re.findall(r'alt: "([^"]+)"', plan.source.main)
    assert len(told) == plan.source.main.count("report-figure(") >= 5
    assert len(set(told)) == len(told)


def check_example(found: Rendered, name: str) -> None:
    committed = PdfReader(EXAMPLE / f"{name}-{found.m.lang}.pdf")
    assert pages_text(found.reader) == pages_text(committed), "reports/example is stale: make example"


def test_the_example_report_is_not_stale(report: Rendered) -> None:
    check_example(report, "report")


def test_the_example_plan_is_not_stale(plan: Rendered) -> None:
    check_example(plan, "plan")


def test_the_examples_are_small() -> None:
    found = sorted(EXAMPLE.glob("*.pdf"))
    assert [p.name for p in found] == ["plan-en.pdf", "plan-ja.pdf", "report-en.pdf", "report-ja.pdf"]
    assert sum(p.stat().st_size for p in found) <= 1_000_000


def test_page_1_of_the_report_looks_as_it_did(report: Rendered) -> None:
    check_page(report.source, f"report-{report.m.lang}", 1)


def test_page_1_of_the_plan_looks_as_it_did(plan: Rendered) -> None:
    if plan.m.lang == "ja":  # the English one has the same layout
        check_page(plan.source, "plan-ja", 1)


def test_a_block_that_moved_is_seen() -> None:
    golden = Image.open(GOLDEN / "report-en-1.png")
    moved = Image.fromarray(np.roll(np.asarray(golden), 8, axis=0))
    assert difference(moved, golden).max() > TOLERANCE
