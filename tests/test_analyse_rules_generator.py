"""Generator rules: a hit, and near misses that must not hit."""

import pytest

from diagnosis_tables import HEALTHY, STALL, World, causes
from genkai.analyse.diagnose import Facts

SHARED = Facts(hosts={"local": "generator"}, shared=True, load_balancer="shop")


def test_a_process_at_a_whole_core_is_the_limit() -> None:
    record = World(STALL, limited=[2]).processes([0.2, 0.7, 0.99], lag=[0.002, 0.01, 0.3]).diagnosis()
    assert record["answer_key"] == "answer.generator"
    assert causes(record) == ["generator_cpu"]
    assert record["findings"][0]["strength"] == "strong"
    keys = [e["text_key"] for e in record["findings"][0]["evidence"]]
    assert keys == ["evidence.generator.cpu", "evidence.generator.lag"]


def test_the_generator_goes_before_what_the_service_shows() -> None:
    world = World(STALL, limited=[2]).processes([0.2, 0.7, 0.99]).instances([20, 60, 90])
    assert causes(world.diagnosis()) == ["generator_cpu", "target_cpu"]
    assert world.diagnosis()["answer_key"] == "answer.generator"


def test_a_busy_but_not_full_process_is_no_finding() -> None:
    record = World(STALL).processes([0.2, 0.5, 0.8], lag=[0.002, 0.004, 0.02]).diagnosis()
    assert causes(record) == []
    assert record["answer_key"] == "answer.cannot_tell"


def test_a_full_generator_machine_that_is_not_the_targets() -> None:
    world = World(STALL).processes([0.2, 0.3, 0.4]).on("local", "cpu_busy_ratio", [0.3, 0.7, 0.99])
    assert causes(world.diagnosis(Facts(hosts={"local": "generator"}))) == ["generator_cpu"]


def test_lag_without_cpu_must_be_a_good_part_of_the_response_time() -> None:
    levels = [*STALL[:2], (1000, 510, 0.3, 0.0)]
    assert causes(World(levels).processes([0.2] * 3, lag=[0.002, 0.01, 0.2]).diagnosis()) == ["generator_loop_lag"]
    assert causes(World(levels).processes([0.2] * 3, lag=[0.002, 0.01, 0.06]).diagnosis()) == []


def test_the_level_tables_own_bound_is_enough_where_it_marks_the_level() -> None:
    """A closed workload of callbacks that block: the response time is many lags long, and still theirs."""
    levels = [*STALL[:2], (1000, 510, 0.36, 0.0)]
    world = World(levels, limited=[2]).processes([0.1] * 3, lag=[0.002, 0.01, 0.15])
    assert causes(world.diagnosis()) == ["generator_loop_lag"]
    world = World(levels, limited=[2]).processes([0.1] * 3, lag=[0.002, 0.01, 0.06])
    assert causes(world.diagnosis()) == ["generator_limited"]


