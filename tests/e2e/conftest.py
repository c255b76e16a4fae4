"""A demo world and a folder to run cycles in, both real and both small."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from genkai.demo.world import DemoWorld

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def world() -> Iterator[DemoWorld]:
    """A load balancer for 60 rps in front of two idle instances."""
    with DemoWorld(capacity_rps=60, surge_queue=20, publish_period_s=1) as running:
        yield running


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the project's notebooks and nothing else, as the working directory."""
    place = tmp_path_factory.mktemp("workplace")
    (place / "notebooks").symlink_to(ROOT / "notebooks")
    (place / "data").mkdir()
    before = Path.cwd()
    os.chdir(place)
    yield place
    os.chdir(before)
