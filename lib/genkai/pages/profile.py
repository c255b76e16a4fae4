"""Notebook 90: where the target's time goes, at a low load and at the limit, and what grows in between."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from genkai import figures
from genkai.analyse.flame import flame_boxes
from genkai.profiling import PROFILES, ProfileError, read_profile, run_profile
from genkai.report.display import Bullets, Contents, Displayed, Figure, Paragraph, Table
from genkai.report.inline import Text
from genkai.report.messages import Messages
from genkai.schema import read_table
from genkai.study.reading import SAMPLE
from genkai.workspace import project_root

HOTTEST = 5  # functions in the text of a terminal
MOST_LETTERS = 90  # of a command line
Record = dict[str, Any]


class Profile:
    """One profiling run, shown in several ways."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: Record = read_profile(folder)

    @cached_property
    def stacks(self) -> pd.DataFrame:
        """The stacks table."""
        return read_table(self.folder / "stacks.parquet", "stacks")

    @property
    def compared(self) -> bool:
        """There was a low load to compare with."""
        return "low" in self.record["phases"]

    def answer(self, lang: str = "en") -> Paragraph:
        """One sentence: what grows with the load, or where most of the time goes."""
        m = Messages(lang)
        return Paragraph(answer_text(m, self.record), m, lead=True)

    def about(self, lang: str = "en") -> Contents:
        """What was profiled, at which load, and what the profiler cost."""
        m, record = Messages(lang), self.record
        rows = [
            {"phase": m(f"profile.phase_{name}"), **_phase_row(m, phase)} for name, phase in record["phases"].items()
        ]
        table = Table(rows, caption=m("caption.profile_phases", subject=record["subject"]), label="tab-profile-phases",
                      columns={c: m(f"profile_column.{c}") for c in rows[0]}, messages=m)  # fmt: skip
        items = [
            m.text("profile.process", name=p["name"], command=_shortened(p["command"])) for p in record["processes"]
        ]
        runtimes = sorted({p["runtime"] for p in record["processes"]})
        items += [m.text(f"profile.method_{runtime}", seconds=record["seconds"]) for runtime in runtimes]
        items += [Text.plain(note) for note in record["notes"]]
        return Contents([Bullets(items, messages=m), table, Paragraph(m.text("profile.overhead"), m)], m)

    def flame(self, lang: str = "en") -> Figure:
        """The flame graph at the limit, coloured by what grows per request."""
        m, subject = Messages(lang), self.record["subject"]
        return Figure(flame_figure(self, lang), label="fig-flame", messages=m,
                      caption=m("caption.flame_compared" if self.compared else "caption.flame", subject=subject),
                      alt=m("alt.flame", subject=subject))  # fmt: skip

    def kinds(self, lang: str = "en") -> Displayed:
        """Thread time of one request by what the threads do."""
        m, rows = Messages(lang), []
        for record in self.record["kinds"]:
            rows.append({"kind": m(f"profile.kind_{record['kind']}"), **_costs(m, record)})
        if not rows:
            return Paragraph(m.text("profile.answer_nothing"), m)
        return Table(rows, caption=m("caption.profile_kinds"), label="tab-profile-kinds",
                     columns={c: m(f"profile_column.{c}") for c in rows[0]}, messages=m)  # fmt: skip

    def functions(self, state: str, lang: str = "en") -> Displayed:
        """The functions in which most time is spent computing ("cpu") or waiting ("wait")."""
        m = Messages(lang)
        found = [f for f in self.record["functions"] if f["state"] == state and f["self"]["value"]][:HOTTEST]
        if not found:
            return Paragraph(m.text(f"profile.none_{state}"), m)
        rows = []
        for each in found:
            row = {"function": _function(each)}
            if state == "wait":
                row["waits_for"] = m(f"profile.kind_{each['kind']}")
            row |= {"self": m.format(each["self"], "measured"), "total": m.format(each["total"], "measured")}
            rows.append({**row, **_costs(m, each)})
        return Table(rows, caption=m(f"caption.profile_{state}"), label=f"tab-profile-{state}",
                     columns={c: m(f"profile_column.{c}") for c in rows[0]}, messages=m)  # fmt: skip

    def write(self, lang: str = "en") -> Path:
        """flame-<lang>.png beside the profile, or in the git-ignored folder for the recorded sample."""
        folder = self.folder
        if SAMPLE.name in folder.parts:
            folder = project_root() / PROFILES / ".recorded"
            folder.mkdir(parents=True, exist_ok=True)
        picture = io.BytesIO()
        with figures.figure_style(lang):
            flame_figure(self, lang).savefig(picture, format="png")
        path = folder / f"flame-{lang}.png"
        path.write_bytes(picture.getvalue())
        return path


