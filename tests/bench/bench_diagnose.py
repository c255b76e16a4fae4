"""How long a diagnosis takes: a 10-minute run with 8 hosts, made of the recorded sample (bar: 5 s).

`python tests/bench/bench_diagnose.py`: each level's hold of the sample's scenario is repeated until the run lasts ten
minutes, its machine stands for eight hosts; then everything is read from files, as `genkai diagnose` does.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent))

from genkai import schema
from genkai.analyse.diagnose import diagnose
from genkai.pages.findings import findings_record
from genkai.study import read_study
from genkai.study.results import fit_run, tables_of
from genkai.workspace import open_cycle
from sample_cycles import own_cycle

HOSTS, REPEATED = 8, 8


def stretched(table: pd.DataFrame, marks: list[dict], begins: list[float]) -> pd.DataFrame:
    """Every row of a hold REPEATED times, one hold after the other; ramps once; times moved along."""
    seconds = table["time"].astype("int64").to_numpy() / 1e6
    parts = []
    for mark, begin in zip(marks, begins, strict=True):
        hold = mark["end"] - mark["hold_start"]
        ramp = (seconds >= mark["start"]) & (seconds < mark["hold_start"])
        held = (seconds >= mark["hold_start"]) & (seconds < mark["end"])
        parts.append(table[ramp].assign(time=moved(table[ramp], begin - mark["start"])))
        parts += [
            table[held].assign(time=moved(table[held], begin - mark["start"] + n * hold)) for n in range(REPEATED)
        ]
    return pd.concat(parts, ignore_index=True)


def moved(table: pd.DataFrame, seconds: float) -> pd.Series:
    """Its times, later by so many seconds."""
    return table["time"] + pd.Timedelta(microseconds=round(seconds * 1e6))


def make(place: Path) -> Path:
    """A cycle with the long run; the path of the run."""
    cycle = own_cycle(place, results=False)
    run = cycle.run("scenario", "shopping")
    marks = json.loads((run.path / "marks.json").read_text())
    begins, longer, at = [], [], float(marks[0]["start"])
    for mark in marks:
        ramp, hold = mark["hold_start"] - mark["start"], mark["end"] - mark["hold_start"]
        begins.append(at)
        longer.append({**mark, "start": at, "hold_start": at + ramp, "end": at + ramp + REPEATED * hold})
        at = longer[-1]["end"]
    for path in sorted(run.path.glob("*.parquet")):
        table = path.name.partition(".")[0]
        frame = stretched(pd.read_parquet(path), marks, begins)
        if path.name == "metrics.hosts.parquet":
            copies = [frame.assign(resource=f"host:app-{n}") for n in range(1, HOSTS + 1)]
            frame = pd.concat([frame, *copies], ignore_index=True)
        schema.write_table(schema.check_table(frame, table), table, path)
    (run.path / "marks.json").write_text(json.dumps(longer))
    return run.path


def main() -> None:
    """Print what was read and how long it took."""
    with tempfile.TemporaryDirectory() as place:
        path = make(Path(place))
        start, used = time.perf_counter(), time.process_time()
        found = findings_record(path)  # the first time: what was read is kept afterwards
        whole, used = time.perf_counter() - start, time.process_time() - used
        study = read_study(open_cycle(path.parents[1]))
        run = next(r for r in study.runs if r.run.name == path.name)
        tables = tables_of(study, run, fit_run(study, run))
        start = time.perf_counter()
        diagnose(tables)
        rules = time.perf_counter() - start
        span = run.window[1] - run.window[0]
        resources = {key.resource for key in run.metrics.keys}
        print(f"{span:.0f} s, {len(resources)} resources, {len(run.metrics):,} samples, "
              f"{len(run.requests):,} rows of requests; named: {found['findings'][0]['cause']}")  # fmt: skip
        print(f"diagnosis from files to texts: {whole:.2f} s (bar 5 s), {used:.2f} s of CPU; rules: {rules:.2f} s")
        sys.exit(0 if whole <= 5 else 1)


if __name__ == "__main__":
    main()
