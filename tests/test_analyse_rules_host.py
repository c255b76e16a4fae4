"""Host rules: a hit, and near misses that must not hit."""

import dataclasses

import pytest

from diagnosis_tables import STALL, World, causes
from genkai.analyse.diagnose import Facts
from genkai.analyse.rules.evidence import amount

FACTS = Facts(hosts={"app-1": "target", "local": "generator", "db": "middleware"}, limits_s={"p95_s": 0.2})


def on_host(metric: str, values, source: str = "proc", host: str = "app-1") -> World:
    return World(STALL).metric(source, f"host:{host}", metric, values)


@pytest.mark.parametrize(
    ("source", "metric", "values"),
    [("proc", "cpu_busy_ratio", [0.2, 0.6, 0.97]), ("vmstat", "cpu_idle_ratio", [0.8, 0.4, 0.03])],
)
def test_a_full_target_host_is_the_limit(source: str, metric: str, values: list[float]) -> None:
    finding = on_host(metric, values, source).diagnosis(FACTS)["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("target_cpu", "strong")
    assert finding["evidence"][1]["values"]["limit"]["value"] == pytest.approx(0.97)
    assert finding["evidence"][1]["values"]["below"]["value"] == pytest.approx(0.6)


@pytest.mark.parametrize("host", ["local", "db"])
def test_the_cpu_of_another_role_is_not_the_targets(host: str) -> None:
    assert "target_cpu" not in causes(on_host("cpu_busy_ratio", [0.2, 0.6, 0.97], host=host).diagnosis(FACTS))


def test_a_busy_host_with_room_is_not_the_limit() -> None:
    assert causes(on_host("cpu_busy_ratio", [0.2, 0.6, 0.8]).diagnosis(FACTS)) == []


def test_a_host_that_was_full_all_along_explains_less() -> None:
    finding = on_host("cpu_busy_ratio", [0.96, 0.97, 0.97]).diagnosis(FACTS)["findings"][0]
    assert finding["strength"] == "moderate"


def test_system_time_is_told_apart() -> None:
    world = on_host("cpu_busy_ratio", [0.2, 0.6, 0.97]).on("app-1", "cpu_system_ratio", [0.1, 0.4, 0.8])
    assert "evidence.target.system" in [e["text_key"] for e in world.diagnosis(FACTS)["findings"][0]["evidence"]]


def test_one_full_core_of_many() -> None:
    world = on_host("cpu_busy_ratio", [0.1, 0.2, 0.28]).on("app-1", "core_max_busy_ratio", [0.3, 0.8, 1.0])
    assert causes(world.diagnosis(FACTS)) == ["target_single_core"]


def test_one_busy_core_that_is_not_full_is_no_finding() -> None:
    world = on_host("cpu_busy_ratio", [0.1, 0.2, 0.28]).on("app-1", "core_max_busy_ratio", [0.3, 0.8, 0.9])
    assert causes(world.diagnosis(FACTS)) == []


def test_steal_goes_before_cpu() -> None:
    world = on_host("cpu_busy_ratio", [0.2, 0.6, 0.97]).on("app-1", "cpu_steal_ratio", [0.0, 0.02, 0.4])
    assert causes(world.diagnosis(FACTS)) == ["target_cpu_steal"]


def test_spent_credits() -> None:
    def with_balance(*values: float) -> World:
        return World(STALL).cloudwatch("ec2:i-1", "CPUCreditBalance", values, "minimum")

    assert causes(with_balance(60, 20, 0).diagnosis(FACTS)) == ["cpu_credits"]
    assert causes(with_balance(60, 50, 40).diagnosis(FACTS)) == []
    assert causes(with_balance(0, 0, 0).diagnosis(FACTS)) == []  # unlimited mode starts at nothing and is not held back


def test_spent_credits_tell_the_pace_and_nothing_is_held_back_in_unlimited_mode() -> None:
    """Truth: 2 vCPUs at the base line of 20 % earn 0.4 credits a minute; 1.6 spent of 12 left last ten minutes."""
    world = World(STALL).cloudwatch("ec2:i-1", "CPUCreditBalance", (60, 20, 0), "minimum")
    row = {"resource": "ec2:i-1", "type": "t3.medium", "mode": "standard", "spent": amount(1.6, "count"),
           "earned": amount(0.4, "count"), "left": amount(600, "duration")}  # fmt: skip

    def told(**changed: object) -> list[str]:
        facts = dataclasses.replace(FACTS, credits={"ec2:i-1": {**row, **changed}})
        return [item["text_key"] for f in world.diagnosis(facts)["findings"] for item in f["evidence"]]

    assert "evidence.target.credit_pace" in told()
    assert "evidence.target.credit_pace_even" in told(left=amount(None, "duration"))
    assert told(mode="unlimited") == []
    assert not any("pace" in e["text_key"] for f in world.diagnosis(FACTS)["findings"] for e in f["evidence"])


@pytest.mark.parametrize("first", ["unlimited", "standard"])
def test_an_unlimited_instance_hides_no_standard_one_that_is_held(first: str) -> None:
    other = {"unlimited": "standard", "standard": "unlimited"}[first]
    modes = {"ec2:i-1": first, "ec2:i-2": other, "ec2:i-3": "standard"}
    world = World(STALL)
    for resource, mode in modes.items():
        values = (0, 0, 0) if resource == "ec2:i-3" else (60, 20, 0) if mode == "unlimited" else (60, 20, 0.5)
        world.cloudwatch(resource, "CPUCreditBalance", values, "minimum")
    row = {"type": "t3.medium", "spent": amount(1.6, "count"), "earned": amount(0.4, "count"),
           "left": amount(600, "duration")}  # fmt: skip
    facts = dataclasses.replace(FACTS, credits={name: {**row, "mode": mode} for name, mode in modes.items()})
    (found,) = world.diagnosis(facts)["findings"]
    held = "i-1" if first == "standard" else "i-2"
    assert (found["cause"], found["evidence"][1]["values"]["resource"]) == ("cpu_credits", held)


def test_memory_that_runs_out_with_swapping() -> None:
    world = on_host("mem_used_ratio", [0.5, 0.9, 0.98])
    assert [f["strength"] for f in world.diagnosis(FACTS)["findings"]] == ["moderate"]
    world.on("app-1", "swap_out_bytes_per_s", [0, 0, 4e6], "vmstat")
    assert [(f["cause"], f["strength"]) for f in world.diagnosis(FACTS)["findings"]] == [("target_memory", "strong")]


def test_pages_swapped_while_memory_is_plenty_are_no_finding() -> None:
    world = on_host("mem_used_ratio", [0.5, 0.5, 0.5]).on("app-1", "swap_out_bytes_per_s", [0, 0, 4e4], "vmstat")
    assert causes(world.diagnosis(FACTS)) == []


def test_allowances_that_aws_enforces() -> None:
    name = "ethtool_bw_out_allowance_exceeded{interface=eth0}"
    shaped = World(STALL).cloudwatch("ec2:i-1", name, [0, 0, 90], "increase")
    assert causes(shaped.diagnosis(FACTS)) == ["network_allowance"]
    assert shaped.diagnosis(FACTS)["findings"][0]["evidence"][1]["values"]["limit"]["value"] == 270
    assert causes(World(STALL).cloudwatch("ec2:i-1", name, [7, 7, 7], "increase").diagnosis(FACTS)) == []


def test_a_known_bandwidth() -> None:
    world = World(STALL).cloudwatch("ec2:i-1", "NetworkOut", [1e9, 5e9, 6e9], "sum")
    known = Facts(limits={"ec2:i-1 network.instance_out": 6.25e8})
    assert causes(world.diagnosis(known)) == ["network_allowance"]
    assert causes(world.diagnosis(Facts(limits={"ec2:i-1 network.instance_out": 1.25e9}))) == []
    assert causes(world.diagnosis(Facts(limits={"ec2:i-1 network.instance_out": 1.5e8}))) == [], "a burst is no limit"


def test_a_disk_that_is_busy_all_the_time() -> None:
    world = on_host("disk_sda_busy_ratio", [0.0, 0.1, 0.1]).on("app-1", "disk_nvme0n1_busy_ratio", [0.2, 0.6, 1.0])
    record = world.diagnosis(FACTS)
    assert causes(record) == ["target_disk"]
    assert record["findings"][0]["evidence"][1]["metric"] == "disk_nvme0n1_busy_ratio"
    assert causes(on_host("disk_sda_busy_ratio", [0.2, 0.6, 0.8]).diagnosis(FACTS)) == []


def test_an_empty_ebs_balance() -> None:
    world = World(STALL).cloudwatch("ec2:i-1", "EBSIOBalance%", [90, 40, 1], "minimum")
    assert [(f["cause"], f["strength"]) for f in world.diagnosis(FACTS)["findings"]] == [("target_disk", "strong")]


def test_overflows_of_the_accept_queue() -> None:
    world = on_host("tcp_listen_overflows", [0, 0, 12]).on("local", "tcp_syn_retransmits", [0, 0, 9])
    record = world.fail(2, "timeout", 400).diagnosis(FACTS)
    assert causes(record) == ["accept_queue"]
    keys = [e["text_key"] for e in record["findings"][0]["evidence"]][1:]
    assert keys == ["evidence.target.listen", "evidence.generator.syn", "evidence.failures.timeout"]


def test_overflows_that_were_there_before_or_on_the_generator_alone_are_no_finding() -> None:
    assert causes(on_host("tcp_listen_overflows", [12, 12, 12]).diagnosis(FACTS)) == []
    assert causes(on_host("tcp_listen_overflows", [0, 0, 12], host="local").diagnosis(FACTS)) == []


@pytest.mark.parametrize(
    ("used", "limit", "cause"),
    [
        ("conntrack_entries", "conntrack_limit", "conntrack"),
        ("process_nginx_fds_max", "process_nginx_fds_limit", "target_descriptors"),
    ],
)
def test_shares_of_a_limit(used: str, limit: str, cause: str) -> None:
    full = on_host(used, [100, 600, 1020]).on("app-1", limit, [1024] * 3)
    assert causes(full.diagnosis(FACTS)) == [cause]
    assert full.diagnosis(FACTS)["findings"][0]["evidence"][1]["values"]["limit"]["value"] == pytest.approx(1020 / 1024)
    room = on_host(used, [100, 600, 900]).on("app-1", limit, [1024] * 3)
    assert causes(room.diagnosis(FACTS)) == []
    assert causes(on_host(used, [100, 600, 1020]).diagnosis(FACTS)) == []  # no limit known