def flame_figure(profile: Profile, lang: str = "en") -> Any:
    """The flame graph of a profile, its answer above it."""
    requests = profile.record["requests"]
    boxes = {state: flame_boxes(profile.stacks, state, requests) for state in ("cpu", "wait")}
    note = headline_text(Messages(lang), profile.record)
    return figures.flame(boxes, compared=profile.compared, note=note, t=lang)


def find_profile(folder: str | Path = "") -> Profile:
    """The profile in that folder; "" is the newest one, or the recorded sample while there is none.

    Raises ProfileError, WorkspaceError.
    """
    if str(folder):
        return Profile(Path(folder))
    root = project_root()
    found = [path.parent for path in (root / PROFILES).glob("*/*/profile.json")]
    if found:
        return Profile(max(found, key=lambda path: (path / "profile.json").stat().st_mtime))
    sample = root / SAMPLE / "profile"
    if (sample / "profile.json").is_file():
        return Profile(sample)
    raise ProfileError(f"{PROFILES}: expected a profile, got none; make one with: genkai profile PLAN")


def take_profile(
    plan: str, profile: str = "", *, step: str = "scenario", level: str = "", against: str = "1",
    host: str = "", seconds: int = 60,
) -> Profile:  # fmt: skip
    """Profile the plan's target now where a plan is given, else read what was profiled (`find_profile`).

    level: "" stands for the last, against: "" for none.
    Raises what run_profile and find_profile raise.
    """
    if not plan:
        return find_profile(profile)
    record = run_profile(Path(plan), step=step, level=_number(level, None), against=_number(against, 0),
                         host=host or None, seconds=seconds)  # fmt: skip
    return Profile(Path(record["folder"]))


def _number(text: str, empty: int | None) -> int | None:
    if text and not text.isdigit():
        raise ProfileError(f"level, against: expected a number as in the table of levels, or nothing, got {text!r}")
    return int(text) if text else empty


def answer_text(m: Messages, record: Record) -> Text:
    """The answer as a sentence."""
    values = dict(record["values"])
    if values:
        values["kind"] = m(f"profile.does_{values['kind']}")
        values["function"] = figures.short_name(values["function"])
        values["caller"] = figures.short_name(values["caller"]) or "–"
    return m.text(record["answer_key"], **values)


def headline_text(m: Messages, record: Record) -> str:
    """The answer in a few words, for the figure."""
    values = record["values"]
    if not values:
        return ""
    name = figures.short_name(values["function"])
    key = record["answer_key"].replace("answer", "headline")
    return str(m.text(key, function=name, kind=m(f"profile.kind_{values['kind']}")))


def profile_text(profile: Profile, lang: str = "en") -> str:
    """What `genkai profile` prints: the answer, the hottest functions, what the profiler cost, where it lies."""
    m, record = Messages(lang), profile.record
    lines = [str(answer_text(m, record))]
    for state in ("cpu", "wait"):
        lines.append(m(f"caption.profile_{state}"))
        for each in [f for f in record["functions"] if f["state"] == state and f["self"]["value"]][:HOTTEST]:
            what = f" [{m('profile.kind_' + each['kind'])}]" if state == "wait" else ""
            lines.append(f"  {m.format(each['self'], 'measured'):24} {_function(each)}{what}")
    for name, phase in record["phases"].items():
        lines.append(
            str(m.text("profile.cost_line", phase=m(f"profile.phase_{name}"), ratio=phase["throughput_ratio"]))
        )
    return "\n".join([*lines, *record["notes"], record["folder"]])


def _phase_row(m: Messages, phase: Record) -> Record:
    unit = "users" if phase["workload"] == "closed" else "rps"
    return {
        "intended": m.format({"value": phase["intended"], "unit": unit}),
        "without_profiler": m.format(phase["without"]["throughput_rps"], "measured"),
        "with_profiler": m.format(phase["with"]["throughput_rps"], "measured"),
        "p95_without": m.format(phase["without"]["p95_s"]), "p95_with": m.format(phase["with"]["p95_s"]),
        "cores_counted": _cores(m, phase["cores_counted"]), "cores_sampled": _cores(m, phase["cores_sampled"]),
    }  # fmt: skip


def _cores(m: Messages, value: float | None) -> str:
    return m.format(value, "number")


def _costs(m: Messages, record: Record) -> Record:
    """Cells: cost of a request at each level, and what became of it."""
    cells = {f"cost_{phase}": m.format(record["cost"][phase]) for phase in ("low", "limit") if phase in record["cost"]}
    if record["trend"] is None:
        return cells
    if record["trend"] == "same":
        return {**cells, "change": m("profile.trend_same")}
    return {**cells, "change": m.format(record["change"], "measured")}


def _function(record: Record) -> str:
    return figures.short_name(record["function"])


def _shortened(command: str) -> str:
    return command if len(command) <= MOST_LETTERS else command[:MOST_LETTERS] + "…"
