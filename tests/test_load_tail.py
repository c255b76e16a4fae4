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
