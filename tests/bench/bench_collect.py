"""Cost of monitoring: parsing a day of logs, and the sampler's CPU on the watched machine.

    python tests/bench/bench_collect.py [--seconds 20] [--json FILE]

Bars: a day of vmstat (86 400 rows) parsed in ≤ 0.5 s; both samplers together ≤ 2 % of one core at 1 s. A day of /proc
samples is parsed into the metrics table, written and read back.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from genkai import schema
from genkai.collect.proc import parse_proc, proc_blocks
from genkai.collect.proc_sampler import proc_command
from genkai.collect.vmstat import parse_vmstat, vmstat_command, vmstat_metrics

DAY = 86_400
NAMES = "r b swpd free buff cache si so bi bo in cs us sy id wa st gu UTC"
HEADING = f"--procs-- ---memory--- ---swap-- -----io---- -system-- ------cpu------ -----timestamp-----\n{NAMES}\n"


def vmstat_day() -> str:
    """A day of one-second rows."""
    begin = datetime(2024, 5, 1)
    rows = (
        f"{i % 9:4} {0:4} {0:12} {20_000_000 + i * 7919 % 99_999:12} {5592:12} {575_896 + i:12} {0:4} {0:4} "
        f"{i % 997:5} {i % 89:5} {700 + i % 97:4} {400 + i % 101:4} "
        f"{i % 50:3} {20:3} {80 - i % 50:3} {0:3} {0:3} {0:3} "
        f"{begin + timedelta(seconds=i)}\n"
        for i in range(DAY)
    )
    return HEADING + "".join(rows)


def proc_day() -> str:
    """A day of samples: this machine's own, its counters moved on."""
    lines = subprocess.run(
        ["sh", "-c", proc_command(1)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    head, names, sample = lines[0], lines[1], [int(float(v)) for v in lines[2].split()[1:-1]]
    up = float(lines[2].split()[1])
    body = (f"S {up + i:.2f} {' '.join(str(v + i * (n % 7)) for n, v in enumerate(sample[1:]))} ." for i in range(DAY))
    return "\n".join([head, names, *body]) + "\n"


def timed(work):
    """(seconds, result)."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def sampler_cost(seconds: int) -> dict[str, float]:
    """CPU seconds per second of each sampler, by the kernel's accounting of ended children."""
    found = {}
    for name, command in (("vmstat", vmstat_command(seconds)), ("proc", proc_command(seconds, ["sshd"]))):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["sh", "-c", command], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[name] = spent / seconds
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    text = vmstat_day()
    figures: dict[str, float] = {"vmstat_day_parse_s": min(timed(lambda: parse_vmstat(text))[0] for _ in range(5))}
    log = parse_vmstat(text)
    figures["vmstat_day_metrics_s"] = timed(lambda: vmstat_metrics(log, "a"))[0]
    day = proc_day()
    figures["proc_day_mb"] = len(day) / 1e6
    figures["proc_day_parse_s"], parsed = timed(lambda: parse_proc(day))
    figures["proc_day_metrics_s"], table = timed(lambda: pd.concat([block.frame for block in proc_blocks(parsed, "a")]))
    figures["proc_day_values"] = len(table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.parquet"
        figures["proc_day_write_s"] = timed(lambda: schema.write_table(table, "metrics", path))[0]
        figures["proc_day_parquet_mb"] = path.stat().st_size / 1e6
        figures["proc_day_read_s"] = timed(lambda: schema.read_table(path, "metrics"))[0]
    for name, share in sampler_cost(given.seconds).items():
        figures[f"{name}_sampler_core_ratio"] = share
    figures["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    for name, value in figures.items():
        print(f"{name:28} {value:12.4g}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
