"""What notebook 20 shows while a run goes on."""

from __future__ import annotations

import html
import io
import time
from typing import Any

from genkai import figures
from genkai.launch import Progress
from genkai.pages.locust_page import local_address, proxied_path
from genkai.workspace import Run

REDRAW_S = 5.0  # the live figure costs CPU that the load may need
SILENT_S, MOST_LINES = 60.0, 20  # a run that lasts says so every minute, an endurance run twenty times


class Live:
    """What is shown while a run goes on: a bar each second, a figure now and then, a printed line for each level.

    Outside a notebook only the lines are printed; of a level that lasts there are more while it goes on.
    """

    def __init__(self, target_rps: float | None = None) -> None:
        self.target_rps = target_rps
        self._rows: list[Progress] = []
        self._run: Run | None = None
        self._figure: Any = None
        self._drawn = -REDRAW_S
        self._told_s = 0.0  # of the run, when the last line was printed
        self._bar, self._picture = _handles()

    def __call__(self, run: Run, progress: Progress) -> None:
        """Take one second of a run."""
        if self._run != run:
            self._end_level()
            self._run, self._rows, self._figure, self._told_s = run, [], None, 0.0
            print(f"    {run.title}:", flush=True)
            if address := local_address(run):
                print(f"      Locust's own page: {address}", flush=True)
        elif self._rows and self._rows[-1].level != progress.level:
            self._end_level()
        self._rows.append(progress)
        if progress.elapsed_s - self._told_s >= max(SILENT_S, progress.total_s / MOST_LINES):
            self._tell_meanwhile()
        if self._bar is not None:
            self._show(run, progress)

    def close(self) -> None:
        """Print the last level's line and draw the last frame."""
        self._end_level()
        if self._bar is not None and self._rows:
            self._drawn = -REDRAW_S
            self._show(self._run, self._rows[-1], over=True)

    def _end_level(self) -> None:
        if self._rows:
            rows = [r for r in self._rows if r.level == self._rows[-1].level]
            self._tell(rows[len(rows) // 3 :])

    def _tell_meanwhile(self) -> None:
        last = self._rows[-1]
        recent = [r for r in self._rows if r.level == last.level and r.elapsed_s > self._told_s]
        self._tell(recent, f"{last.elapsed_s / 60:.0f} of {last.total_s / 60:.0f} min: ", _generator(last))

    def _tell(self, rows: list[Progress], before: str = "", after: str = "") -> None:
        """One line of so many seconds of one level."""
        last = rows[-1]
        rps = sum(r.throughput_rps for r in rows) / len(rows)
        p95 = sorted(r.p95_s for r in rows if r.p95_s is not None)
        unit = "users" if last.workload == "closed" else "rps"
        response = f", p95 {p95[len(p95) // 2] * 1000:.0f} ms" if p95 else ""
        load = f"{last.intended:.0f} {unit} → {rps:.0f} rps{response}, {last.failed} failed so far"
        print(f"      {before}{load}{after}", flush=True)
        self._told_s = last.elapsed_s

    def _show(self, run: Run, progress: Progress, over: bool = False) -> None:
        """Update bar and figure; a picture that fails must never end the load."""
        try:
            page = None if over else proxied_path(run) or local_address(run)
            self._bar.update(_Html(_bar(run, progress, page)))
            self._draw()
        except Exception as error:
            print(f"      the live view is switched off: {type(error).__name__}: {error}", flush=True)
            self._bar = None

    def _draw(self) -> None:
        if time.monotonic() - self._drawn < REDRAW_S:
            return
        self._drawn = time.monotonic()
        self._figure = figures.live(self._rows, self._figure, target_rps=self.target_rps)
        picture = io.BytesIO()
        self._figure.savefig(picture, format="png", dpi=110)
        self._picture.update(_Png(picture.getvalue()))


def _bar(run: Run, progress: Progress, page: str | None = None) -> str:
    share = min(progress.elapsed_s / progress.total_s, 1.0) if progress.total_s else 0.0
    unit = "users" if progress.workload == "closed" else "rps"
    p95 = "–" if progress.p95_s is None else f"{progress.p95_s * 1000:.0f} ms"
    load = f"level {progress.level + 1}, {progress.intended:.0f} {unit} → {progress.throughput_rps:.0f} rps"
    elapsed = f"{progress.elapsed_s:.0f} of {progress.total_s:.0f} s"
    text = html.escape(f"{run.subject}: {load}, p95 {p95}, {progress.failed} failed, {elapsed}{_generator(progress)}")
    if page:
        text += f' · <a href="{html.escape(page)}" target="_blank" rel="noopener">Locust\'s own page</a>'
    filled = f'<div style="background:#0072b2;height:6px;width:{share:.1%}"></div>'
    return (
        f'<div style="font-variant-numeric:tabular-nums">{text}</div>'
        f'<div style="background:#d8dee4;height:6px;max-width:860px">{filled}</div>'
    )


def _generator(progress: Progress) -> str:
    """The generator's own health: its busiest process, and the ports that it has left towards the target."""
    parts = [f"{progress.generator_cpu_ratio:.0%} of a core"] if progress.generator_cpu_ratio is not None else []
    parts += [f"{progress.ports_left} ports left"] if progress.ports_left is not None else []
    return f" · generator {', '.join(parts)}" if parts else ""


class _Html:
    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.text, "text/plain": ""}


class _Png:
    def __init__(self, picture: bytes) -> None:
        self.picture = picture

    def _repr_png_(self) -> bytes:
        return self.picture


def _handles() -> tuple[Any, Any]:
    """Two display handles in a notebook, else (None, None)."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return None, None
    return display(_Html(""), display_id=True), display(_Html(""), display_id=True)
