"""Recording: bulk histograms equal single recording, flushed lines add up to what happened, memory stays flat."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genkai import histogram, journals
from genkai.load.recorder import APIS_AT_MOST, MESSAGES_PER_API, HistogramWriter, Recorder
from genkai.workspace import Run, read_journal

durations = st.floats(0, 5000, allow_nan=False)
writer = HistogramWriter()


@given(st.lists(durations, min_size=1, max_size=60))
def test_bulk_recording_equals_recording_one_by_one(values: list[float]) -> None:
    single = histogram.new_histogram()
    for value in values:
        histogram.record_seconds(single, value)
    assert writer.encode(values) == histogram.encode(single).decode()


def test_no_durations_have_no_histogram() -> None:
    assert writer.encode([]) is None


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "2-api-a")


def test_a_response_counts_in_the_second_of_its_intended_send(run: Run, clock: Clock) -> None:
    recorder = Recorder(run, "local", clock)
    cell = recorder.cell("a", 1000.7)
    cell.sent += 1
    clock.time = 1001.0
    recorder.flush()
    assert recorder.in_flight == 1
    clock.time = 1005.2
    cell.completed += 1
    cell.response.append(4.5)
    recorder.flush()
    recorder.close()
    lines = list(read_journal(run.journal("requests", "local")))
    assert [(n["t"], n["sent"], n["completed"]) for n in lines] == [(1000, 1, 0), (1000, 0, 1)]
    row = journals.read_requests(run).iloc[0]
    assert (row["sent"], row["completed"]) == (1, 1)
    assert histogram.quantile_s(histogram.merge([row["hist"]]), 0.5) == pytest.approx(4.5, rel=1e-3)


def test_what_is_flushed_adds_up_whenever_it_is_flushed(run: Run, clock: Clock) -> None:
    recorder, rng = Recorder(run, "local", clock), random.Random(5)
    open_requests, total = [], {"sent": 0, "completed": 0, "failed": 0, "dropped": 0}
    for _ in range(3000):
        clock.time += rng.expovariate(200)
        if rng.random() < 0.1:
            recorder.cell("b", clock.time).dropped += 1
            total["dropped"] += 1
        else:
            cell = recorder.cell(rng.choice("ab"), clock.time)
            cell.sent += 1
            total["sent"] += 1
            open_requests.append(cell)
        if len(open_requests) > 40:
            cell = open_requests.pop(rng.randrange(40))
            cell.response.append(0.1)
            if rng.random() < 0.5:
                cell.completed += 1
                total["completed"] += 1
            else:
                recorder.fail(cell, "timeout_read", None, None, "late")
                total["failed"] += 1
        if rng.random() < 0.01:
            recorder.flush()
    recorder.close()
    table = journals.read_requests(run)
    assert {name: int(table[name].sum()) for name in total} == total
    assert histogram.merge(table["hist"]).total_count == total["completed"] + total["failed"]
    failures = journals.read_failures(run)
    assert failures["count"].sum() == total["failed"]
    assert set(failures["kind"]) == {"timeout"}
    assert set(failures["message"]) == {"timeout_read: late"}


def test_memory_is_flat_over_a_day_of_seconds(run: Run, clock: Clock) -> None:
    recorder = Recorder(run, "local", clock)
    for _ in range(1500):
        clock.time += 1
        cell = recorder.cell("a", clock.time)
        cell.sent += 1
        recorder.fail(cell, "check", 200, None, f"message {clock.time}")
        cell.response.append(0.1)
        recorder.flush()
    assert len(recorder._cells) <= 3
    assert len(recorder._current) <= 1
    assert not recorder._failures
    assert not recorder._messages
    recorder.close()


def test_messages_and_names_without_end_are_bounded(run: Run, clock: Clock) -> None:
    recorder = Recorder(run, "local", clock)
    for number in range(APIS_AT_MOST + 50):
        cell = recorder.cell(f"/item/{number}", clock.time)
        cell.sent += 1
        cell.completed += 1
    cell = recorder.cell("/item/0", clock.time)
    for number in range(100):
        cell.sent += 1
        recorder.fail(cell, "check", 200, None, f"no {number}")
    recorder.close()
    table = journals.read_requests(run)
    assert len(table) == APIS_AT_MOST + 1
    assert table.set_index("api").loc["(other)", "sent"] == 50
    failures = journals.read_failures(run)
    assert len(failures) == MESSAGES_PER_API + 1
    assert failures["count"].sum() == 100


def test_a_sample_of_single_requests_is_logged_where_it_is_wanted(run: Run, clock: Clock) -> None:
    recorder = Recorder(run, "local", clock, log_ratio=0.25)
    for number in range(4000):
        recorder.log.note("a", clock.time, clock.time, clock.time + 0.5, "check" if number % 2 else None, 200)
        if number % 1000 == 0:
            recorder.flush()
    recorder.close()
    lines = list(read_journal(run.journal("samples", "local")))
    assert 800 < len(lines) < 1200, "a quarter, six standard deviations either way"
    assert set(lines[0]) == {"intended", "sent", "done", "api", "kind", "status"}
    assert Recorder(run, "other", clock).log is None
    assert not run.journal("samples", "other").exists()
