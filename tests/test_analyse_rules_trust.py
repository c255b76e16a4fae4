"""Whether the load generator kept up: said with its figures, denied where it did not, never guessed."""

import math

import pytest

from diagnosis_tables import HEALTHY, STALL, World, placeholders, texts
from genkai.analyse.diagnose import Facts


def said(world: World, facts: Facts | None = None, **fields) -> tuple[str, dict]:
    record = world.diagnosis(facts or Facts(), **fields)["generator"]
    return record["text_key"], {name: number["value"] for name, number in record["values"].items()}


@pytest.mark.parametrize("levels", [STALL, HEALTHY])
def test_a_generator_with_room_is_vouched_for_with_its_figures(levels: list) -> None:
    key, values = said(World(levels).processes([0.1, 0.3, 0.4], lag=[0.001, 0.002, 0.003]))
    assert key == "trust.kept_up"
    assert values == pytest.approx({"load": 1000, "used": 0.4, "lag": 0.003})


def test_a_marked_level_vouches_for_nothing() -> None:
    levels = [*STALL, (2000, 505, 1.9, 0.0)]
    key, values = said(World(levels, limited=[3]).processes([0.1, 0.3, 0.4, 0.6], lag=[0.001, 0.002, 0.003, 0.2]))
    assert (key, values["load"]) == ("trust.kept_up", 1000)
    assert values["lag"] == pytest.approx(0.003)


FURTHER = [(100, 100, 0.020, 0.0), (300, 300, 0.021, 0.0), *STALL[1:]]


@pytest.mark.parametrize(
    ("levels", "limited", "expected"),
    [
        (FURTHER, [1], ("trust.own_limit", 100)),
        (FURTHER, [0], ("trust.own_limit", None)),
        (FURTHER, [3], ("trust.own_limit", 500)),
        (HEALTHY, [1], ("trust.kept_up", 100)),
        (HEALTHY, [0], ("trust.own_limit", None)),
    ],
    ids=["on the way to the stall", "at the start", "where it stops", "no stall: up to the mark", "nothing before it"],
)
def test_only_levels_before_the_first_marked_one_vouch(levels: list, limited: list[int], expected: tuple) -> None:
    room = World(levels, limited=limited).processes([0.1] * len(levels), lag=[0.001] * len(levels))
    key, values = said(room)
    assert (key, values["load"]) == expected


@pytest.mark.parametrize(
    "world",
    [
        World(STALL).processes([0.2, 0.5, 0.99], lag=[0.001, 0.002, 0.003]),
        World(STALL, limited=[2]).processes([0.1, 0.2, 0.3], lag=[0.001, 0.002, 0.003]),
        World(HEALTHY, limited=[0, 1, 2]).processes([0.1, 0.2, 0.3], lag=[0.001] * 3),
    ],
    ids=["out of CPU", "marked where it stops", "every level marked"],
)
def test_a_generator_at_its_own_limit_is_not_vouched_for(world: World) -> None:
    assert said(world)[0] == "trust.own_limit"


def test_too_few_users_are_the_plans_and_not_the_generators() -> None:
    world = World(HEALTHY).processes([0.1, 0.2, 0.3], lag=[0.001] * 3)
    assert said(world, target_rps=5000.0)[0] == "trust.kept_up"


def test_what_was_not_measured_is_not_vouched_for() -> None:
    assert said(World(STALL))[0] == "trust.not_measured"


def test_a_run_without_any_throughput_says_nothing_of_the_generator_nor_of_a_limit() -> None:
    world = World([(100, None, math.nan, math.nan), (500, None, math.nan, math.nan)])
    record = world.diagnosis(Facts())
    assert (record["answer_key"], record["kind"]) == ("answer.nothing_measured", None)
    assert record["generator"]["text_key"] == "trust.not_measured"
    for lang, word in (("en", "There is a limit"), ("ja", "に限界がある")):
        assert word not in texts(lang)[record["answer_key"]]
        assert placeholders(texts(lang)[record["answer_key"]]) == set(), "there is no value to say"


def test_the_figures_are_called_what_they_are_in_both_languages() -> None:
    """used and lag are medians over a level's seconds: one bad second in thirty does not show in them."""
    world = World(HEALTHY).processes([0.1, 0.2, 0.3], lag=[0.001] * 3)
    world.generator[-1]["loop_lag_p99_s"] = 5.0
    assert said(world)[1]["lag"] == pytest.approx(0.001)
    assert "medians over the level's seconds" in texts("en")["trust.kept_up"]
    assert "各負荷段階の中央値" in texts("ja")["trust.kept_up"]
