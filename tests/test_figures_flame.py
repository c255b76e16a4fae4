"""The flame graph: readable in both languages, deep stacks and long names included."""

import pytest
from matplotlib.patches import Rectangle

from genkai import figures
from genkai.analyse.flame import flame_boxes
from legible import legibility_problems
from test_analyse_stacks import REQUESTS, STORY, row, table

LONG = ";".join(f"com.example.shop.order.AVeryLongClassNameForOrders$Inner{i}.handleTheRequest" for i in range(40))
CASES = {
    "story": STORY,
    "long": table(*(row("limit", "cpu", f"{LONG};leaf{i} (shop/deep.py)", n) for i, n in enumerate((900, 60, 25, 15)))),
    "dollars": table(row("limit", "lock", "Shop.lambda$main$0;Filter$Chain.doFilter", 5)),
}


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_readable(case: str, lang: str) -> None:
    boxes = {state: flame_boxes(CASES[case], state, REQUESTS) for state in ("cpu", "wait")}
    drawn = figures.flame(boxes, compared=True, note="reserve (shop.py) grows with the load (lock)", t=lang)
    assert legibility_problems(drawn) == []
    assert drawn.get_size_inches()[1] * 25.4 < 240, "it fits on a page"


def test_what_grows_has_another_colour_than_what_does_not() -> None:
    drawn = figures.flame({s: flame_boxes(STORY, s, REQUESTS) for s in ("cpu", "wait")}, compared=True)
    colours = [{p.get_facecolor() for p in axes.patches if isinstance(p, Rectangle)} for axes in drawn.axes]
    assert len(drawn.axes) == 2
    assert not colours[0] & colours[1]


def test_nothing_to_draw_is_said() -> None:
    drawn = figures.flame({"cpu": flame_boxes(STORY.iloc[:0], "cpu", REQUESTS)})
    assert [t.get_text() for t in drawn.texts] == ["No thread of the target did anything while it was profiled."]


def test_names_without_their_package() -> None:
    assert figures.short_name("main") == "main"
    assert figures.short_name("Runner.run (asyncio/runners.py)") == "Runner.run (runners.py)"
