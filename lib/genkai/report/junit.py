"""verdict.xml: the outcome in the JUnit form that CI servers show; one suite a step, one case a target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from genkai.report.messages import Messages
from genkai.report.sections.records import named, quantity, target_value

# A missed target fails; one that could not be judged is an error of the test, not of the service.
ELEMENTS = {"fail": "failure", "cannot_tell": "error", "not_run": "skipped"}
COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_UNPRINTABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2

Record = Mapping[str, Any]


def verdict_xml(record: Record) -> str:
    """The text of verdict.xml, in English, from the record of verdict.json."""
    m = Messages("en")
    root = ElementTree.Element("testsuites", name=_clean(f"{record['plan']['name']} cycle {record['cycle']['number']}"))
    suites = [_suite(root, m, record, step) for step in record["steps"]]
    for name in ("tests", "failures", "errors"):  # Jenkins' schema has no attribute for skipped ones here
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.0f}")
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, m: Messages, record: Record, step: Record) -> ElementTree.Element:
    name = step["step"]
    suite = ElementTree.SubElement(root, "testsuite", name=name, time=f"{seconds(step['runs']):.0f}")
    started = min((r["start"] for r in step["runs"] if r.get("start")), default=None)
    if started:
        suite.set("timestamp", started.removesuffix("+00:00"))
    group = _clean(f"{record['plan']['name']}.{name}")
    rows = [row for row in record["targets"] if row["step"] == name]
    cases = [_case(suite, group, _title(m, row), row, m.lang, _measured(m, row)) for row in rows]
    if step["status"] not in {row["status"] for row in rows}:  # it says something that no target says
        cases.append(_case(suite, group, named(m, "step", name), step, m.lang, ""))
    suite.set("tests", str(len(cases)))
    for tag, count in COUNTS.items():
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    return suite


def _case(
    suite: ElementTree.Element, group: str, title: str, row: Record, lang: str, measured: str
) -> ElementTree.Element:
    case = ElementTree.SubElement(suite, "testcase", classname=group, name=_clean(title), time="0")
    tag = ELEMENTS.get(row["status"])
    if tag:
        told = ElementTree.SubElement(case, tag, message=_clean(row["why"][lang]))
        if tag != "skipped":
            told.set("type", row["status"])
            told.text = _clean(measured or row["why"][lang])
    elif measured:
        ElementTree.SubElement(case, "system-out").text = _clean(measured)
    return case


def _title(m: Messages, row: Record) -> str:
    return f"{row['api']}: {quantity(m, row)}" if row.get("api") else quantity(m, row)


def _measured(m: Messages, row: Record) -> str:
    aim = target_value(m, row)
    return f"measured {m.format(row['measured'], 'measured')}, target {aim}"


def seconds(runs: Sequence[Record]) -> float:
    """How long some runs took together."""
    spans = [(r.get("start"), r.get("end")) for r in runs]
    return sum(
        (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
        for start, end in spans if start and end
    )  # fmt: skip


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
