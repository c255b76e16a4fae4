"""Observations become a table; threads that only ever wait in one place are told from those that serve."""

from genkai.collect.stacks import Observation, cpu_seconds, stacks_table, without_background

A, B = ("main", "serve"), ("main", "serve", "wait; here")


def test_equal_stacks_add_up_and_a_semicolon_cannot_split_a_frame() -> None:
    table = stacks_table(
        [Observation(A, "cpu", 0.02, 2), Observation(A, "cpu", 0.01), Observation(B, "lock", 0.5)], "low", "h:1"
    )
    rows = table.set_index("kind")
    assert rows.loc["cpu", "samples"] == 3
    assert abs(rows.loc["cpu", "seconds"] - 0.03) < 1e-12
    assert abs(rows.loc["cpu", "squares"] - 3 * 0.01**2) < 1e-12
    assert rows.loc["lock", "stack"] == "main;serve;wait, here"


def test_only_a_thread_that_parks_in_one_place_and_nowhere_else_is_background() -> None:
    watcher = [Observation(A, "io", 1.0, 100, "watcher", True)]
    worker = [Observation(A, "sleep", 0.99, 99, "worker", True), Observation(B, "cpu", 0.01, 1, "worker")]
    blocked = [Observation(B, "lock", 1.0, 100, "blocked", False)]
    seldom = [Observation(A, "io", 0.1, 10, "seldom", True)]
    kinds = [o.kind for o in without_background(watcher + worker + blocked + seldom, 100)]
    assert kinds == ["idle", "sleep", "cpu", "lock", "io"]


def test_cpu_seconds_are_the_difference_of_the_kernels_counts() -> None:
    text = "genkai-cpu 100 50 100\nstacks\ngenkai-cpu 180 70 100\n"
    assert cpu_seconds(text) == 1.0
    assert cpu_seconds("genkai-cpu 100 50 100\nthe process ended\n") is None
