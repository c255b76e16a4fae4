"""What runs beside what: most tests beside each other, load that bears company a few at a time, other load alone.

Load that is judged by its times or by what a diagnosis says of the machine would measure its neighbours. Load bears
company where its test asks for counts, states and texts only, and waits most of the time.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Where it can, jsonschema builds a grammar of URIs on import: nearly two seconds for whoever imports nbformat.
sys.modules.setdefault("rfc3987_syntax", None)

# No test fails for a busy machine; who needs more than 50 examples, or fewer, says so.
settings.register_profile("suite", settings.get_profile(settings.get_current_profile_name()),
                          deadline=None, max_examples=50)  # fmt: skip
settings.load_profile("suite")

LOAD = ("tests/e2e/", "tests/test_launch", "tests/test_profiling", "tests/test_demo_world", "tests/test_demo_balancer")
# The longest first, so that none of them is left over at the end.
COMPANY = ("tests/test_launch", "tests/test_load_workers", "tests/test_demo_", "tests/test_steps",
           "tests/test_load_own", "tests/test_load_page", "tests/test_load_http_tls", "tests/test_load_guard",
           "tests/test_load_examples")  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if path.startswith(LOAD):
            item.add_marker(pytest.mark.load)
        if path.startswith(COMPANY) and item.get_closest_marker("load") and not item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.company)
    if config.option.markexpr == "company":
        items.sort(key=lambda item: [item.path.name.startswith(Path(c).name) for c in (*COMPANY, "")].index(True))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Asked for load only, files without any are not even imported: that takes longer than some load."""
    asked = config.option.markexpr in ("company", "load and not company")
    if not asked or not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    return None if path.startswith(LOAD) or "mark.load" in collection_path.read_text() else True
