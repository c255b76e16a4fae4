"""The plan file: what is right is read, what is wrong is told all at once with file, line, field, expected, got."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from genkai.planfile import PlanError, parse_plan, read_plan

PLANS = Path(__file__).parent.parent / "data/plans"
GOOD = """\
name: shop
purposes: [responsiveness]
base_url: http://127.0.0.1:8080
estimate: {users_per_day: 50000, accesses_per_user: 20}
apis:
  - {name: health, path: /health}
  - {name: search, path: /items}
scenarios:
  - {name: mix, calls: [{api: search}]}
steps:
  scenario: {levels: [{users: 10}]}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "shop.yaml")
    return caught.value.problems


def test_the_shipped_plans_are_valid() -> None:
    for name in ("template", "demo"):
        assert read_plan(PLANS / f"{name}.yaml").name


def test_the_template_shows_every_field() -> None:
    """A field that the models know and the template does not mention would be found by nobody."""
    from genkai import planhosts, planparts, planscaling, planstop, plantls
    from genkai.plan import Plan

    text = (PLANS / "template.yaml").read_text()
    parts = [v for part in (planparts, planhosts, planscaling, planstop, plantls) for v in vars(part).values()]
    models = [m for m in parts if isinstance(m, type) and issubclass(m, planparts.Model)]
    fields = {f.alias or n for m in [*models, Plan] for n, f in m.model_fields.items()}
    assert not {n for n in fields if f"{n}:" not in text}


def test_the_error_reads_as_the_design_says() -> None:
    text = GOOD.replace("apis:", "targets:\n  p95_ms: fast\napis:", 1)
    assert problems(text) == ['shop.yaml:6: targets.p95_ms: expected a number > 0, got "fast"']


def test_all_errors_at_once_in_the_order_of_the_lines() -> None:
    text = (
        GOOD.replace("[responsiveness]", "[speed]")
        .replace("api: search", "api: serch")
        .replace("users: 10", "users: 0")
    )
    found = problems(text)
    assert [p.split(":")[1] for p in found] == ["2", "9", "11"]
    assert "purposes[0]: expected 'responsiveness'" in found[0]
    assert "scenarios[0].calls[0].api: expected API health or search, got 'serch'" in found[1]
    assert "users: expected a number > 0, got 0" in found[2]


def test_an_unknown_field_names_the_nearest() -> None:
    assert "unknown field; expected one of" in problems(GOOD + "shedule: []\n")[0]
    assert "did you mean schedule?" in problems(GOOD + "shedule: []\n")[0]
    assert "levels[0].hold: unknown field; expected one of users, " in (
        told := problems(GOOD.replace("{users: 10}", "{users: 10, hold: 5}"))[0]
    )
    assert told.endswith("did you mean hold_s?")


def test_a_field_given_twice_is_refused() -> None:
    assert problems(GOOD + "name: again\n") == ["shop.yaml:12: name: expected once, got it again"]


def stop_hosts(limit: str, hosts: str = "[{name: local}]") -> tuple[str, str]:
    """The change that adds a limit on a watched host."""
    return "steps:\n", f"hosts: {hosts}\nstop: {{hosts: [{limit}]}}\nsteps:\n"


