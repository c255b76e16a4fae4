"""Boxes of the flame graph: as wide as their time, in their callers' boxes, coloured by what grows."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genkai.analyse.flame import flame_boxes
from test_analyse_stacks import REQUESTS, STORY, row, table


def test_the_story_has_its_boxes() -> None:
    boxes = flame_boxes(STORY, "wait", REQUESTS).set_index("name")
    assert list(boxes.index) == ["main", "serve", "reserve", "lock"]
    assert list(boxes["width"]) == [1.0] * 4
    assert set(boxes["trend"]) == {"grows"}
    assert boxes.loc["lock", "kind"] == "lock"
    assert boxes.loc["lock", "strength"] == pytest.approx(0.95)
    assert set(flame_boxes(STORY, "cpu", REQUESTS)["trend"]) == {"same"}
    assert set(flame_boxes(STORY, "cpu", {"limit": 1000.0})["trend"]) == {""}


def test_outer_functions_that_all_share_and_slivers_are_left_out() -> None:
    deep = ";".join(f"f{i}" for i in range(20))
    boxes = flame_boxes(
        table(row("limit", "cpu", deep, 999), row("limit", "cpu", deep + ";x", 1)), "cpu", {"limit": 1.0}
    )
    assert "f0" not in set(boxes["name"])
    assert "f19" in set(boxes["name"])
    assert "x" not in set(boxes["name"])
    assert boxes["depth"].min() == 0


def test_nothing_seen_is_an_empty_table() -> None:
    assert flame_boxes(STORY[STORY["kind"] == "idle"], "wait", REQUESTS).empty


STACK = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(";".join)


@settings(max_examples=50, deadline=None)
@given(rows=st.dictionaries(STACK, st.integers(1, 500), min_size=1, max_size=12))
def test_boxes_of_one_depth_do_not_overlap_and_lie_in_their_callers(rows: dict[str, int]) -> None:
    boxes = flame_boxes(
        table(*(row("limit", "cpu", s, n) for s, n in rows.items())), "cpu", {"limit": 1.0}, narrowest=0
    )
    for depth, level in boxes.groupby("depth"):
        level = level.sort_values("start")
        ends = level["start"] + level["width"]
        assert (level["start"].to_numpy()[1:] >= ends.to_numpy()[:-1] - 1e-9).all()
        assert ends.max() <= 1 + 1e-9
        if depth:
            assert all(_within(b, boxes[boxes["depth"] == depth - 1]) for b in level.to_dict("records"))


def _within(box: dict, below: pd.DataFrame) -> bool:
    ends = below["start"] + below["width"]
    return bool(((below["start"] <= box["start"] + 1e-9) & (ends >= box["start"] + box["width"] - 1e-9)).any())
