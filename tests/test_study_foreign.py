"""Results of JMeter and Locust as a cycle: known samples come back exactly, and what reads cycles reads them."""

import csv
import gzip
import io
import random
import re
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pandas as pd
import pytest

from command import genkai
from genkai import histogram
from genkai.analyse.verdict import cycle_verdicts
from genkai.figures import PALETTE
from genkai.pages.monitor import timeline
from genkai.pages.scale import Scale
from genkai.pages.whatif import whatif_of, whatif_text
from genkai.report.messages import Messages
from genkai.report.sections import conditions, limits
from genkai.study import locust_history, read_study
from genkai.study.facts import limit_rows, setup_record
from genkai.study.foreign import NO_PLATEAU, ImportedError, api_names, import_results, plateaus
from genkai.study.jmeter import SERVICE_ONLY, SHIFT_JIS, read_jtl
from genkai.study.jmeter_xml import CUT_SHORT
from genkai.study.locust_history import NEEDED, read_history
from genkai.study.results import findings_of, fit_run
from genkai.study.series import fit_record
from genkai.workspace import open_cycle

START = 1_700_000_000
USERS, HOLD_S = (2, 4, 8, 16, 32), 12
COLUMNS = ["timeStamp", "elapsed", "label", "responseCode", "responseMessage", "threadName", "success",
           "failureMessage", "bytes", "allThreads"]  # fmt: skip


def rate_of(users: int) -> int:
    """A ceiling of 60 requests/s."""
    return min(5 * users, 60)


def samples() -> list[dict]:
    """Every second as many samples as the ceiling lets through, 1 in 20 of "search page" fails."""
    rows = []
    for index, users in enumerate(USERS):
        for second in range(HOLD_S):
            for k in range(rate_of(users)):
                failed = k % 20 == 19
                rows.append({
                    "timeStamp": 1000 * (START + index * HOLD_S + second) + k, "elapsed": 10 * (index + 1),
                    "label": "search page" if k % 2 else "home", "responseCode": "503" if failed else "200",
                    "responseMessage": 'Service, "Unavailable"' if failed else "OK", "threadName": f"g 1-{k % users}",
                    "success": "false" if failed else "true", "failureMessage": "", "bytes": 100, "allThreads": users,
                })  # fmt: skip
    return rows


def jtl(path: Path, rows: list[dict], columns=COLUMNS, delimiter=",", quoting=csv.QUOTE_MINIMAL) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=delimiter, quoting=quoting, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return path


def shuffled() -> list[str]:
    return random.Random(1).sample(COLUMNS, len(COLUMNS))


@pytest.mark.parametrize(
    "layout",
    [{}, {"columns": shuffled(), "delimiter": "\t"}, {"delimiter": ";", "quoting": csv.QUOTE_ALL}],
)
def test_a_jtl_file_comes_back_exactly(tmp_path, layout):
    cycle = import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples(), **layout)], tmp_path / "out")
    study = read_study(open_cycle(cycle.path))
    run = study.main()
    assert run.requests["sent"].sum() == len(samples())
    assert (
        run.requests["failed"].sum() == run.failures["count"].sum() == sum(r["success"] == "false" for r in samples())
    )
    assert set(run.failures["kind"]) == {"http_5xx"}
    assert run.failures["message"].unique().tolist() == ['Service, "Unavailable"']
    assert [m["intended"] for m in run.marks] == list(USERS)
    assert set(run.requests["api"]) == {"home", "search-page"}
    assert histogram.merge(run.requests["hist"]).total_count == len(samples())
    whole = run.whole
    assert whole["p95_s"].tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05], rel=0.01)
    good = [sum(k % 20 != 19 for k in range(rate_of(u))) for u in USERS]
    assert whole["throughput_rps"].tolist() == pytest.approx(good, rel=0.02)
    fit = fit_run(study, run)
    assert fit["ceiling_rps"]["value"] == pytest.approx(57, rel=0.05)
    assert not any(c["alarm"] for c in fit["checks"])
    assert run.record["imported"]["renamed"] == {"search page": "search-page"}


