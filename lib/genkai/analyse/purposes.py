"""Was each purpose of the plan met? Responsiveness, improvement, scalability, scale characteristics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkai.analyse.judge import CANNOT_TELL, FAIL, NOT_RUN, PASS
from genkai.analyse.limit import departs, knee_of, limit_of
from genkai.analyse.records import margin_of, number
from genkai.analyse.scalability import LEAST
from genkai.plan import Plan

TELLING = ("scenario", "api", "endurance")
Row = dict[str, Any]


def purpose_verdicts(
    plan: Plan, targets: Sequence[Row], fits: Mapping[str, Mapping[str, Any]], comparison: Mapping[str, Any] | None,
    sizes: Mapping[str, Any] | None = None,
) -> list[Row]:  # fmt: skip
    """One {"purpose", "status", "why_key", "values"} for each purpose of the plan, in its order.

    sizes: scale_out's record where the step was run at several sizes of the target; it then decides scalability.
    """
    judged = {
        "responsiveness": lambda: _responsiveness(targets),
        "improvement": lambda: _improvement(comparison),
        "scalability": lambda: _scale_out(plan, sizes) if sizes else _scalability(targets, fits),
        "scale_characteristics": lambda: _scale_characteristics(fits),
    }
    return [{"purpose": purpose, **judged[purpose]()} for purpose in plan.purposes]


def _told(status: str, why: str, **values: Any) -> Row:
    return {"status": status, "why_key": f"verdict.why.{why}", "values": values}


def _responsiveness(targets: Sequence[Row]) -> Row:
    rows = [t for t in targets if t["step"] in TELLING and t["kind"] == "response_time"]
    for status in (FAIL, CANNOT_TELL):
        found = [t for t in rows if t["status"] == status]
        if found:
            worst = min(found, key=margin_of)
            return {"status": status, "why_key": worst["why_key"], "values": worst["values"]}
    return _told(PASS, "targets_met") if rows else _told(CANNOT_TELL, "not_decided")


def _improvement(comparison: Mapping[str, Any] | None) -> Row:
    if comparison is None:
        return _told(CANNOT_TELL, "no_previous_cycle")
    rows = [] if comparison.get("refused") else comparison.get("rows", [])
    verdicts, cycle = {r["verdict"] for r in rows}, str(comparison["before"])
    best = next((r for r in rows if r["verdict"] == "better" and r["what"] in ("throughput", "ceiling")), None)
    if "worse" in verdicts or verdicts == {"same"} or verdicts == {"same", "cannot_tell"}:
        return _told(FAIL, "no_improvement", cycle=cycle)
    if best:
        return _told(PASS, "improved", ratio=best["ratio"], cycle=cycle)
    return _told(PASS, "targets_met") if "better" in verdicts else _told(CANNOT_TELL, "no_improvement", cycle=cycle)


def telling_fit(fits: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The fit that describes the service best: of the scenario, else an API's; a fitted one before a refusal."""
    own = [fits[key] for step in TELLING for key in sorted(fits) if key.split("/")[0] == step]
    return next((f for f in own if f.get("model")), own[0] if own else None)


def _scalability(targets: Sequence[Row], fits: Mapping[str, Mapping[str, Any]]) -> Row:
    rows = [t for step in TELLING for t in targets if t["step"] == step and t["what"] == "throughput"]
    if not rows:
        return _told(NOT_RUN, "not_decided")
    deciding = next((t for s in (FAIL, CANNOT_TELL) for t in rows if t["status"] == s), rows[0])
    fit = telling_fit(fits) or {}
    knee, limit = knee_of(fit), limit_of(fit)
    if deciding["status"] == FAIL and knee and limit:
        return _told(FAIL, "stops_scaling", knee=knee, ceiling=limit)
    return {"status": deciding["status"], "why_key": deciding["why_key"], "values": deciding["values"]}


def _scale_out(plan: Plan, sizes: Mapping[str, Any]) -> Row:
    """Whether a larger target carries more, in proportion enough, and whether some size carries what is asked."""
    measured = [row for row in sizes["rows"] if row["efficiency"] is not None]
    if len(measured) < 2:
        return _told(CANNOT_TELL, "sizes_unknown", n=len(measured))
    efficiency, needed, unit = measured[-1]["efficiency"], sizes["needed"], sizes["unit"]
    least = number(plan.scaling.least_efficiency, unit="ratio")
    values = {"smallest": measured[0]["size"], "largest": measured[-1]["size"], "unit": unit,
              "efficiency": efficiency, "least": least}  # fmt: skip
    if efficiency["high"] is not None and efficiency["high"] < least["value"]:
        return _told(FAIL, "does_not_scale_out", **values)
    if efficiency["low"] is None or efficiency["low"] < least["value"]:
        return _told(CANNOT_TELL, "scales_out_unclear", **values)
    if needed and needed["status"] == "unreachable":
        return _told(FAIL, "no_size_carries", target=number(sizes["target_rps"], unit="rps"), **values)
    if needed and needed["size"]["value"]:
        return _told(PASS, "scales_out_to_target", needed=needed["size"],
                     target=number(sizes["target_rps"], unit="rps"), **values)  # fmt: skip
    return _told(PASS, "scales_out", **values)


def _scale_characteristics(fits: Mapping[str, Mapping[str, Any]]) -> Row:
    fit = telling_fit(fits)
    if fit is None:
        return _told(NOT_RUN, "not_decided")
    levels = len({p["load"] for p in fit["points"] if p["throughput_rps"]})
    if not fit.get("model"):
        return _told(CANNOT_TELL, "too_few_levels", n=levels, needed=LEAST)
    if knee := knee_of(fit):
        return _told(PASS, "scale_known", model=fit["model"], n=levels, knee=knee)
    if departs(fit):
        return _told(PASS, "scale_slows", model=fit["model"], n=levels)
    return _told(PASS, "no_limit_seen", highest=number(fit["highest_load"], unit=fit["load_unit"]))
