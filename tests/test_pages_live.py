"""What is shown while a run goes on: a line for each level, in a notebook a bar and a figure; a drawing that fails
must never end the load."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from genkai import figures
from genkai.launch import Progress
from genkai.pages import live as page
from genkai.pages.live import Live
from genkai.workspace import Run

RUN = Run(Path("runs/3-scenario-shopping"))
OTHER = Run(Path("runs/2-api-search"))


def second(level: int, number: int, rps: float = 50.0, **fields: Any) -> Progress:
    made = Progress(
        level=level, workload="closed", intended=100.0 * (level + 1), users=100, throughput_rps=rps, p95_s=0.02,
        failed=0, generator_cpu_ratio=0.1, elapsed_s=float(number), total_s=20.0,
    )  # fmt: skip
    return dataclasses.replace(made, **fields)


class Handle:
    """Where a notebook would show things: keeps what was shown."""

    def __init__(self, fails: bool = False) -> None:
        self.shown: list[Any] = []
        self.fails = fails

    def update(self, what: Any) -> None:
        if self.fails:
            raise OSError("the browser is gone")
        self.shown.append(what)


@pytest.fixture
def in_notebook(monkeypatch: pytest.MonkeyPatch) -> tuple[Handle, Handle]:
    handles = Handle(), Handle()
    monkeypatch.setattr(page, "_handles", lambda: handles)
    monkeypatch.setattr(page, "REDRAW_S", 0.0)
    return handles


def test_the_bar_tells_the_generators_health(in_notebook: tuple[Handle, Handle]) -> None:
    live = Live()
    for number, health in enumerate(({"ports_left": 27_900}, {"generator_cpu_ratio": None})):
        live(RUN, second(0, number, **health))
    first, last = (shown.text for shown in in_notebook[0].shown)
    assert "generator 10% of a core, 27900 ports left" in first
    assert "generator" not in last


def test_outside_a_notebook_there_is_a_line_for_each_level(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live(700.0)
    for level, rps in enumerate((100.0, 200.0)):
        for number in range(6):
            live(RUN, second(level, 6 * level + number, 0.0 if number < 2 else rps, failed=level * 3))
    live.close()
    assert capsys.readouterr().out.splitlines() == [
        "    shopping:",
        "      100 users → 100 rps, p95 20 ms, 0 failed so far",
        "      200 users → 200 rps, p95 20 ms, 3 failed so far",
    ]


def test_a_level_that_lasts_is_told_of_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    """Every minute; of hours twenty times in all, so that a log of them is read."""
    for total, lines in ((130.0, 3), (7200.0, 21)):
        live = Live()
        for number in range(1, int(total) + 1):
            live(RUN, second(0, number, float(number), total_s=total))
        live.close()
        told = capsys.readouterr().out.splitlines()[1:]
        assert len(told) == lines
    first, second_, last = told[0], told[1], told[-1]
    assert first == "      6 of 120 min: 100 users → 180 rps, p95 20 ms, 0 failed so far · generator 10% of a core"
    assert "12 of 120 min: 100 users → 540 rps" in second_, "of what came since the last line"
    assert " min: " not in last, "the level as a whole"


def test_a_new_run_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live()
    live(OTHER, second(0, 1, 10.0, workload="open", intended=12.0, p95_s=None))
    live(RUN, second(0, 1, 50.0))
    live.close()
    assert capsys.readouterr().out.splitlines() == [
        "    search:", "      12 rps → 10 rps, 0 failed so far",
        "    shopping:", "      100 users → 50 rps, p95 20 ms, 0 failed so far",
    ]  # fmt: skip


def test_before_the_first_second_there_is_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    Live().close()
    assert capsys.readouterr().out == ""


def test_in_a_notebook_a_bar_and_a_real_figure(in_notebook: tuple[Handle, Handle]) -> None:
    bar, picture = in_notebook
    live = Live(700.0)
    live(RUN, second(0, 5, 50.0))
    live(RUN, second(0, 10, 51.0, failed=2))
    live.close()
    texts = [shown._repr_mimebundle_()["text/html"] for shown in bar.shown]
    assert "shopping: level 1, 100 users → 51 rps, p95 20 ms, 2 failed, 10 of 20 s" in texts[-1]
    assert "width:50.0%" in texts[-1]
    assert len(picture.shown) == 3, "each second, and at the end"
    assert all(shown._repr_png_().startswith(b"\x89PNG") for shown in picture.shown)


def test_locusts_page_is_linked_while_the_run_lasts(
    in_notebook: tuple[Handle, Handle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = Run(tmp_path / "3-scenario-shopping")
    run.write_record(web_port=4711)
    live = Live()
    live(run, second(0, 1))
    (tmp_path / "jpserver-77.json").write_text('{"base_url": "/team/"}')
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "77")
    live(run, second(0, 2))
    live.close()
    shown = [s._repr_mimebundle_()["text/html"] for s in in_notebook[0].shown]
    assert [re.findall('href="([^"]*)"', text) for text in shown] == [
        ["http://127.0.0.1:4711/"], ["/team/proxy/4711/"], [],
    ]  # fmt: skip
    assert "      Locust's own page: http://127.0.0.1:4711/" in capsys.readouterr().out.splitlines()


def test_figures_cost_cpu_and_are_drawn_now_and_then(
    in_notebook: tuple[Handle, Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "REDRAW_S", 3600.0)
    live = Live()
    live._drawn = page.time.monotonic()
    for number in range(5):
        live(RUN, second(0, number))
    assert in_notebook[1].shown == []
    assert len(in_notebook[0].shown) == 5
    live.close()
    assert len(in_notebook[1].shown) == 1, "the last frame is drawn whatever the time"


def test_names_are_text_and_no_markup(in_notebook: tuple[Handle, Handle]) -> None:
    Live()(Run(Path("runs/2-api-<b>x")), second(0, 1))
    assert "&lt;b&gt;x" in in_notebook[0].shown[-1]._repr_mimebundle_()["text/html"]


def test_a_run_of_unknown_length_has_a_bar_too(in_notebook: tuple[Handle, Handle]) -> None:
    live = Live()
    live(RUN, second(0, 3, total_s=0.0))
    live(RUN, second(0, 30, p95_s=None))
    shown = [s._repr_mimebundle_()["text/html"] for s in in_notebook[0].shown]
    assert "width:0.0%" in shown[0]
    assert "width:100.0%" in shown[1], "never more than full"
    assert "p95 –" in shown[1]


def test_a_figure_that_fails_never_ends_the_load(
    in_notebook: tuple[Handle, Handle], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("no font")

    monkeypatch.setattr(figures, "live", broken)
    live = Live()
    for number in range(4):
        live(RUN, second(0, number))
    live.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("      the live view is switched off: ValueError: no font") == 1
    assert lines[-1].startswith("      100 users → 50 rps")
    assert len(in_notebook[0].shown) == 1, "what failed once is not tried again"


def test_a_last_frame_that_fails_never_ends_the_notebook(
    in_notebook: tuple[Handle, Handle], capsys: pytest.CaptureFixture[str]
) -> None:
    """The load has been run by then: what was measured must be read and judged."""
    live = Live()
    live(RUN, second(0, 1))
    in_notebook[1].fails = True
    live.close()
    assert "the live view is switched off: OSError: the browser is gone" in capsys.readouterr().out


def test_this_process_is_no_notebook() -> None:
    assert page._handles() == (None, None)
