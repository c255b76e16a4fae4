"""Problems between the parts are found in whatever YAML gave, however broken the rest is."""

from pathlib import Path

from genkai.plancheck import cross_problems


def test_a_sound_plan_has_none() -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}], "steps": {"api": {"apis": ["a"]}}}
    assert cross_problems(given, Path(".")) == []


def test_each_problem_has_the_path_of_its_field() -> None:
    given = {
        "base_url": "http://example.org",
        "targets": {"throughput_rps": 1},
        "apis": [{"name": "a"}, {"name": "a", "data": "none.csv"}, "broken"],
        "scenarios": [{"name": "s", "calls": [{"api": "b"}]}],
        "steps": {"verify": {"api": "c"}, "scenario": {"scenario": "t"}, "api": None},
    }
    paths = [path for path, _ in cross_problems(given, Path("."))]
    assert paths == [
        ("apis", 1, "name"), ("scenarios", 0, "calls", 0, "api"), ("steps", "verify", "api"),
        ("steps", "scenario", "scenario"), ("base_url",), ("apis", 1, "data"),
    ]  # fmt: skip


def test_an_allowed_host_passes() -> None:
    given = {"base_url": "https://shop.example.com", "estimate": {}, "allow": ["shop.example.com"]}
    assert cross_problems(given, Path(".")) == []
