"""The command: what it prints, its exit codes, and errors of one paragraph without a traceback."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import ROOT, genkai

COMMANDS = ("doctor", "check", "estimate", "cycle", "step", "report", "plan", "compare", "next",
            "stop", "demo", "steady", "fit", "search", "import", "discover", "diagnose",
            "whatif")  # fmt: skip


def test_help_lists_every_command() -> None:
    command = [sys.executable, "-m", "genkai.cli", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"\b{name}\b", told) for name in COMMANDS)
    listed = re.findall(r"^│ ([a-z]+) ", told, re.M)
    assert listed[:6] == ["check", "estimate", "plan", "cycle", "step", "report"], "first what is used every day"
    assert set(listed[-3:]) == {"profile", "worker", "import"}


def test_the_program_itself_refuses_in_one_paragraph_and_with_exit_code_3() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "genkai.cli", "check", "nowhere.yaml"], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr.startswith("genkai: nowhere.yaml: expected a readable plan file")
    assert "Traceback" not in found.stderr


def open_for_reader(fifo: Path, reader: subprocess.Popen) -> int:
    """The fifo opened for writing as soon as the process reads it; fails when that ends before."""
    while reader.poll() is None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
            time.sleep(0.02)
    pytest.fail(f"the command ended with {reader.returncode} before it read its plan: {reader.stderr.read()}")


def test_ctrl_c_says_that_nothing_is_lost_and_how_to_go_on(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    os.mkfifo(plan)  # the command waits for its plan
    command = [sys.executable, "-m", "genkai.cli", "check", str(plan)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    writing = open_for_reader(plan, running)
    running.send_signal(signal.SIGINT)
    told = running.communicate(timeout=60)[1]
    os.close(writing)
    assert running.returncode == 130
    assert told.strip().endswith("what was measured is kept. A cycle goes on with: genkai cycle PLAN --resume")


def test_every_command_is_documented() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [c for c in COMMANDS if f"genkai {c}" not in readme] == []


def test_estimate_without_a_plan() -> None:
    found = genkai("estimate", "--users", "50000", "--accesses", "20", "--peak", "3", "--safety", "3", "--json")
    assert found.returncode == 0
    assert round(json.loads(found.stdout)["target_rps"], 2) == 104.17


def test_estimate_of_a_plan_splits_by_api() -> None:
    record = json.loads(genkai("estimate", "data/plans/demo.yaml", "--json").stdout)
    assert record["split_rps"]["search"] == pytest.approx(record["target_rps"] * 0.5)
    assert {s["factor"] for s in record["sensitivity"]} == {"users_per_day", "peak_factor", "safety_factor"}
    assert "within" in genkai("estimate", "data/plans/demo.yaml").stdout


def test_check_says_what_the_plan_is() -> None:
    assert "valid; plan demo, 4 APIs, target 729.2 rps" in genkai("check", "data/plans/demo.yaml").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("estimate",), "expected a plan file, or --users and --accesses"),
        (("estimate", "--users", "-1", "--accesses", "1"), "expected factors > 0"),
        (("check", "nowhere.yaml"), "nowhere.yaml: expected a readable plan file"),
        (("cycle", "nowhere.yaml"), "nowhere.yaml: expected a readable plan file"),
        (("cycle", "data/plans/demo.yaml", "--lang", "fr"), "--lang: expected en, ja or both, got 'fr'"),
        (("step", "data/plans/demo.yaml", "warmup"), "step: expected one of verify, api, scenario, endurance"),
        (("report", "data/plans"), "expected the folder of a cycle"),
        (("stop", "data/plans"), "expected the folder of a cycle"),
        (("nonsense",), "nonsense"),
        (("cycle",), "Missing argument 'plan'; try: genkai cycle --help"),
        (("import", "locust", "x.csv"), "Missing option '--into'; try: genkai import locust --help"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_3(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    found = genkai(*arguments)
    assert found.returncode == 3
    assert told in found.stderr
    assert "Traceback" not in found.stderr


def test_a_step_whose_gate_is_closed(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "name: gate\npurposes: [responsiveness]\nbase_url: http://127.0.0.1:9\ntargets: {throughput_rps: 1}\n"
        "apis: [{name: a, path: /}]\nsteps:\n  verify: {levels: [{users: 1}]}\n  api: {levels: [{users: 1}]}\n"
    )
    found = genkai("step", "plan.yaml", "api", cwd=tmp_path)
    assert found.returncode == 3
    assert "expected step verify to have passed first, got not run" in found.stderr
    assert "--keep-going" in found.stderr


def test_stop_with_nothing_running(tmp_path: Path) -> None:
    assert "nothing of ours is running" in genkai("stop", cwd=tmp_path).stdout


def test_resume_without_a_cycle(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        (ROOT / "data/plans/demo.yaml").read_text().replace("data: demo", "# data: demo")
    )
    text = re.sub(r", # data: [\w.-]+", "", (tmp_path / "plan.yaml").read_text())
    (tmp_path / "plan.yaml").write_text(text)
    found = genkai("cycle", "plan.yaml", "--resume", cwd=tmp_path)
    assert found.returncode == 3
    assert "leave --resume out" in found.stderr


def test_whatif_answers_for_the_sample_in_words_and_as_json() -> None:
    found = genkai("whatif", "--target-rps", "400", "--load", "300")
    assert found.returncode == 0
    assert found.stdout.startswith("3-scenario-shopping, model: hard ceiling\nLoad that gives 400 rps: ")
    record = json.loads(genkai("whatif", "data/sample", "--target-rps", "400", "--json").stdout)
    assert record["load_needed"]["low"] <= record["load_needed"]["value"] <= record["load_needed"]["high"]
    refused = genkai("whatif", "data/sample", "--load", "0")
    assert (refused.returncode, refused.stderr) == (3, "genkai: --load: expected a number > 0, got 0\n")
