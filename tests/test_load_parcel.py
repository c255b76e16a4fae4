"""What goes along to another machine: complete, and no more than is needed."""

import base64
import importlib.metadata
import io
import subprocess
import sys
import tarfile
import venv
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from genkai.load import agent, parcel
from genkai.load.job import Job, make_job
from genkai.load.process import LaunchError
from genkai.workspace import Run
from load_target import make_plan


def unpacked(packed: str, folder: Path) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
        archive.extractall(folder, filter="data")
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def own_job(folder: Path):
    (folder / "own.py").write_text("import part")
    (folder / "part.py").write_text("")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    plan = make_plan("http://127.0.0.1:1", [{"users": 1}], base_dir=folder,
                     scenarios=[{"name": "s", "locustfile": "own.py"}])  # fmt: skip
    return make_job(Run(folder / "3-scenario-s"), plan, "scenario", "s")


def test_a_file_behind_a_link_goes_along_as_a_file(tmp_path: Path) -> None:
    """As certbot and Kubernetes keep keys: the link alone would point to nothing there."""
    (tmp_path / "key1.pem").write_text("KEY")
    (tmp_path / "key.pem").symlink_to("key1.pem")
    packed = parcel._packed([(tmp_path / "key.pem", "files/key.pem")])
    assert unpacked(packed, tmp_path / "there") == {"files/key.pem"}
    assert (tmp_path / "there/files/key.pem").read_text() == "KEY"
    assert not (tmp_path / "there/files/key.pem").is_symlink()


def test_the_source_that_is_sent_is_enough_for_a_load_process(tmp_path: Path) -> None:
    unpacked(parcel.pack_source(), tmp_path)
    code = (
        "import genkai.load.closed, genkai.load.open, genkai.load.own, genkai.load.shape, genkai.load.probe, sys; "
        "print(genkai.__file__, sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path / "lib")}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))
    loaded = set(eval(done.stdout.partition(" ")[2]))
    owners = importlib.metadata.packages_distributions()
    used = {parcel.normal(name) for module in loaded for name in owners.get(module, [])} - {"genkai"}
    assert used <= parcel.needed_packages(), "what is imported there is installed there"


def test_an_own_locustfile_goes_along_with_its_folder_and_data_files_where_the_plan_has_them(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert unpacked(parcel.pack_files(own_job(tmp_path)), tmp_path / "there") == {
        "files/own.py", "files/part.py"}  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "items.csv").write_text("item\n1\n")
    plan = make_plan("http://127.0.0.1:1", [{"users": 1}], {"a": {"path": "/{item}", "data": "data/items.csv"}},
                     base_dir=tmp_path)  # fmt: skip
    job = make_job(Run(tmp_path / "2-api-a"), plan, "api", "a")
    agent.place_job(tmp_path / "there", job.model_dump(mode="json", by_alias=True), parcel.pack_files(job))
    assert (tmp_path / "there/files/data/items.csv").read_text() == "item\n1\n"


def test_the_files_of_tls_go_along_wherever_they_lie(tmp_path: Path) -> None:
    places = {"ca": "ca.pem", "certificate": "../secrets/client.pem", "key": str(tmp_path / "secrets" / "client.key")}
    for folder in ("plan", "secrets", "there"):
        (tmp_path / folder).mkdir()
    for field, place in places.items():
        (tmp_path / "plan" / place).write_text(field)
    plan = make_plan("https://127.0.0.1:1", [{"users": 1}], base_dir=tmp_path / "plan", tls=places)
    job = make_job(Run(tmp_path / "2-api-ok"), plan, "api", "ok")
    agent.place_job(tmp_path / "there", job.model_dump(mode="json", by_alias=True), parcel.pack_files(job))
    there = Job.read(tmp_path / "there")
    assert {field: path.read_text() for field, path in there.tls_files.items()} == {field: field for field in places}
    assert all(path.is_relative_to(tmp_path / "there/files") for path in there.tls_files.values())


def test_a_large_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "LARGEST", 3)
    with pytest.raises(LaunchError, match="expected at most 0 MB beside the locustfile"):
        parcel.pack_files(own_job(tmp_path))


def test_the_requirements_are_locked_by_hash_and_only_those_needed() -> None:
    text = parcel.locked_requirements()
    names = {line.split("==")[0] for line in text.splitlines() if not line.startswith(" ")}
    assert {"locust", "gevent", "httptools", "hdrhistogram", "numpy", "pydantic"} <= names
    assert not {"jupyterlab", "pandas", "boto3", "matplotlib"} & names
    assert all("--hash=sha256:" in block for block in text.split("\n\n") if block.strip())


def test_without_a_lock_an_interpreter_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "LOCK", tmp_path / "none")
    with pytest.raises(LaunchError, match="name an interpreter that has them"):
        parcel.locked_requirements()


def wheel(folder: Path) -> str:
    """A wheel of one module, and its locked requirement."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "answer = 42\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return f"tiny==1.0 --hash=sha256:{sha256(path.read_bytes()).hexdigest()}\n"


def test_a_venv_is_made_once_from_the_locked_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirement = wheel(tmp_path)
    monkeypatch.setattr(agent, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    python = agent.make_venv(requirement, (sys.executable,))
    told = subprocess.run([python, "-c", "import tiny; print(tiny.answer)"], capture_output=True, text=True, check=True)
    assert told.stdout == "42\n"
    monkeypatch.setattr(venv, "create", None)
    (tmp_path / "tiny-1.0-py3-none-any.whl").unlink()
    assert agent.make_venv(requirement, (sys.executable,)) == python, "made once"
    with pytest.raises(agent.AgentError, match="pip install to pass"):
        agent.make_venv(requirement.replace("=1.0", "=2.0"), (sys.executable,))
    assert len(list((tmp_path / "cache").iterdir())) == 1, "nothing half made is left"
    with pytest.raises(agent.AgentError, match="expected one of python0, got none"):
        agent.make_venv(requirement, ("python0",))


def test_the_example_manifests_are_what_they_say() -> None:
    import json

    import yaml

    docs = Path(__file__).parent.parent / "docs/workers"
    pod = yaml.safe_load((docs / "kubernetes.yaml").read_text())["spec"]["template"]["spec"]["containers"][0]
    task = json.loads((docs / "ecs-task.json").read_text())["containerDefinitions"][0]
    assert pod["args"] == task["command"] == ["CONDUCTOR:5557", "--processes", "1"]
    assert pod["env"][0]["name"] == task["secrets"][0]["name"] == "GENKAI_WORKER_TOKEN"
