"""The boxes of a flame graph: stacks merged from their outermost function on, as wide as their time.

Source: Gregg (2016), The Flame Graph, Communications of the ACM 59(6), and his differential flame graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from genkai.analyse.stacks import SEPARATOR, STATES, Sum, change, trend

KEPT_DEPTH = 6  # boxes above each other that are shown even where all stacks share them
COLUMNS = ("depth", "name", "kind", "start", "width", "seconds", "trend", "strength")


@dataclass
class _Node:
    name: str
    kind: str = ""
    sums: dict[str, Sum] = field(default_factory=dict)
    children: dict[str, _Node] = field(default_factory=dict)

    def add(self, row: Mapping[str, object]) -> None:
        """Add a row of the stacks table."""
        self.sums.setdefault(str(row["phase"]), Sum()).add(row)

    def seconds(self, phase: str) -> float:
        """Thread time in a phase."""
        return self.sums[phase].seconds if phase in self.sums else 0.0

    def height(self) -> int:
        """Boxes above this one, at most."""
        return 1 + max((child.height() for child in self.children.values()), default=-1)


def flame_boxes(
    stacks: pd.DataFrame, state: str, requests: Mapping[str, float], narrowest: float = 0.002
) -> pd.DataFrame:
    """One row a box: depth (0: outermost), name, kind (of a box that says what was waited for), start and width (shares
    of the state's time), seconds, trend (per request, against "low"; "" without it) and its strength (0–1).

    Outer functions that all stacks share are left out, and boxes narrower than `narrowest`.
    """
    rows = stacks[stacks["kind"].isin(STATES[state])]
    root = _tree(rows, state)
    whole = root.seconds("limit")
    if not whole:
        return pd.DataFrame(columns=list(COLUMNS))
    while len(root.children) == 1 and root.height() > KEPT_DEPTH:
        (root,) = root.children.values()
    found: list[dict[str, object]] = []
    compared = max(len(rows), 1) if "low" in requests else 0
    _place(root, 0, 0.0, (whole, narrowest), (requests, compared), found)
    return pd.DataFrame(found, columns=list(COLUMNS))


def _tree(rows: pd.DataFrame, state: str) -> _Node:
    root = _Node("")
    for row in rows.to_dict("records"):
        node, path = root, [(name, "") for name in row["stack"].split(SEPARATOR)]
        if state == "wait":
            path.append((row["kind"], row["kind"]))
        node.add(row)
        for name, kind in path:
            node = node.children.setdefault(f"{kind}{SEPARATOR}{name}", _Node(name, kind))
            node.add(row)
    return root


def _place(
    node: _Node, depth: int, start: float, scale: tuple[float, float],
    compare: tuple[Mapping[str, float], int], found: list[dict[str, object]],
) -> None:  # fmt: skip
    whole, narrowest = scale
    for child in sorted(node.children.values(), key=lambda c: (-c.seconds("limit"), c.name)):
        width = child.seconds("limit") / whole
        if width < narrowest:
            continue
        how, strength = _change(child, *compare)
        found.append({"depth": depth, "name": child.name, "kind": child.kind, "start": start, "width": width,
                      "seconds": child.seconds("limit"), "trend": how, "strength": strength})  # fmt: skip
        _place(child, depth + 1, start, scale, compare, found)
        start += width


def _change(node: _Node, requests: Mapping[str, float], compared: int) -> tuple[str, float]:
    if not compared:
        return "", 0.0
    low, limit = node.sums.get("low", Sum()), node.sums.get("limit", Sum())
    changed = change(low, limit, requests, compared)
    how = trend(changed)
    if how in (None, "same"):
        return how or "", 0.0
    larger = max(low.seconds / requests["low"], limit.seconds / requests["limit"])
    return how, min(abs(changed["value"]) / larger, 1.0)
