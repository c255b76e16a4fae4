"""Problems between the parts are found in whatever YAML gave, however broken the rest is."""

from pathlib import Path

from genkai.analyse.rules import CAUSES as FOUND_BY_RULES
from genkai.plancheck import CAUSES, cross_problems, run_problems


def test_a_sound_plan_has_none() -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}], "steps": {"api": {"apis": ["a"]}}}
    assert cross_problems(given) == []


def test_each_problem_has_the_path_of_its_field() -> None:
    given = {
        "base_url": "http://example.org",
        "targets": {"throughput_rps": 1},
        "apis": [{"name": "a"}, {"name": "a", "data": "none.csv"}, "broken"],
        "scenarios": [{"name": "s", "calls": [{"api": "b"}]}],
        "steps": {"verify": {"api": "c"}, "scenario": {"scenario": "t"}, "api": None},
    }
    paths = [path for path, _ in cross_problems(given)]
    assert paths == [
        ("apis", 1, "name"), ("scenarios", 0, "calls", 0, "api"), ("steps", "verify", "api"),
        ("steps", "scenario", "scenario"), ("base_url",),
    ]  # fmt: skip


def test_files_are_looked_for_apart_however_broken_the_plan_is(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("a\n1\n")
    given = {"apis": [{"data": "there.csv"}, {"data": "none.csv"}, "broken"], "scenarios": [{"locustfile": "none.py"}],
             "tls": {"ca": "none.pem", "certificate": 3}}  # fmt: skip
    paths = [("tls", "ca"), ("apis", 1, "data"), ("scenarios", 0, "locustfile")]
    assert [path for path, _ in run_problems(given, tmp_path)] == paths
    assert run_problems({"tls": "x", "apis": None}, tmp_path) == []


def test_limits_that_watch_nothing_are_a_runs_alone(tmp_path: Path) -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "hosts": [{"name": "load", "role": "generator"}],
             "stop": {"hosts": [{"metric": "run_queue", "above": 1}, {"metric": ["x"], "host": "load"},
                                {"metric": "oom_kills", "below": 1, "host": "load"}]}}  # fmt: skip
    assert cross_problems(given) == []
    assert [path for path, _ in run_problems(given, tmp_path)] == [("stop", "hosts", 0), ("stop", "hosts", 2)]


def test_a_resource_that_nothing_tells_of() -> None:
    sound = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}], "steps": {},
             "hosts": [{"name": "app-1"}]}  # fmt: skip

    def told(resource: str, **more: object) -> list:
        machines = [{"metric": "m", "at_most": 1}, {"metric": "m", "at_most": 1, "resource": resource}]
        return run_problems({**sound, **more, "targets": {"machines": machines}}, Path("."))

    ((path, text),) = told("app-9")
    assert path == ("targets", "machines", 1, "resource")
    assert text.startswith("expected one of hosts (app-1), got 'app-9'; add the host")
    assert told("app-1") == told("host") == told("ec2", aws={"region": "x"}) == []


def test_verify_is_not_repeated() -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}],
             "steps": {"verify": {"repeat": 2}, "api": {"repeat": 3}}}  # fmt: skip
    ((path, told),) = cross_problems(given)
    assert (path, told[:34]) == (("steps", "verify", "repeat"), "expected no repetitions of verify,")


def test_an_allowed_host_passes() -> None:
    given = {"base_url": "https://shop.example.com", "estimate": {}, "allow": ["shop.example.com"]}
    assert cross_problems(given) == []


def test_sizes_need_a_way_a_base_and_a_step_that_may_have_them() -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}]}
    scaled = {**given, "scaling": {"command": "x {size}", "base": 2}, "steps": {"api": {"sizes": [1, 2]}}}
    assert cross_problems(scaled) == []
    told = {
        "verify": {**scaled, "steps": {"verify": {"sizes": [1, 2]}}},
        "add scaling": {**given, "steps": {"api": {"sizes": [1, 2]}}},
        "without 2": {**scaled, "steps": {"api": {"sizes": [1, 4]}}},
        "add aws": {**scaled, "scaling": {"group": "g", "base": 2}},
    }
    for words, broken in told.items():
        ((path, message),) = cross_problems(broken)
        assert words in message
        assert path[0] in ("steps", "scaling")


def test_an_action_is_judged_by_what_the_plan_tests() -> None:
    given = {"base_url": "http://localhost", "estimate": {}, "apis": [{"name": "a"}], "scenarios": [{"name": "mix"}]}
    aims = [{"subject": "a"}, {"subject": "mix"}, {"subject": "old", "cycle": 1}, {"subject": "b"}, None]
    ((path, told),) = cross_problems({**given, "actions": [{"what": "x", "judged_by": aim} for aim in aims]})
    assert path == ("actions", 3, "judged_by", "subject")
    assert told == "expected API or scenario a or mix, got 'b'"


def test_an_action_answers_a_cause_that_a_rule_finds() -> None:
    assert CAUSES == FOUND_BY_RULES
    given = {
        "base_url": "http://localhost",
        "estimate": {},
        "hosts": [],
        "actions": [
            {"cause": "load_balancer_capacity"},
            {"cause": "load_balancer_capasity"},
            {"cause": None},
            {"cause": "moon"},
        ],
    }
    near, far = run_problems(given, Path("."))
    assert near[0] == ("actions", 1, "cause")
    assert near[1].endswith("got 'load_balancer_capasity'; did you mean load_balancer_capacity?")
    assert far == (("actions", 3, "cause"), far[1])
    assert far[1].endswith("got 'moon'; leave it out, and say judged_by")
    assert cross_problems(given) == []  # a cycle that was run before still opens
