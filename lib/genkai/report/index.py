"""reports/index.html: plans, cycles, verdicts, limit, cause and links, on one static page that loads nothing."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from genkai.analyse.records import value_of
from genkai.report.displayed import COLOURS, status_colour
from genkai.report.messages import LANGUAGES, Messages
from genkai.report.outcome import SCHEMA

Record = Mapping[str, Any]
LEAST = 4  # cycles that make a history
PAGES = {"en": "index.html", "ja": "index-ja.html"}
NEEDED = frozenset(("status", "sentence", "plan", "cycle", "window", "limit", "cause", "targets", "paths"))
STYLE = """
:root{color-scheme:light dark;--ink:#1f2933;--muted:#57606a;--line:#d0d7de;--card:#fff;--page:#f5f7fa;--accent:#1f3a5f}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9da7b3;--line:#30363d;--card:#161b22;--page:#0d1117;
--accent:#8ab4e8}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,"Noto Sans CJK JP","Noto Sans JP",
"Hiragino Sans",sans-serif}
main,header,footer{max-width:1040px;margin:auto;padding:0 24px}
header{padding-top:36px;display:flex;justify-content:space-between;align-items:baseline;gap:16px}
h1{font-size:28px;margin:0;color:var(--accent)}
h2{font-size:19px;margin:34px 0 10px;display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
h2 small,.when,footer,.lead{color:var(--muted);font-weight:normal;font-size:13px}
a{color:var(--accent)}
article{background:var(--card);border:1px solid var(--line);border-left:6px solid var(--status);border-radius:8px;
padding:14px 18px;margin:0 0 12px}
.top{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
.badge{background:var(--status);color:#fff;font-weight:bold;font-size:12px;border-radius:4px;padding:2px 9px;
white-space:nowrap}
.number{font-weight:bold}
.when{margin-left:auto;font-variant-numeric:tabular-nums}
.sentence{font-size:16.5px;font-weight:600;margin:8px 0 6px}
.bar{position:relative;height:8px;border-radius:4px;background:var(--line);margin:8px 0 2px;overflow:hidden}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--status);border-radius:4px}
.scale{display:flex;justify-content:space-between;color:var(--muted);font-size:12.5px;font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;margin:10px 0}
dt{color:var(--muted)}dd{margin:0}
.links{display:flex;gap:8px 10px;flex-wrap:wrap;align-items:baseline;margin-top:10px;font-size:14px}
.links>a{border:1px solid var(--line);border-radius:6px;padding:3px 10px;text-decoration:none;white-space:nowrap}
.links>a.first{background:var(--accent);border-color:var(--accent);color:var(--card);font-weight:600}
details{color:var(--muted)}summary{cursor:pointer}details a{margin-right:12px;white-space:nowrap}
footer{padding-top:22px;padding-bottom:36px}
.story{display:flex;gap:18px;align-items:flex-end;margin:0 0 12px}
.bars{display:flex;gap:3px;align-items:flex-end;height:54px}.bars i{width:14px;border-radius:2px 2px 0 0}
.story ul{margin:0;padding-left:18px;color:var(--muted);font-size:14px}
@media print{body{background:#fff}article{break-inside:avoid}}
"""


def read_verdicts(root: Path) -> list[tuple[str, dict[str, Any]]]:
    """[(folder relative to root, record)] of every verdict.json below root that this version can read."""
    found = []
    for path in sorted([*root.glob("*/verdict.json"), *root.glob("*/*/verdict.json")]):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # cut short by a kill: the next report writes it again
        if isinstance(record, dict) and record.get("schema") == SCHEMA and record.keys() >= NEEDED:
            found.append((path.parent.relative_to(root).as_posix(), record))
    return found


def index_html(verdicts: Iterable[tuple[str, Record]], lang: str = "en") -> str:
    """The page for `read_verdicts`: a section a plan, a card a cycle, newest first."""
    m = Messages(lang)
    plans: dict[tuple[str, bool], list[tuple[str, Record]]] = {}
    for folder, record in verdicts:
        plans.setdefault((record["plan"]["name"], record["cycle"]["recorded"]), []).append((folder, record))
    count = sum(map(len, plans.values()))
    lead = m("index.lead", plans=len({name for name, _ in plans}), cycles=count) if plans else m("index.none")
    other = next(name for name in LANGUAGES if name != lang)
    newest = sorted(plans.items(), key=lambda item: max(_created(r) for _, r in item[1]), reverse=True)
    sections = "".join(_plan_html(m, found) for _, found in newest)
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{_e(m("index.title"))}</title>'
        f"<style>{STYLE}</style></head>\n<body><header><h1>{_e(m('index.title'))}</h1>"
        f'<a href="{PAGES[other]}" lang="{other}">{_e(m("index.other_language"))}</a></header>\n'
        f'<main><p class="lead">{_e(lead)}</p>\n{sections}</main>\n'
        f"<footer>{_e(m('index.foot'))}</footer></body></html>\n"
    )


def _created(record: Record) -> str:
    return str(record["cycle"].get("created") or "")


def _plan_html(m: Messages, found: Sequence[tuple[str, Record]]) -> str:
    ordered = sorted(found, key=lambda item: item[1]["cycle"]["number"], reverse=True)
    plan, recorded = ordered[0][1]["plan"], ordered[0][1]["cycle"]["recorded"]
    note = f" · {m('index.recorded')}" if recorded else ""
    story = _history_html(m, ordered[0][1])
    cards = "\n".join(_cycle_html(m, folder, record) for folder, record in ordered)
    return (
        f"<section><h2>{_e(plan['title'])} <small>{_e(plan['name'] + note)}</small></h2>\n{story}{cards}\n</section>\n"
    )


def _history_html(m: Messages, newest: Record) -> str:
    """The limits of all cycles as a small chart, and the change points, once there are enough cycles."""
    record = newest.get("history") or {}
    rows = record.get("cycles", [])
    if len(rows) < LEAST:
        return ""
    highest = max((value_of(row["limit"]) or 0.0 for row in rows), default=0.0)
    bars = "".join(_limit_bar(m, row, highest) for row in rows if highest)
    told = "".join(f"<li>{_e(sentence[m.lang])}</li>" for sentence in record.get("change_points", []))
    told = told or f"<li>{_e(m('history.none', n=len(rows)))}</li>"
    label = _e(m("alt.history", n=len(rows), found=len(record.get("change_points", []))))
    chart = f'<div class="bars" role="img" aria-label="{label}">{bars}</div>' if bars else ""
    return f'<div class="story">{chart}<ul>{told}</ul></div>\n'


def _limit_bar(m: Messages, row: Record, highest: float) -> str:
    """A cycle's limit as a bar; where none was found hatched and of full height, for a stump looks like a low limit."""
    limit, colour = value_of(row["limit"]), COLOURS[status_colour(row["status"] or "not_run")]
    told = m("index.no_limit") if limit is None else m.format(row["limit"], "measured")
    hatched = f"repeating-linear-gradient(135deg,{colour} 0 2px,transparent 2px 6px)"
    height, look = (1.0, hatched) if limit is None else (max(limit / highest, 0.03), colour)
    title = _e(f"{m('index.cycle', number=row['number'])}: {told}")
    return f'<i style="height:{height:.0%};background:{look}" title="{title}"></i>'


def _cycle_html(m: Messages, folder: str, record: Record) -> str:
    status, number = record["status"], record["cycle"]["number"]
    met = sum(t["status"] == "pass" for t in record["targets"])
    when = str(record["window"]["start"] or _created(record))[:16].replace("T", " ")
    top = (
        f'<span class="badge">{_e(m("status." + status))}</span>'
        f'<span class="number">{_e(m("index.cycle", number=number))}</span>'
        f"<span>{_e(m('index.targets', met=met, n=len(record['targets'])))}</span>"
        f'<span class="when">{_e(when)} UTC · {_e(m("index.digest", hash=record["plan"]["digest"]))}</span>'
    )
    return (
        f'<article style="--status:{COLOURS[status_colour(status)]}"><div class="top">{top}</div>'
        f'<p class="sentence">{_e(record["sentence"][m.lang])}</p>{_bar_html(m, record)}{_answers_html(m, record)}'
        f'<div class="links">{_links_html(m, folder, record)}</div></article>'
    )


def _bar_html(m: Messages, record: Record) -> str:
    """Throughput of the most telling step as a share of its target."""
    rows = [t for t in record["targets"] if t["what"] == "throughput" and t["step"] != "verify"]
    row = next((t for step in ("scenario", "endurance", "api") for t in rows if t["step"] == step), None)
    if row is None or row["measured"]["value"] is None or not row["target"]["value"]:
        return ""
    share = min(row["measured"]["value"] / row["target"]["value"], 1.0)
    told = m("index.carried", measured=m.format(row["measured"]), target=m.format(row["target"]))
    return (
        f'<div class="bar" role="img" aria-label="{_e(told)}"><i style="width:{share:.1%}"></i></div>'
        f'<div class="scale"><span>{_e(told)}</span><span>{share:.0%}</span></div>'
    )


def _answers_html(m: Messages, record: Record) -> str:
    rows = []
    if record["limit"]:
        rows.append(("limit", record["limit"]["sentence"][m.lang]))
    if record["cause"]:
        cause = record["cause"]
        rows += [("cause", cause["claim"][m.lang]), ("next", cause.get("next", cause["remedy"])[m.lang])]
    shown = "".join(f"<dt>{_e(m('index.' + name))}</dt><dd>{_e(text)}</dd>" for name, text in rows)
    return f"<dl>{shown}</dl>" if rows else ""


def _links_html(m: Messages, folder: str, record: Record) -> str:
    paths = record["paths"]
    links = [
        _link(folder, name, m(f"index.{kind}", lang=Path(name).stem.rpartition("-")[2]), kind == "report")
        for kind in ("report", "plan") for name in paths[f"{kind}s"]
    ]  # fmt: skip
    books = "".join(_link(folder, name, Path(name).stem) for name in paths["notebooks"])
    machine = "".join(_link(folder, name, name) for name in ("verdict.json", "verdict.xml"))
    shown = {"notebooks": books, "machine": machine}
    return "".join(links) + "".join(
        f"<details><summary>{_e(m(f'index.{key}'))}</summary>{text}</details>" for key, text in shown.items() if text
    )


def _link(folder: str, name: str, text: str, first: bool = False) -> str:
    mark = ' class="first"' if first else ""
    return f'<a{mark} href="{_e(quote(f"{folder}/{name}"))}">{_e(text)}</a>'


def _e(text: Any) -> str:
    return html.escape(str(text))
