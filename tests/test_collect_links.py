"""The speed of this machine's links: of those that are up and real, and never a guess."""

from pathlib import Path

import pytest

from genkai.collect.links import link_bytes_per_s


def link(place: Path, name: str, speed: str | None, state: str = "up", device: bool = True) -> None:
    folder = place / name
    folder.mkdir()
    (folder / "operstate").write_text(f"{state}\n")
    if speed is not None:
        (folder / "speed").write_text(f"{speed}\n")
    if device:
        (folder / "device").mkdir()


def test_links_that_are_up_count_together(tmp_path: Path) -> None:
    link(tmp_path, "eth0", "10000")
    link(tmp_path, "eth1", "1000")
    link(tmp_path, "eth2", "1000", "down")
    link(tmp_path, "veth1", "10000", device=False)
    assert link_bytes_per_s(tmp_path) == pytest.approx(1.375e9)


@pytest.mark.parametrize("speed", ["-1", "0", "unknown", "", None])
def test_what_the_kernel_does_not_tell_is_not_known(tmp_path: Path, speed: str | None) -> None:
    link(tmp_path, "eth0", speed)
    assert link_bytes_per_s(tmp_path) is None


def test_this_machine_is_read_without_an_error() -> None:
    found = link_bytes_per_s()
    assert found is None or found >= 1e6 / 8
    assert link_bytes_per_s(Path("/nowhere")) is None
