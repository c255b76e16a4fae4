"""Where does the time go, and what grows? Stacks at a low load against stacks at the limit.

A sampling profiler counts: the time of a function has the standard error of its samples, √Σw² seconds for samples that
stand for w seconds each (Poisson; for timed waits, compound Poisson). Per request, since more load alone is no news.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from scipy.stats import norm

from genkai.analyse.records import Record, number

SEPARATOR = ";"
STATES = {"cpu": ("cpu",), "wait": ("io", "lock", "gil", "sleep")}  # idle: a thread without work delays nobody
STATE_OF = {kind: state for state, kinds in STATES.items() for kind in kinds}
CONFIDENCE = 0.95
ALWAYS = 0.97  # of the time: profilers start and end a little late


@dataclass
class Sum:
    """Thread time of something: seconds, their squares summed, and how many samples they are."""

    seconds: float = 0.0
    squares: float = 0.0
    samples: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of the stacks table."""
        self.seconds += row["seconds"]
        self.squares += row["squares"]
        self.samples += int(row["samples"])

    def variance(self) -> float:
        """Of the seconds; one observation more than was seen, so that nothing seen is not certainty."""
        return self.squares + (self.squares / self.samples if self.samples else 0.0)


@dataclass
class Function:
    """A function in one state: its own time and the time below it, in each phase; what it waited for."""

    name: str
    state: str
    own: dict[str, Sum] = field(default_factory=dict)
    total: dict[str, Sum] = field(default_factory=dict)
    kinds: dict[str, float] = field(default_factory=dict)
    callers: dict[str, float] = field(default_factory=dict)


def share(part: Sum, whole: Sum) -> Record:
    """Part ÷ whole with the interval of its sampling error (Wilson 1927, on the effective number of samples)."""
    if whole.seconds <= 0:
        return number(None, n=0, unit="ratio")
    p, n = part.seconds / whole.seconds, whole.seconds**2 / whole.squares
    z = norm.ppf((1 + CONFIDENCE) / 2)
    centre, slack = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - slack) / (1 + z * z / n), (centre + slack) / (1 + z * z / n)
    return number(p, min(max(low, 0.0), p), max(min(high, 1.0), p), n=part.samples, unit="ratio")


def per_request(part: Sum, requests: float) -> Record:
    """Seconds of thread time that one request costs, with the interval of the sampling error."""
    if requests <= 0:
        return number(None, n=part.samples, unit="s")
    z = norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt(part.variance())
    value = part.seconds / requests
    return number(value, max(value - z / requests, 0.0), value + z / requests, n=part.samples, unit="s")


def change(low: Sum, limit: Sum, requests: Mapping[str, float], compared: int = 1) -> Record:
    """Seconds that one request costs more at the limit; the interval allows for `compared` comparisons (Bonferroni).

    An entry that was not seen at one level has that level's variance of the other's typical observation.
    """
    if min(requests.get("low", 0), requests.get("limit", 0)) <= 0:
        return number(None, unit="s")
    seen = max(low.squares / low.samples if low.samples else 0.0, limit.squares / limit.samples if limit.samples else 0)
    spread = math.sqrt(
        (low.variance() or seen) / requests["low"] ** 2 + (limit.variance() or seen) / requests["limit"] ** 2
    )
    z = norm.ppf(1 - (1 - CONFIDENCE) / 2 / max(compared, 1))
    value = limit.seconds / requests["limit"] - low.seconds / requests["low"]
    return number(value, value - z * spread, value + z * spread, n=low.samples + limit.samples, unit="s")


def trend(changed: Record) -> str | None:
    """grows, shrinks, or same (within the sampling error); None without a comparison."""
    if changed["low"] is None:
        return None
    return "grows" if changed["low"] > 0 else "shrinks" if changed["high"] < 0 else "same"