def xml(path: Path, rows: list[dict], end="</testResults>\n") -> Path:
    """The same samples as JMeter writes them in XML, each with a redirect's part in it, the first in a transaction."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testResults version="1.2">']
    for number, row in enumerate(rows):
        told = {"ts": row["timeStamp"], "t": row["elapsed"], "lb": row["label"], "rc": row["responseCode"],
                "rm": row["responseMessage"], "s": row["success"], "by": row["bytes"], "tn": row["threadName"],
                "na": row["allThreads"]}  # fmt: skip
        text = " ".join(f"{key}={quoteattr(str(value))}" for key, value in told.items())
        part = text.replace(f"lb={quoteattr(row['label'])}", 'lb="part"')
        failure = f"<failure>{'true' if row['success'] == 'false' else 'false'}</failure>"
        inner = f"<assertionResult><name>a</name>{failure}<failureMessage>no item</failureMessage></assertionResult>"
        line = f"<httpSample {text}><httpSample {part}/>{inner}<responseData>&lt;html&gt;</responseData></httpSample>"
        parent = (
            't="1" ts="1" s="true" lb="whole" rc="200" rm="Number of samples in transaction : 1, number of failing"'
        )
        lines.append(line if number else f"<sample {parent}>{line}</sample>")
    path.write_text("\n".join(lines) + "\n" + end)
    return path


@pytest.mark.parametrize("end", ["</testResults>\n", '<httpSample ts="17000', ""])
def test_xml_is_read_as_csv_is_also_when_it_was_cut_short(tmp_path, end):
    of_csv = read_jtl(jtl(tmp_path / "a.jtl", samples()))
    of_xml = read_jtl(xml(tmp_path / "a.xml", samples(), end))
    pd.testing.assert_frame_equal(of_xml.requests, of_csv.requests)
    pd.testing.assert_series_equal(of_xml.users, of_csv.users)
    assert of_xml.failures["count"].sum() == of_csv.failures["count"].sum()
    assert of_xml.failures["message"].unique().tolist() == ["no item"]
    assert (CUT_SHORT in of_xml.notes) == (end != "</testResults>\n")


def test_levels_csv_is_what_fit_reads(tmp_path):
    import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/levels.csv")
    assert table["users"].tolist() == list(USERS)
    assert table["mean_s"].tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])
    record = fit_record(tmp_path / "out/levels.csv", "users", "throughput_rps")
    assert record["ceiling_rps"]["value"] == pytest.approx(57, rel=0.03)


def test_transactions_are_left_out_threads_are_counted_and_dates_are_read(tmp_path):
    rows = samples()
    for row in rows:
        moment = pd.Timestamp(row["timeStamp"], unit="ms")
        row["timeStamp"] = moment.strftime("%Y/%m/%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
    parent = {**rows[0], "label": "whole", "responseMessage": "Number of samples in transaction : 2, number of failing"}
    columns = [c for c in COLUMNS if c != "allThreads"]
    found = read_jtl(jtl(tmp_path / "a.jtl", [*rows, parent], columns))
    assert "whole" not in set(found.requests["api"])
    assert int(found.requests["time"].min().timestamp()) == START
    assert found.users.loc[START + 5] == 2
    assert any(note.startswith("1 transaction samples left out") for note in found.notes)
    assert any("No column allThreads" in note for note in found.notes)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("Non HTTP response code: java.net.SocketTimeoutException", "Read timed out", "timeout"),
        ("Non HTTP response code: org.apache.http.conn.HttpHostConnectException", "Connection refused", "refused"),
        ("Non HTTP response code: java.net.SocketException", "Connection reset", "reset"),
        ("404", "Not Found", "http_4xx"),
        ("200", "OK", "check"),
        ("", "something", "other"),
    ],
)
def test_failures_get_our_kinds(tmp_path, code, message, kind):
    rows = [{**samples()[0], "responseCode": code, "responseMessage": message, "success": "false"}]
    assert read_jtl(jtl(tmp_path / "a.jtl", rows)).failures["kind"].tolist() == [kind]


def history(path: Path, full: bool = True) -> Path:
    """What locust writes: running totals each second, with percentiles that never come down again."""
    names = ["home", "search"] if full else []
    lines = ["Timestamp,User Count,Type,Name,Requests/s,95%,Total Request Count,Total Failure Count,"
             "Total Average Response Time"]  # fmt: skip
    count = failed = time_ms = 0
    for index, users in enumerate(USERS):
        for second in range(HOLD_S):
            count, failed = count + rate_of(users), failed + (rate_of(users) // 10)
            time_ms += rate_of(users) * 10 * (index + 1)
            stamp = START + index * HOLD_S + second
            for name in [*names, "Aggregated"]:
                part = 1 if name == "Aggregated" else 2
                kind = "" if part == 1 else "GET"
                lines.append(f"{stamp},{users},{kind},{name},1,9999,{count // part},{failed // part},{time_ms / count}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("full", [True, False])
def test_locusts_running_totals_become_levels(tmp_path, full):
    into = tmp_path / "out"
    found = genkai("import", "locust", str(history(tmp_path / "x_stats_history.csv", full)), "--into", str(into))
    assert found.returncode == 0, found.stderr
    assert "Percentiles are not taken over" in found.stdout
    table = pd.read_csv(into / "levels.csv")
    assert table["users"].tolist() == list(USERS)
    good = [rate_of(u) - rate_of(u) // 10 for u in USERS]
    assert table["throughput_rps"].tolist() == pytest.approx(good, rel=0.02)
    assert table["mean_s"].tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05], rel=0.02)
    whole = read_study(open_cycle(into)).main().whole
    assert whole["throughput_rps"].tolist() == pytest.approx(good, rel=0.02)
    assert whole["p95_s"].isna().all(), "cumulative percentiles are no level's"


def test_totals_that_were_reset_and_seconds_without_a_line(tmp_path):
    rows = [(0, 10), (1, 20), (4, 50), (5, 7), (6, 14)]
    text = "Timestamp,User Count,Type,Name,Total Request Count,Total Failure Count,Total Average Response Time\n"
    text += "".join(f"{START + s},3,,Aggregated,{n},0,20\n" for s, n in rows)
    (tmp_path / "h.csv").write_text(text)
    found = read_history(tmp_path / "h.csv")
    assert found.requests["sent"].tolist() == [10, 10, 10, 10, 10, 7, 7]
    assert found.time_s.sum() == pytest.approx(64 * 0.02)


def test_plateaus_leave_ramps_out():
    users = [1, 2, 3, 4] + [5] * 10 + [6, 7, 8, 9] + [10] * 12 + [4, 2]
    marks = plateaus(pd.Series(users, index=range(START, START + len(users))))
    assert [(m["intended"], m["start"] - START, m["hold_start"] - START, m["end"] - START) for m in marks] == [
        (5, 0, 4, 14), (10, 14, 18, 30)]  # fmt: skip
    assert plateaus(pd.Series(range(1, 30), index=range(START, START + 29))) == []


def test_names_that_a_plan_may_hold():
    found = api_names(["GET /a", "GET  /a", "検索", "ok", "_x"])
    assert len(set(found.values())) == len(found)
    assert found["ok"] == "ok"
    assert all(name[0].isalnum() for name in found.values())


def test_a_last_line_that_a_kill_cut_off_is_left_out(tmp_path):
    whole = jtl(tmp_path / "whole.jtl", samples()[:40])
    (tmp_path / "cut.jtl").write_text(whole.read_text().rpartition(",100,")[0])
    cut = read_jtl(tmp_path / "cut.jtl")
    assert int(cut.requests["sent"].sum()) == 39
    assert CUT_SHORT in cut.notes
    lines = [f"{START + i},4,Aggregated,{10 * (i + 1)},0,20,9" for i in range(8)]
    (tmp_path / "h.csv").write_text("\n".join([",".join(NEEDED) + ",size", *lines, f"{START + 8},4,Aggregated,9"]))
    history = read_history(tmp_path / "h.csv")
    assert int(history.requests["sent"].sum()) == 80
    assert locust_history.CUT_SHORT in history.notes
    (tmp_path / "w.csv").write_text("\n".join([",".join(NEEDED) + ",size", *lines]))
    assert locust_history.CUT_SHORT not in read_history(tmp_path / "w.csv").notes


@pytest.mark.parametrize("value", ["NaN", "", "inf", "soon"])
def test_a_line_of_locust_without_its_number_is_told(tmp_path, value):
    lines = [f"{START + i},4,Aggregated,{value if i == 3 else 10 * (i + 1)},0,20" for i in range(8)]
    (tmp_path / "h.csv").write_text("\n".join([",".join(NEEDED), *lines]))
    with pytest.raises(ImportedError, match=rf"h\.csv:5: column Total Request Count: expected a number, got '{value}'"):
        read_history(tmp_path / "h.csv")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_a_jtl_is_read_in_what_its_machine_writes(tmp_path, encoding, packed):
    text = jtl(tmp_path / "whole.jtl", samples()[:40]).read_text().replace("home", "注文一覧")
    content = text.encode(encoding)
    path = tmp_path / "results.csv.gz"
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_jtl(path)
    assert "注文一覧" in set(found.requests["api"])
    assert int(found.requests["sent"].sum()) == 40
    assert (SHIFT_JIS in found.notes) == (encoding == "cp932")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp932"])
def test_a_jtl_cut_within_a_letter_keeps_its_whole_lines(tmp_path, encoding):
    text = jtl(tmp_path / "whole.jtl", samples()[:40]).read_text().replace("home", "注文一覧")
    whole = text[: text.rindex("覧")]
    (tmp_path / "cut.jtl").write_bytes((whole + "覧").encode(encoding)[:-1])
    found = read_jtl(tmp_path / "cut.jtl")
    assert int(found.requests["sent"].sum()) == whole.count("\n") - 1
    assert CUT_SHORT in found.notes
    assert (SHIFT_JIS in found.notes) == (encoding == "cp932")
    assert "注文一覧" in set(found.requests["api"])


def test_a_packed_jtl_as_xml_is_read_and_one_cut_short_is_told(tmp_path):
    xml = '<testResults>\n<httpSample ts="1700000000000" t="5" lb="a" na="1" s="true" rc="200"/></testResults>'
    (tmp_path / "a.jtl").write_bytes(gzip.compress(xml.encode()))
    assert int(read_jtl(tmp_path / "a.jtl").requests["sent"].sum()) == 1
    (tmp_path / "cut.gz").write_bytes(gzip.compress(jtl(tmp_path / "b.jtl", samples()).read_bytes())[:-400])
    with pytest.raises(ImportedError, match=r"cut\.gz: expected a whole gzip file, got .*; unpack what is there"):
        read_jtl(tmp_path / "cut.gz")
    (tmp_path / "odd.jtl").write_bytes(b"timeStamp,elapsed,label\n1,2,\x81\x20\n")
    with pytest.raises(ImportedError, match="neither that nor UTF-16 or Shift_JIS; convert it: iconv"):
        read_jtl(tmp_path / "odd.jtl")


@pytest.mark.parametrize(
    ("tool", "text", "told"),
    [
        ("jmeter", '<?xml version="1.0"?>\n<testResults/>', "expected elements httpSample or sample"),
        (
            "jmeter",
            '<testResults>\n<httpSample ts="1700" lb="a"/></testResults>',
            "expected attributes ts, t, lb of samples, missing t; save them",
        ),
        (
            "jmeter",
            '<testResults>\n<sample ts="1" t="x" lb="a"/></testResults>',
            "sample 1: column elapsed: expected a",
        ),
        ("jmeter", '<testResults>\n<httpSample ts="1" t="1" lb="a&b"/></testResults>', "bad:2: expected JTL as XML"),
        ("jmeter", "1700,10,home\n", "expected columns timeStamp, elapsed, label in line 1, missing"),
        ("jmeter", "timeStamp,elapsed,label,allThreads\n", "expected samples below the header"),
        (
            "jmeter",
            "timeStamp,elapsed,label,allThreads\n1,fast,a,1\n",
            ":2: column elapsed: expected a number, got 'fast'",
        ),
        ("jmeter", "timeStamp,elapsed,label\n1700,1,a\n", "expected a column allThreads or threadName"),
        (
            "jmeter",
            '<?xml version="1.0" encoding="Shift_JIS"?>\n<testResults/>',
            "expected JTL as XML in UTF-8, got multi-byte encodings are not supported; convert it",
        ),
        ("locust", ",".join(NEEDED) + "\n", "expected a line for each second below the header, got none"),
        ("locust", "Type,Name\nGET,a\n", "pass the file that ends in _stats_history.csv"),
        ("locust", "", "got an empty file"),
        ("jmeter", "", "expected results of jmeter, got an empty file"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, tool, text, told):
    (tmp_path / "bad").write_text(text)
    with pytest.raises(ImportedError) as found:
        import_results(tool, {"jmeter": read_jtl, "locust": read_history}[tool], [tmp_path / "bad"], tmp_path / "out")
    assert told in str(found.value)
    assert str(tmp_path / "bad") in str(found.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "keep").write_text("mine")
    with pytest.raises(ImportedError, match="expected a folder that is empty"):
        import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path)


def verdicts_of(into: Path) -> dict:
    study = read_study(open_cycle(into))
    return cycle_verdicts(study.plan, study.split, study.runs)


def test_without_a_target_of_ones_own_nothing_is_passed(tmp_path):
    import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "out")
    found = verdicts_of(tmp_path / "out")
    assert found["overall"]["status"] == "cannot_tell"
    assert found["overall"]["sentence_key"] == "verdict.overall.no_target"
    assert [(r["target"]["value"], r["margin_ratio"]["value"]) for r in found["targets"]] == [(None, None)]
    plan = tmp_path / "out/plan.yaml"
    text = plan.read_text()
    plan.write_text(re.sub(r"throughput_rps: .*", "throughput_rps: 20\\n  error_ratio: 0.5", text))
    assert verdicts_of(tmp_path / "out")["overall"]["sentence_key"] == "verdict.overall.reached"
    plan.write_text(re.sub(r"throughput_rps: .*", "throughput_rps: 20000", text))
    assert verdicts_of(tmp_path / "out")["overall"]["status"] != "pass"


def test_a_load_that_is_nowhere_held_is_told(tmp_path):
    held = [s for s in samples() if s["timeStamp"] < (START + 3) * 1000]
    short = import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", held)], tmp_path / "short")
    assert NO_PLATEAU in short.run("scenario", "imported").record()["imported"]["notes"]
    whole = import_results("jmeter", read_jtl, [jtl(tmp_path / "b.jtl", samples())], tmp_path / "whole")
    assert NO_PLATEAU not in whole.run("scenario", "imported").record()["imported"]["notes"]
    for lang in ("en", "ja"):
        m = Messages(lang)
        for cycle, is_held in ((short, False), (whole, True)):
            study = read_study(cycle)
            assert (m("conditions.levels_imported") in conditions(m, setup_record(study)).to_plain()) == is_held
            told = limits(m, limit_rows(study)).to_plain()
            assert (m("limits.no_plateau") in told) != is_held
            assert m("limits.import_note", note=SERVICE_ONLY) in told


def test_results_stay_in_the_imports_own_folder(tmp_path):
    cycle = import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "out")
    assert cycle.write_result("scale", {}) == tmp_path / "out/results/scale.json"


def test_the_report_says_who_measured_and_from_when(tmp_path):
    cycle = import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "out")
    setup = setup_record(read_study(cycle))
    for lang, said, unsaid in (
        ("en", "imported", "intended send of each"),
        ("ja", "取り込んだ", "送信予定時刻から測り"),
    ):
        text = conditions(Messages(lang), setup).to_plain()
        assert said in text
        assert unsaid not in text


@pytest.mark.parametrize("stated", [False, True])
def test_a_target_that_nobody_stated_is_in_no_figure_and_no_answer(tmp_path, stated):
    import_results("jmeter", read_jtl, [jtl(tmp_path / "a.jtl", samples())], tmp_path / "out")
    plan = tmp_path / "out/plan.yaml"
    if stated:
        plan.write_text(re.sub(r"throughput_rps: .*", "throughput_rps: 33", plan.read_text()))
    study = read_study(open_cycle(tmp_path / "out"))
    shown = Scale(study)
    for made in (shown.figure(), shown.hockey_stick(), timeline(study)):
        assert (PALETTE["target"].lower() in made.svg.lower()) == stated
    record = whatif_of(study, study.main())
    assert record["target_rps"] == (33 if stated else None)
    assert ("No target was stated" in whatif_text(record)) == (not stated)
    assert (findings_of(study, study.main())["values"]["target"]["value"] is not None) == stated
