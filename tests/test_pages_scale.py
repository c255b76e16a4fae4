"""Notebook 40: table, figures and facts of the recorded scenario say what its tables say."""

import dataclasses
import json
from pathlib import Path

import pytest

from genkai.analyse.limit import stated
from genkai.analyse.scalability import fit_scalability
from genkai.pages import report
from genkai.pages import scale as page
from genkai.pages.scale import Scale
from genkai.report import sections
from genkai.report.messages import Messages
from genkai.study import Study, StudyError, read_study
from genkai.workspace import Cycle
from sample_cycles import SAMPLE, checksums, copy_sample, naive_level, plain, table_rows

LANGUAGES = ("en", "ja")


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(Cycle(SAMPLE))


@pytest.fixture(scope="module")
def shown(study: Study) -> Scale:
    return Scale(study)


def test_it_speaks_of_the_run_that_shows_the_limit(study: Study, shown: Scale) -> None:
    assert shown.run is study.main("scenario")
    assert shown.target_p95_s == study.plan.targets.p95_ms / 1000
    assert Scale(study, "verify").run.step == "verify"
    with pytest.raises(StudyError, match="expected a run of step endurance, got none"):
        Scale(study, "endurance")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_table_holds_the_measured_levels(shown: Scale, lang: str) -> None:
    m, table = Messages(lang), shown.table(lang)
    rows = [dict(zip(table.columns, r, strict=True)) for r in
            table_rows(plain(table), " | ".join(table.columns.values()))]  # fmt: skip
    for row, level in zip(rows, shown.levels.to_dict("records"), strict=True):
        naive = naive_level(shown.run, level)
        assert row["intended"] == m.format({"value": level["intended"], "unit": "users"})
        assert row["throughput"] == m.format({"value": level["throughput_rps"], "unit": "rps"})
        assert level["throughput_rps"] == pytest.approx(naive["completed_rps"], rel=0.02)
        assert row["error_ratio"] == m.format({"value": naive["error_ratio"], "unit": "ratio"})


@pytest.mark.parametrize(("lang", "words"), [("en", "has no upper end"), ("ja", "上端は定まらず")])
def test_the_alt_text_says_where_the_limits_interval_is_open(study: Study, lang: str, words: str) -> None:
    open_end = Scale(study)
    assert words not in open_end.figure(lang).alt
    open_end.fit = open_end.fit | {"ceiling_rps": {**open_end.fit["ceiling_rps"], "high": None},
                                   "peak_throughput_rps": None}  # fmt: skip
    assert words in open_end.figure(lang, "fig-open").alt


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_facts_are_those_of_the_fit(shown: Scale, lang: str) -> None:
    m, told = Messages(lang), plain(shown.facts(lang))
    quantities = {**shown.fit["parameters"], **stated(shown.fit)}
    known = {k: v for k, v in quantities.items() if v}
    assert "ceiling_rps" in known
    for value in known.values():
        assert m.format(value, "measured") in told
    rows = table_rows(told, f"{m('column.quantity')} | ")
    assert len(rows) == len(known) + 1 + bool(shown.fit.get("runner_up"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_limit_is_stated_where_none_was_seen(study: Study, lang: str) -> None:
    m, shown = Messages(lang), Scale(study)
    shown.fit = fit_scalability((100, 250, 400, 500, 750, 1000), (98, 246, 391, 490, 734, 963), resamples=50)
    told = plain(shown.facts(lang))
    assert shown.fit["knee_load"]
    for key in ("knee_load", "ceiling_rps"):
        assert m(f"scale_row.{key}") not in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_costs_of_a_usl_are_said_in_words(study: Study, lang: str) -> None:
    loads = [100, 200, 300, 400, 500, 600, 800, 1000]
    throughput = [n / (1 + 0.001 * (n - 1) + 1e-6 * n * (n - 1)) for n in loads]
    m, shown = Messages(lang), Scale(study)
    shown.fit = fit_scalability(loads, throughput, model="usl", resamples=50)
    share = m.format(shown.fit["costs"]["contention"], "measured")
    assert share in plain(shown.facts(lang))
    record = report.scale_record(shown)
    assert share in plain(sections.scale(m, record))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_too_few_levels_are_said(study: Study, lang: str) -> None:
    few = Scale(study, "verify")
    assert few.fit["model"] is None
    told = plain(few.facts(lang))
    assert " | " not in told
    assert "3" in told or "4" in told


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_figure_is_drawn(study: Study, shown: Scale, lang: str) -> None:
    apis = page.apis(study, lang)
    assert "search" in apis.to_plain()
    for figure, label in ((shown.figure(lang), "fig-scale"), (shown.hockey_stick(lang), "fig-hockey-stick"),
                          (shown.windows(lang), "fig-windows"), (apis, "fig-apis")):  # fmt: skip
        assert plain(figure).startswith(f"[{label}]")
        assert figure.resources()[f"{label}.svg"].lstrip().startswith("<?xml")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_without_api_runs_it_says_so(study: Study, lang: str) -> None:
    m, alone = Messages(lang), dataclasses.replace(study, runs=tuple(study.of("scenario")))
    assert plain(page.apis(alone, lang)) == str(m.text("page.nothing_ran", step=m("step.api")))


def test_the_artifact_holds_every_run_but_the_probe_and_the_sample_is_not_written_to(
    tmp_path: Path, shown: Scale
) -> None:
    cycle = copy_sample(tmp_path)
    before, study = checksums(cycle.path), read_study(cycle)
    path = page.write(study)
    assert path == tmp_path / "data/cycles/.recorded/sample/scale.json"
    assert checksums(cycle.path) == before
    record = json.loads(path.read_text())
    assert list(record) == [r.run.name for r in study.runs if r.step != "verify"]
    assert record["3-scenario-shopping"] == json.loads(json.dumps(shown.fit)), "the same numbers again"
