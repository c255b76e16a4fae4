"""`genkai diagnose` on recorded runs: texts in both languages, the exit codes, lines that fit the terminal."""

import json
from functools import cache
from unicodedata import east_asian_width

import pytest

from command import genkai
from genkai.pages.findings import exit_code, find_run, findings_record, findings_text
from genkai.report.errors import ReportError
from genkai.study import StudyError
from genkai.workspace import WorkspaceError
from sample_cycles import SAMPLE

record_of = cache(findings_record)  # each is a few seconds of resampling
PARTS = {"cause", "name", "strength", "contributes", "claim", "evidence", "remedy", "risk", "verify"}


@pytest.mark.parametrize(("lang", "word"), [("en", "load balancer"), ("ja", "ロードバランサ")])
def test_the_record_reads_without_a_catalogue(lang: str, word: str) -> None:
    record = record_of(SAMPLE, "", lang)
    first = record["findings"][0]
    assert set(first) == PARTS
    assert (first["cause"], first["strength"]) == ("load_balancer_capacity", "strong")
    assert word in first["claim"]
    assert all(part and "{" not in part and "`" not in part for part in (*first["evidence"], first["remedy"]))
    assert {"resource", "used", "saturated", "errors", "verdict", "why", "group"} == set(record["ruled_out"][0])
    assert all(row["what"] and row["how"] for row in record["not_measured"])
    json.dumps(record, allow_nan=False)


def test_a_run_and_its_cycle_say_the_same(tmp_path) -> None:
    assert findings_record(SAMPLE / "runs/3-scenario-shopping") == record_of(SAMPLE, "", "en")
    assert record_of(SAMPLE, "verify") == findings_record(SAMPLE / "runs/1-verify-health")


def test_exit_codes() -> None:
    assert exit_code(record_of(SAMPLE, "", "en")) == 1
    assert exit_code(record_of(SAMPLE, "verify")) == 0
    found = {
        key: exit_code({"answer_key": f"answer.{key}"})
        for key in ("drift", "errors_limit_found", "cannot_tell", "nothing_measured", "generator")
    }
    assert found == {"drift": 1, "errors_limit_found": 1, "cannot_tell": 2, "nothing_measured": 2, "generator": 2}


def test_the_command_tells_and_ends_with_the_code() -> None:
    told = genkai("diagnose", str(SAMPLE))
    assert told.returncode == 1, told.stderr
    assert "load balancer is the limit" in " ".join(told.stdout.split())
    assert "\x1b" not in told.stdout, "no colours into a file"


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [60, 100])
def test_lines_fit_and_nothing_is_cut(lang: str, width: int) -> None:
    record = record_of(SAMPLE, "", lang)
    text = findings_text(record, lang, width)
    wide = [sum(1 + (east_asian_width(c) in "WF") for c in line) for line in text.splitlines()]
    assert max(wide) <= width
    assert "…" not in text
    squeezed = "".join(text.split())
    for part in (record["answer"], *(f[p] for f in record["findings"] for p in ("remedy", "risk", "verify"))):
        assert "".join(part.split()) in squeezed or part == record["findings"][0]["claim"]


@pytest.mark.parametrize(("lang", "word"), [("en", "kept up"), ("ja", "余裕があった")])
def test_the_second_sentence_says_whether_the_generator_kept_up(lang: str, word: str) -> None:
    record = record_of(SAMPLE, "", lang)
    assert word in record["generator"]
    assert "".join(record["generator"].split()) in "".join(findings_text(record, lang).split())


def test_what_only_contributes_has_no_rank() -> None:
    record = record_of(SAMPLE, "", "en")
    also = {**record["findings"][0], "contributes": True, "claim": "Also seen."}
    lines = findings_text({**record, "findings": [record["findings"][0], also]}).splitlines()
    assert any(line.startswith("+ ") and "Also seen." in line for line in lines)
    assert not any(line.startswith("2 ") for line in lines)


def test_colours_when_asked() -> None:
    assert "\x1b[" in findings_text(record_of(SAMPLE, "", "en"), colour=True)


def test_what_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(WorkspaceError, match="expected the folder of a cycle"):
        find_run(tmp_path)
    with pytest.raises(StudyError, match="expected one of the cycle's measured runs"):
        find_run(SAMPLE / "runs/9-scenario-none")
    with pytest.raises(StudyError, match="expected a run of step endurance"):
        find_run(SAMPLE, "endurance")
    with pytest.raises(ReportError, match="one of en, ja"):
        findings_record(SAMPLE, lang="fr")
