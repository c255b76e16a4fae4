"""Tests that put load on something run alone, one after another: beside others they would measure those."""

import pytest

ALONE = ("tests/e2e/", "tests/test_faults_live", "tests/test_launch", "tests/test_load_runs", "tests/test_search",
         "tests/test_profiling", "tests/test_demo_world", "tests/test_demo_balancer")  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if path.startswith(ALONE):
            item.add_marker(pytest.mark.load)