def mark_background(stacks: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """The table with background threads idle: those that wait in one place all the time, at low load as at the limit.

    A thread that serves requests has less to wait for at low load. Without a low level nothing is marked.
    """
    table, keys = stacks.copy(), ["process", "stack"]
    waits = table["kind"].isin(STATES["wait"])
    spent = table[waits | (table["kind"] == "idle")].pivot_table(
        index=keys, columns="phase", values="seconds", aggfunc="sum", fill_value=0.0
    )
    if not {"low", "limit"} <= set(spent.columns):
        return table
    steady = spent[
        (spent["low"] >= ALWAYS * seconds) & (spent["limit"] - spent["low"]).abs().le((1 - ALWAYS) * seconds)
    ]
    found = pd.MultiIndex.from_frame(table[keys]).isin(steady.index)
    table.loc[found & waits, "kind"] = "idle"
    return table


def functions(stacks: pd.DataFrame) -> list[Function]:
    """Own and total time of every function in every state."""
    found: dict[tuple[str, str], Function] = {}
    for row in stacks.to_dict("records"):
        state = STATE_OF.get(row["kind"])
        if state is None:
            continue
        frames = row["stack"].split(SEPARATOR)
        for name in set(frames):
            each = found.setdefault((name, state), Function(name, state))
            each.total.setdefault(row["phase"], Sum()).add(row)
        own = found[frames[-1], state]
        own.own.setdefault(row["phase"], Sum()).add(row)
        own.kinds[row["kind"]] = own.kinds.get(row["kind"], 0.0) + row["seconds"]
        caller = frames[-2] if len(frames) > 1 else ""
        own.callers[caller] = own.callers.get(caller, 0.0) + row["seconds"]
    return list(found.values())


def whole_of(stacks: pd.DataFrame, phase: str, kinds: Iterable[str]) -> Sum:
    """Thread time of some kinds in a phase."""
    rows = stacks[(stacks["phase"] == phase) & stacks["kind"].isin(list(kinds))]
    return Sum(float(rows["seconds"].sum()), float(rows["squares"].sum()), int(rows["samples"].sum()))


def function_records(stacks: pd.DataFrame, requests: Mapping[str, float]) -> list[dict[str, Any]]:
    """A record for each function that has time of its own, the hottest of each state first.

    {function, state, kind, caller, self, total (shares of the state's time), cost: {phase: s/request}, change, trend};
    requests: completed in each phase while it was profiled. Without a phase "low" there is no change.
    """
    wholes = {state: whole_of(stacks, "limit", kinds) for state, kinds in STATES.items()}
    own = [f for f in functions(stacks) if f.own]
    found = []
    for each in own:
        here, before = each.own.get("limit", Sum()), each.own.get("low", Sum())
        changed = change(before, here, requests, len(own)) if "low" in requests else number(None, unit="s")
        found.append({
            "function": each.name, "state": each.state, "kind": max(each.kinds, key=each.kinds.__getitem__),
            "caller": max(each.callers, key=each.callers.__getitem__),
            "self": share(here, wholes[each.state]), "total": share(each.total.get("limit", Sum()), wholes[each.state]),
            "cost": {p: per_request(each.own.get(p, Sum()), n) for p, n in requests.items()},
            "change": changed, "trend": trend(changed),
        })  # fmt: skip
    return sorted(found, key=lambda r: (r["state"], -(r["self"]["value"] or 0.0), r["function"]))


def kind_records(stacks: pd.DataFrame, requests: Mapping[str, float]) -> list[dict[str, Any]]:
    """{kind, cost: {phase: s/request}, change, trend} of computing and of each kind of waiting that was seen."""
    kinds = [k for kinds in STATES.values() for k in kinds if (stacks["kind"] == k).any()]
    found = []
    for kind in kinds:
        sums = {p: whole_of(stacks, p, [kind]) for p in requests}
        changed = change(sums["low"], sums["limit"], requests, len(kinds)) if "low" in sums else number(None, unit="s")
        cost = {p: per_request(sums[p], n) for p, n in requests.items()}
        found.append({"kind": kind, "cost": cost, "change": changed, "trend": trend(changed)})
    return found


def answer(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """{"answer_key", "values"}: what grows most per request, else that nothing does, else where most time goes."""
    seen = [r for r in records if r["self"]["value"]]
    if not seen:
        return {"answer_key": "profile.answer_nothing", "values": {}}
    compared = [r for r in seen if r["trend"] is not None]
    growing = [r for r in compared if r["trend"] == "grows"]
    top = max(growing or seen, key=lambda r: (r["change"] if growing else r["cost"]["limit"])["value"] or 0.0)
    values = {"function": top["function"], "kind": top["kind"], "caller": top["caller"], "share": top["self"],
              "low": top["cost"].get("low"), "limit": top["cost"]["limit"], "change": top["change"]}  # fmt: skip
    key = "grows" if growing else "same" if compared else "hottest"
    return {"answer_key": f"profile.answer_{key}", "values": values}
