"""A tail sees each line once, and half a line later."""

import pytest

from genkai.load.tail import News, Tail
from genkai.workspace import Run
from journal_lines import hist_of, line, write


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "2-api-search")


def test_a_tail_sees_each_line_once_and_half_a_line_later(run: Run) -> None:
    tail = Tail(run)
    assert tail.look() == News()
    write(run, "requests", "a", line(100, sent=3, completed=2, failed=1, hist=hist_of(0.1, 0.1, 0.1)))
    write(run, "generator", "a", {"t": 100, "users": 2, "cpu_ratio": 0.2})
    write(run, "generator", "b", {"t": 100, "users": 3, "cpu_ratio": 0.4})
    news = tail.look()
    assert (news.sent, news.completed, news.failed, news.users, news.cpu_ratio) == (3, 2, 1, 5, 0.4)
    assert news.p95_s == pytest.approx(0.1, rel=1e-3)
    assert news.error_ratio == pytest.approx(1 / 3)
    with open(run.journal("requests", "a"), "a") as stream:
        stream.write('{"t": 101, "api": "search", "sent": 5')
        stream.flush()
        assert tail.look().sent == 0
        stream.write(', "completed": 0, "failed": 0, "dropped": 0, "bytes": 0}\n')
    later = tail.look()
    assert later.sent == 5
    assert later.error_ratio is None
    assert later.users == 5


def test_a_late_flush_is_told_as_the_seconds_that_it_covers(run: Run) -> None:
    tail = Tail(run)
    looks = [((100, 100),), ((101, 101),), (), ((102, 102), (103, 103)), ((104, None),), ((105, 104), (None, 105))]
    found = []
    for told in looks:
        for pair in told:
            for process, second in zip("ab", pair, strict=True):
                if second:
                    write(run, "generator", process, {"t": second, "users": 1})
        found.append(tail.look().seconds)
    assert found == [1, 1, 0, 2, 0.5, 1.5]


def test_a_process_that_is_lost_does_not_stretch_the_seconds_of_the_others(run: Run) -> None:
    tail = Tail(run)
    write(run, "generator", "gone", {"t": 100, "users": 1})
    write(run, "generator", "a", *({"t": second, "users": 1} for second in (100, 101)))
    tail.look()
    write(run, "generator", "a", *({"t": second, "users": 1} for second in range(102, 107)))
    tail.look()
    write(run, "generator", "a", {"t": 107, "users": 1})
    assert tail.look().seconds == 1
