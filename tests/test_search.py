"""The capacity search on a real target: the demo's load balancer with a capacity that is known."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from analyse_tables import level_row, levels_table
from command import genkai
from genkai.demo.world import DemoWorld
from genkai.journals import read_marks
from genkai.planfile import parse_plan
from genkai.search import SearchError, broken_targets, chosen, run_search, search_text
from genkai.workspace import Run

CAPACITY = 150.0


def plan_text(url: str = "http://127.0.0.1:9", **fields) -> str:
    plan = {
        "name": "s", "purposes": ["responsiveness"], "targets": {"throughput_rps": 400, "p95_ms": 150},
        "base_url": url, "steps": {"verify": {"levels": [{"users": 1}]}},
        "apis": [{"name": "item", "path": "/items/1"},
                 {"name": "order", "path": "/o", "targets": {"error_ratio": 0.2}}],
        "scenarios": [{"name": "mix", "calls": [{"api": "item"}]}, {"name": "own", "locustfile": "own.py"}], **fields,
    }  # fmt: skip
    return yaml.safe_dump(plan)


@pytest.mark.load
def test_the_capacity_of_a_real_target_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("")
    told: list[str] = []
    with DemoWorld(instances=1, capacity_rps=CAPACITY, aws=False) as world:
        (tmp_path / "plan.yaml").write_text(plan_text(world.base_url))
        record = run_search(
            Path("plan.yaml"), "item", tell=told.append, lang="both", start_rps=140.0, ramp_s=2.0, trial_s=2.0,
            trials=1, confirm_s=2.5, width=0.4,
        )  # fmt: skip
    assert record["status"] == "found", record["why"]
    assert record["limit"]["value"] == pytest.approx(CAPACITY, rel=0.4)
    assert record["limit"]["low"] <= 1.05 * CAPACITY
    assert record["limit"]["high"] > CAPACITY
    assert "150 ms" in next(t["why"] for t in record["trials"] if t["verdict"] == "missed")
    folder = Path(record["folder"])
    assert json.loads((folder / "search.json").read_text())["limit"] == record["limit"]
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert [float(r["rate_rps"]) for r in rows] == [t["rate_rps"] for t in record["trials"]]
    assert [t["level"] for t in record["trials"]] == list(range(len(rows)))
    run = Run(folder / "1-api-item")
    assert [m["intended"] for m in read_marks(run)] == [t["rate_rps"] for t in record["trials"]]
    assert run.record()["state"] == "finished"
    assert all(t["measured_s"] <= t["seconds"] for t in record["trials"])
    assert all((folder / f"search-{lang}.png").read_bytes().startswith(b"\x89PNG") for lang in ("en", "ja"))
    assert len(told) == 1 + len(rows)
    assert "rps keep the targets" in search_text(record)


def test_each_row_is_judged_by_the_targets_of_its_api(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    plan = parse_plan(plan_text(), "plan", tmp_path)
    slow = {"p95_s": 0.4, "error_ratio": 0.1}
    table = levels_table(
        level_row(0, 100, 100, api="mix"), level_row(0, 100, 50, api="item", **slow),
        level_row(0, 100, 50, api="order", **slow),
    )  # fmt: skip
    assert broken_targets(plan, table) == ["item: p95 400 ms > 150 ms", "item: error ratio 10% > 1%"]


@pytest.mark.parametrize(
    ("api", "scenario", "told"),
    [
        (None, None, "got neither"),
        ("item", "mix", "got both"),
        ("basket", None, "expected an API of item, order, got 'basket'"),
        (None, "own", "expected a scenario with calls (a locustfile has no arrival rate) of mix, got 'own'"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path: Path, api, scenario, told) -> None:
    (tmp_path / "own.py").write_text("")
    (tmp_path / "plan.yaml").write_text(plan_text())
    with pytest.raises(SearchError, match="--lang: expected en, ja, both, got 'fr'"):
        run_search(tmp_path / "plan.yaml", "item", lang="fr")
    with pytest.raises(SearchError) as found:
        chosen(parse_plan(plan_text(), "plan", tmp_path), api, scenario)
    assert told in str(found.value)


def test_the_command_refuses_before_any_load(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    (tmp_path / "plan.yaml").write_text(plan_text())
    found = genkai("search", "plan.yaml", "--api", "item", cwd=tmp_path)
    assert found.returncode == 3, found.stdout
    assert "127.0.0.1:9" in found.stderr
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.glob("data/searches/s/*/search.json"))
