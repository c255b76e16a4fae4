"""The files of locust's own examples folder, run unchanged: `GENKAI_LOCUST_EXAMPLES=…/locust/examples pytest …`.

They are not ours to ship, so that without the folder only our own files with the same features run (test_load_own.py).
"""

import os
from pathlib import Path

import pytest

from genkai import journals, launch
from genkai.workspace import Run
from load_target import make_plan, running_target

pytestmark = pytest.mark.load

FOLDER = Path(os.environ.get("GENKAI_LOCUST_EXAMPLES", "/none"))
EXAMPLES = (
    "add_command_line_argument", "basic", "bottlenecked_server", "browse_docs_sequence_test",
    "csrf_form_authentication", "custom_messages", "custom_shape/double_wave", "custom_shape/stages",
    "custom_shape/staging_user_classes", "custom_shape/step_load", "custom_shape/wait_user_count",
    "custom_wait_function", "custom_xmlrpc_client/xmlrpc_locustfile", "debugging", "debugging_advanced",
    "dispatch_test_scripts/locustfile", "dynamic_user_credentials", "events", "extend_web_ui", "fast_http_locust",
    "locustfile", "manual_stats_reporting", "markov_taskset", "multiple_hosts", "nested_inline_tasksets",
    "open_closed_workload", "response_validations", "rest", "semaphore_wait", "stop_on_threshold",
    "testdata_from_csv", "testdata_management", "web_ui_cache_stats", "worker_index", "x-forwarded-for",
)  # fmt: skip
LEFT_OUT = {
    "browse_docs_test": "needs pyquery", "dns_ex": "needs a name server", "grpc/grpc_user": "needs grpc",
    "grpc/hello_pb2": "no locustfile", "grpc/hello_pb2_grpc": "no locustfile", "grpc/hello_server": "a server",
    "grpc/locustfile": "needs grpc", "milvus/locustfile": "needs Milvus", "mongodb/locustfile": "needs MongoDB",
    "mqtt/locustfile": "needs a broker", "mqtt/locustfile_custom_mqtt_client": "needs a broker",
    "openai_ex": "needs OpenAI", "postgres/locustfile": "needs PostgreSQL", "qdrant/locustfile": "needs Qdrant",
    "sdk_session_patching/session_patch_locustfile": "needs archivist", "socketio/echo_server": "a server",
    "socketio/socketio_ex": "needs a Socket.IO server", "custom_xmlrpc_client/server": "a server",
    "test_pytest": "a file of pytest's", "use_as_lib": "no locustfile: starts locust itself",
    "web_ui_auth/basic": "a login page without users", "web_ui_auth/custom_form": "a login page without users",
}  # fmt: skip
here = pytest.mark.skipif(not FOLDER.is_dir(), reason="GENKAI_LOCUST_EXAMPLES names no folder")


@here
def test_no_example_is_forgotten() -> None:
    found = {str(p.relative_to(FOLDER).with_suffix("")) for p in FOLDER.rglob("*.py")} - {
        str(p.relative_to(FOLDER).with_suffix("")) for part in ("terraform", "azure") for p in FOLDER.rglob(f"{part}*/**/*.py")}  # fmt: skip  # noqa: E501
    assert sorted(found - set(EXAMPLES) - set(LEFT_OUT)) == []


@here
@pytest.mark.parametrize("name", EXAMPLES)
def test_locusts_example_runs_unchanged(tmp_path: Path, name: str) -> None:
    """Whatever the target answers: users run, what they ask is recorded, nothing goes to hosts that are not allowed."""
    with running_target(tmp_path) as target:
        plan = make_plan(target.url, [{"users": 12, "ramp_s": 0, "hold_s": 3}], base_dir=FOLDER,
                         scenarios=[{"name": "mine", "locustfile": f"{name}.py"}],
                         stop={"error_ratio": 1.0, "for_s": 60})  # fmt: skip
        run = Run(tmp_path / "3-scenario-mine")
        outcome = launch.run_load(run, plan, "scenario", "mine", drain_s=1.0)
    log = run.raw("locust.log").read_text()
    assert outcome.state in ("finished", "stopped"), log[-2000:]
    assert "Traceback" not in log or "HttpUser" in log or "users" in log, log[-2000:]
    assert journals.read_requests(run)["sent"].sum() > 0, log[-2000:]
