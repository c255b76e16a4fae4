"""Whether the load generator kept up: said with its figures, denied where it did not, never guessed."""

import pytest

from diagnosis_tables import HEALTHY, STALL, World
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