def test_a_process_that_waits_for_a_cpu_whenever_it_does_not_run_is_out_of_cpu() -> None:
    world = World(STALL).processes([0.2, 0.3, 0.45], waited=[0.01, 0.05, 0.53])
    finding = world.diagnosis()["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("generator_cpu", "strong")
    assert finding["evidence"][0]["text_key"] == "evidence.generator.starved"
    assert finding["evidence"][0]["values"]["limit"]["unit"] == "ratio", "a share of the time, no count"
    assert finding["evidence"][0]["values"]["ran"]["value"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("ran", "waited"),
    [([0.2, 0.3, 0.45], [0.01, 0.05, 0.3]), ([0.2, 0.3, 0.85], [0.01, 0.02, 0.1]), ([0.4] * 3, [0.56, 0.56, 0.58])],
    ids=["it also sleeps", "it hardly waits", "it waited as long far below the limit"],
)
def test_a_process_that_merely_waits_now_and_then_is_not(ran: list, waited: list) -> None:
    assert causes(World(STALL).processes(ran, waited=waited).diagnosis()) == []


def test_a_process_that_is_starved_at_the_knee_already_is_the_limit() -> None:
    """Throughput at the knee is nine tenths of the ceiling and more, so what limits is as full there."""
    record = World(STALL).processes([0.2, 0.4, 0.4], waited=[0.1, 0.56, 0.58]).diagnosis(Facts())
    assert causes(record) == ["generator_cpu"]


def test_a_marked_level_on_a_full_machine_is_the_machines() -> None:
    world = World(STALL, limited=[2]).processes([0.2, 0.3, 0.4], lag=[0.002, 0.003, 0.09])
    assert causes(world.diagnosis(SHARED)) == ["generator_limited"]
    assert causes(world.on("local", "cpu_busy_ratio", [0.3, 0.7, 0.99]).diagnosis(SHARED)) == ["shared_machine_cpu"]


def test_a_full_shared_machine_is_named_instead_of_a_starved_process() -> None:
    world = World(STALL).processes([0.2, 0.3, 0.45], waited=[0.01, 0.05, 0.53])
    world.on("local", "cpu_busy_ratio", [0.3, 0.7, 0.99])
    assert causes(world.diagnosis(SHARED))[0] == "shared_machine_cpu"
    assert "generator_cpu" not in causes(world.diagnosis(SHARED))


@pytest.mark.parametrize(
    ("kind", "cause"), [("no_port", "generator_ports"), ("no_fd", "generator_descriptors"), ("refused", None)]
)
def test_failures_of_the_generators_own_sockets(kind: str, cause: str | None) -> None:
    levels = [*STALL[:2], (1000, 480, 0.05, 0.2)]
    world = World(levels).processes([0.2, 0.4, 0.5], time_wait=[100, 9000, 28000], fds=[80, 400, 1024])
    assert causes(world.fail(2, kind, 3000).diagnosis()) == ([cause] if cause else [])


def test_a_handful_of_own_failures_among_thousands_is_not_a_cause() -> None:
    assert causes(World(STALL).processes([0.2] * 3).fail(2, "no_port", 6).diagnosis()) == []


def test_too_few_users_for_the_target_rate() -> None:
    record = World(HEALTHY).diagnosis(target_rps=2000.0)
    assert record["answer_key"] == "answer.no_limit"
    assert causes(record) == ["generator_too_few_users"]
    assert record["findings"][0]["values"]["needed"]["value"] == 2031  # 2000 × 1000 ÷ 985, rounded up


def test_enough_users_or_an_open_workload_need_no_more() -> None:
    assert causes(World(HEALTHY).diagnosis(target_rps=900.0)) == []
    assert causes(World(HEALTHY).diagnosis()) == []
    assert causes(World(HEALTHY, workload="open").diagnosis(target_rps=2000.0)) == []


def test_a_level_marked_without_a_cause_is_still_the_generators() -> None:
    record = World(STALL, limited=[2]).processes([0.2] * 3).diagnosis()
    assert causes(record) == ["generator_limited"]
    assert record["answer_key"] == "answer.generator"


def test_a_generator_at_its_limit_after_the_target_was_reached_does_not_matter() -> None:
    world = World(HEALTHY, limited=[2]).processes([0.2, 0.5, 0.99])
    reached = world.diagnosis(target_rps=400.0)
    assert (reached["answer_key"], reached["findings"]) == ("answer.no_limit", [])
    assert reached["values"]["highest"]["value"] == 495  # the marked level vouches for nothing
    assert world.diagnosis(target_rps=800.0)["answer_key"] == "answer.generator"


def test_a_full_shared_machine_is_said_and_nobody_else_blamed() -> None:
    world = World(STALL).on("local", "cpu_idle_ratio", [0.7, 0.4, 0.02], "vmstat")
    world.on("local", "run_queue", [1, 3, 14], "vmstat")
    record = world.diagnosis(SHARED)
    assert causes(record) == ["shared_machine_cpu"]
    assert record["answer_key"] == "answer.generator"
    keys = [e["text_key"] for e in record["findings"][0]["evidence"]]
    assert keys == ["evidence.levels.throughput", "evidence.machine.cpu", "evidence.machine.run_queue"]


def test_a_shared_machine_with_idle_time_is_not_the_limit() -> None:
    world = World(STALL).on("local", "cpu_idle_ratio", [0.7, 0.4, 0.2], "vmstat")
    assert causes(world.diagnosis(SHARED)) == []


def test_a_machine_that_others_kept_as_full_below_the_limit_explains_nothing() -> None:
    world = World(STALL).on("local", "cpu_idle_ratio", [0.03, 0.02, 0.01], "vmstat")
    record = world.processes([0.1] * 3, lag=[0.004, 0.005, 0.006]).diagnosis(SHARED)
    assert causes(record) == []
    row = next(r for r in record["ruled_out"] if r["resource"] == "host:local")
    assert (row["verdict"], row["why_key"]) == ("busy", "ruled_out.why.as_before")


def test_a_shared_machine_that_is_full_at_the_knee_already_is_the_limit() -> None:
    """Utilisation law: with 97 % of the ceiling the machine is that full, too; its instances' CPU is not the cause."""
    world = World(STALL).on("local", "cpu_idle_ratio", [0.7, 0.01, 0.0], "vmstat").instances([20, 92, 93])
    record = world.processes([0.1] * 3, lag=[0.002, 0.002, 0.003]).diagnosis(SHARED)
    assert (causes(record)[0], record["answer_key"]) == ("shared_machine_cpu", "answer.generator")
    assert "ruled_out.why.as_before" not in [r["why_key"] for r in record["ruled_out"]]


def test_instances_that_wait_at_the_knee_already_are_kept_waiting_by_the_full_machine() -> None:
    """As measured: the wait behind the balancer grew eightfold to a knee at the ceiling, and not twofold from there."""
    levels = [(5, 46, 0.008, 0.0), (15, 133, 0.010, 0.0), (150, 865, 0.072, 0.0), (300, 843, 0.258, 0.0)]
    world = World(levels).on("local", "cpu_idle_ratio", [0.4, 0.7, 0.0, 0.0], "vmstat")
    world.instances([6, 20, 92, 93], [6, 20, 91, 85]).processes([0.1] * 4, lag=[0.003, 0.003, 0.003, 0.002])
    world.balancer([46, 133, 865, 843], [0.008, 0.009, 0.083, 0.154], [0, 0, 0, 112])
    record = world.diagnosis(SHARED)
    assert (causes(record)[0], record["answer_key"]) == ("shared_machine_cpu", "answer.generator")


def test_unless_the_generator_itself_woke_later_then() -> None:
    world = World(STALL).on("local", "cpu_idle_ratio", [0.03, 0.02, 0.01], "vmstat")
    finding = world.processes([0.1] * 3, lag=[0.004, 0.005, 0.06]).diagnosis(SHARED)["findings"][0]
    assert (finding["cause"], finding["strength"]) == ("shared_machine_cpu", "moderate")


def test_a_full_machine_in_which_nothing_starves_explains_nothing() -> None:
    """Others take the CPU in bursts: the generator wakes on time and the instances answer as before."""
    world = World(STALL).on("local", "cpu_idle_ratio", [0.6, 0.3, 0.01], "vmstat").instances([2, 4, 4])
    world.balancer([100, 495, 510], [0.019, 0.021, 0.021], [0, 0, 470]).processes([0.1] * 3, lag=[0.002, 0.002, 0.003])
    assert causes(world.diagnosis(SHARED)) == ["load_balancer_capacity"]
    starved = world.processes([0.1] * 3, lag=[0.002, 0.002, 0.2])
    assert causes(starved.diagnosis(SHARED))[0] == "shared_machine_cpu"


def test_an_instance_that_sleeps_most_is_not_starved_where_the_generator_is_not() -> None:
    """The wait is behind the balancer, on a full machine: the kernel serves light sleepers first, so it is not CPU."""
    for cpu, expected in ((4, []), (60, ["shared_machine_cpu"])):
        world = World(STALL).on("local", "cpu_idle_ratio", [0.6, 0.3, 0.01], "vmstat").instances([2, 4, cpu])
        world.balancer([100, 495, 510], [0.019, 0.021, 0.94], [0, 0, 0]).processes([0.1] * 3, lag=[0.002, 0.002, 0.003])
        assert causes(world.diagnosis(SHARED)) == expected


def test_a_full_machine_on_which_nobody_waits_longer_is_not_what_makes_errors() -> None:
    for response, expected in ((0.021, []), (0.4, ["shared_machine_cpu"])):
        levels = [*STALL[:2], (1000, 500, response, 0.3)]
        world = World(levels).on("local", "cpu_idle_ratio", [0.6, 0.3, 0.01], "vmstat").fail(2, "reset", 5000)
        world.processes([0.1] * 3, lag=[0.002, 0.002, 0.003])
        assert causes(world.diagnosis(Facts(hosts={"local": "generator"}, shared=True))) == expected


def test_a_full_machine_at_the_lowest_level_needs_somebody_who_starves() -> None:
    levels = [(5, 9, 0.5, 0.0), (15, 28, 0.5, 0.0)]
    facts = Facts(limits_s={"p95_s": 0.2}, hosts={"local": "generator"}, shared=True)
    for lag, expected in ((0.004, []), (0.06, ["shared_machine_cpu"])):
        world = World(levels).on("local", "cpu_busy_ratio", [1.0, 1.0]).processes([0.1] * 2, lag=[lag] * 2)
        assert causes(world.diagnosis(facts)) == expected


def test_a_level_that_only_the_generator_missed_does_not_explain_an_earlier_stall() -> None:
    levels = [*STALL, (2000, 505, 1.9, 0.0)]
    assert causes(World(levels, limited=[3]).processes([0.2] * 4).diagnosis()) == []
    assert causes(World(levels, limited=[2, 3]).processes([0.2] * 4).diagnosis()) == ["generator_limited"]


GENERATOR = Facts(hosts={"local": "generator", "app-1": "target"})


def test_a_generator_whose_cpu_the_hypervisor_withholds() -> None:
    world = World(STALL).on("local", "cpu_steal_ratio", [0.0, 0.02, 0.4])
    assert [(f["cause"], f["strength"]) for f in world.diagnosis(GENERATOR)["findings"]] == [
        ("generator_credits", "moderate")
    ]
    assert causes(World(STALL).on("local", "cpu_steal_ratio", [0.0, 0.02, 0.05]).diagnosis(GENERATOR)) == []
    assert causes(World(STALL).on("local", "cpu_steal_ratio", [0.3, 0.3, 0.3]).diagnosis(GENERATOR)) == []
    assert causes(World(STALL).on("app-1", "cpu_steal_ratio", [0.0, 0.02, 0.4]).diagnosis(GENERATOR)) == [
        "target_cpu_steal"
    ]


def test_a_generator_that_fills_its_network() -> None:
    world = World(STALL).on("local", "net_received_bytes_per_s", [2e7, 1e8, 1.2e8])
    known = Facts(hosts={"local": "generator"}, limits={"host:local network.in": 1.25e8})
    assert causes(world.diagnosis(known)) == ["generator_network"]
    assert causes(world.diagnosis(GENERATOR)) == [], "nothing is known of its limit"
    wide = Facts(hosts={"local": "generator"}, limits={"host:local network.in": 1.25e9})
    assert causes(world.diagnosis(wide)) == []


def test_a_clock_that_moved_is_worth_knowing_but_explains_nothing() -> None:
    moved = Facts(clock_offsets_s={"app-1": (0.01, 0.35), "app-2": (2.0, 2.01)})
    record = World(STALL).diagnosis(moved)
    assert (causes(record), record["answer_key"]) == (["clock_unsynchronised"], "answer.cannot_tell")
    assert record["findings"][0]["evidence"][0]["values"]["resource"] == "app-1"
    assert causes(World(STALL).diagnosis(Facts(clock_offsets_s={"app-1": (2.0, 2.01)}))) == [], "that is corrected"
