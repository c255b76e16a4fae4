"""Advice: each setting is named when, and only when, it stands in the way, with a value that would do."""

import re
import resource

import pytest

from genkai.load.advice import Settings, advise, count_connections, read_settings
from genkai.report.messages import Messages
from load_target import make_plan

ROOMY = Settings(cores=4, ports=28_232, tw_reuse=1, descriptors=10_000)


def measured(processes: int, throughput: float, ceiling: float) -> dict:
    return {"processes": processes, "throughput_rps": throughput, "ceiling_rps": ceiling}


ONE = [measured(1, 3000, 3000)]


@pytest.mark.parametrize(
    ("measurements", "needed", "connections", "closes", "settings", "expected"),
    [
        (ONE, 2999, 2000, False, ROOMY, {}),
        (ONE, 7000, 2000, False, ROOMY, {"advice.processes": {"processes": 3, "alone": 3000, "needed": 7000}}),
        (ONE, 25_000, 2000, False, ROOMY,
         {"advice.machines": {"machines": 3, "cores": 4, "whole": 12_000, "needed": 25_000}}),
        ([measured(1, 2000, 3000), measured(4, 6000, 11_000)], 7000, 2000, False, ROOMY,
         {"advice.unproven": {"reached": 6000, "needed": 7000}}),
        (ONE, 500, 2000, True, Settings(4, 28_232, 0, 10_000),
         {"advice.ports": {"needed": 500, "ports": 28_232, "wanted": 64_512},
          "advice.tw_reuse": {"needed": 500, "ports": 28_232, "seconds": 60}}),
        (ONE, 470, 2000, True, Settings(4, 28_232, 0, 10_000), {}),
        (ONE, 500, 30_000, False, Settings(4, 28_232, 1, 40_000),
         {"advice.ports_open": {"connections": 30_000, "ports": 28_232, "wanted": 64_512}}),
        (ONE, 500, 2000, False, Settings(4, 28_232, 1, 1024),
         {"advice.descriptors": {"connections": 2000, "descriptors": 1024, "wanted": 2100}}),
        ([measured(1, 900, 900), measured(2, 1800, 1800)], 500, 2000, False, Settings(4, None, None, 1100), {}),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_named(measurements, needed, connections, closes, settings, expected) -> None:
    found = advise(measurements, needed, connections, closes, False, settings)
    assert {advice["key"]: advice["values"] for advice in found} == expected
    for lang in ("en", "ja"):
        for advice in found:
            assert re.search(r"\d", Messages(lang)(advice["key"], **advice["values"]))


def test_on_loopback_the_kernels_default_reuses_ports_already() -> None:
    settings = Settings(4, 64_512, 2, 10_000)
    assert advise(ONE, 2000, 10, True, True, settings) == []
    assert [a["key"] for a in advise(ONE, 2000, 10, True, False, settings)] == ["advice.tw_reuse"]


def test_the_settings_are_this_machines() -> None:
    settings = read_settings()
    assert settings.cores >= 1
    assert settings.ports is None or 1000 < settings.ports <= 65_536
    assert settings.descriptors >= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_the_most_connections_of_the_plan() -> None:
    closed = make_plan("http://127.0.0.1:1", [{"users": 4}, {"users": 30}])
    assert count_connections(closed) == 30
    opened = make_plan("http://127.0.0.1:1", [{"arrival_rate_rps": 9}], step={"max_in_flight": 50})
    assert count_connections(opened) == 50