def tls(given: str) -> tuple[str, str]:
    """The change that adds a tls part."""
    return "steps:\n", f"tls: {given}\nsteps:\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("http://127.0.0.1:8080", "http://192.0.2.1"), "expected a host that the allow list names"),
        (("http://127.0.0.1:8080", "ftp://x"), "base_url: expected text like"),
        (("path: /items", "path: items"), "apis[1].path: expected text like"),
        (("name: search", "name: health"), "expected a name of its own, 'health' is taken"),
        (("estimate: {users_per_day: 50000, accesses_per_user: 20}", "title: x"), "there is nothing to aim at"),
        (("users_per_day: 50000", "users_per_day: {value: 5, low: 6}"), "expected low ≤ value ≤ high"),
        (("{users: 10}", "{users: 10, arrival_rate_rps: 5}"), "expected exactly one of users"),
        (("{users: 10}", "{users: 10}, {arrival_rate_rps: 5}"), "expected levels of one workload"),
        (("calls: [{api: search}]", "locustfile: nope.py"), "expected a file, got 'nope.py'"),
        (("calls: [{api: search}]", "why: because"), "expected either calls or locustfile, got neither"),
        (
            ("path: /health", "path: /health, share: 0.7}\n  - {name: b, path: /b, share: 0.7"),
            "sum to at most 1, got 1.4",
        ),
        (("scenarios:\n  - {name: mix, calls: [{api: search}]}\n", ""), "expected a scenario in the plan, got none"),
        (("steps:\n", "generator: {processes: 0}\nsteps:\n"), "expected auto or an integer ≥ 1, got 0"),
        (
            ("{users: 10}]", "{arrival_rate_rps: 5}], intended_starts: true"),
            "intended_starts: expected levels in users",
        ),
        (tls("{key: nope.pem}"), "tls.key: expected a file, got 'nope.pem', which is not there"),
        (tls("{key: nope.pem}"), "tls: expected a certificate beside the key, got none"),
        (tls("{verify: false}"), "tls: expected an https base_url beside it, got http://127.0.0.1:8080; leave tls out"),
        (tls("{certificate: x.pem}\ngenerator: {workers: 2}"), "tls.certificate: expected no generator.workers beside"),
        (stop_hosts("{metric: cpu_busy, above: 1}"), "stop.hosts[0].metric: expected one of cpu_busy_ratio, core_max"),
        (stop_hosts("{metric: cpu_busy, above: 1}"), "got 'cpu_busy'; did you mean cpu_busy_ratio?"),
        (stop_hosts("{metric: run_queue}"), "stop.hosts[0]: expected exactly one of above, below, got neither"),
        (stop_hosts("{metric: run_queue, above: 1, below: 2}"), "expected exactly one of above, below, got both"),
        (stop_hosts("{metric: run_queue, above: 1, for_s: 0}"), "stop.hosts[0].for_s: expected a number > 0, got 0"),
        (stop_hosts("{host: app-1, metric: run_queue, above: 1}"), "stop.hosts[0].host: expected host local, got 'ap"),
        (stop_hosts("{metric: oom_kills, below: 1}"), "stop.hosts[0]: expected above for oom_kills, a count of events"),
        (
            stop_hosts("{metric: run_queue, above: 1}", "[{name: a, role: generator}, {name: b, role: generator}]"),
            "stop.hosts[0]: expected a watched host that does not generate the load, got generators only (a, b)",
        ),
        (stop_hosts("{metric: run_queue, above: 1}", "[]"), "does not generate the load, got none: this limit would"),
    ],
)
def test_each_mistake_is_named(change: tuple[str, str], expected: str) -> None:
    assert any(expected in p for p in problems(GOOD.replace(*change, 1))), problems(GOOD.replace(*change, 1))


def test_what_is_not_a_plan_at_all() -> None:
    assert "expected a plan" in problems("- 1\n")[0]
    assert "expected a plan" in problems("")[0]
    assert "expected YAML" in problems("a: [1\nb: 2")[0]
    with pytest.raises(PlanError, match=r"nowhere\.yaml: expected a readable plan file, got No such file"):
        read_plan("nowhere.yaml")


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(PlanError, match="expected UTF-8 text"):
        read_plan(tmp_path / "p.yaml")


@settings(max_examples=150, deadline=None)
@example({"steps": {"api": {"apis": 1, "sizes": [1, "x"]}}, "scaling": 2})
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc :-", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "apis", "steps", "allow", "scenarios", "calls", "estimate", "levels", "hosts", "x"]),
        inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_yaml_gives_a_plan_or_a_plan_error(given_value: object) -> None:
    """Never a traceback of another kind, and each problem has a line number."""
    try:
        parse_plan(yaml.safe_dump(given_value), "any.yaml")
    except PlanError as error:
        unnumbered = [p for p in error.problems if not p.split(":")[1].isdigit()]
    else:
        unnumbered = []
    assert not unnumbered


def test_the_editors_schema_is_the_models_own() -> None:
    import json

    from genkai.plan import Plan

    stored = json.loads((PLANS / "plan.schema.json").read_text())
    assert stored == json.loads(json.dumps(Plan.model_json_schema(by_alias=True))), "run tools/schema"
