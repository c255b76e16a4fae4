"""A day of eight hosts at 1 s and 200 CloudWatch metrics: read, aligned, summarised.

    python tests/bench/bench_collect_day.py [--hosts 8] [--hours 24] [--counters 36] [--json FILE]

Bar: ≤ 20 s and ≤ 2 GB on 2 cores for 28 million values; --counters 999 takes all that this machine's /proc tells.
The logs are real ones of this machine, their counters moved on; CloudWatch is the local stand-in over HTTP. What is
measured runs in a process of its own: the raw logs become the metrics table (on one clock, at the start of each
interval), CloudWatch is pulled, each series is summed up over each of 24 levels, and the rules of the diagnosis take
what they ask for. cpu_s is the processor time of that, threads added up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from cloudwatch_server import CloudWatchServer
from genkai.collect.catalogue import Resource, metrics_of
from genkai.collect.proc_sampler import proc_command

LEVELS = 24
SERIES = 200
HEADING = (
    "--procs-- ---memory--- ---swap-- -----io---- -system-- ------cpu------ -----timestamp-----\n"
    "r b swpd free buff cache si so bi bo in cs us sy id wa st gu UTC\n"
)


def vmstat_log(begin: float, rows: int, seed: int) -> str:
    """Rows of vmstat -w -t with noise."""
    rng = np.random.default_rng(seed)
    stamps = np.datetime_as_string((begin + np.arange(rows)).astype("datetime64[s]"))
    us, sy = rng.integers(0, 60, rows), rng.integers(0, 20, rows)
    columns = [rng.integers(0, 9, rows), rng.integers(0, 3, rows), np.zeros(rows, int),
               rng.integers(18_000_000, 21_000_000, rows), np.full(rows, 5592), 575_896 + np.arange(rows),
               *np.zeros((2, rows), int), rng.integers(0, 997, rows), rng.integers(0, 89, rows),
               rng.integers(700, 9000, rows), rng.integers(400, 20_000, rows), us, sy, 100 - us - sy,
               *np.zeros((3, rows), int)]  # fmt: skip
    lines = zip(zip(*columns, strict=True), stamps, strict=True)
    return HEADING + "".join(f"{' '.join(map(str, row))} {stamp.replace('T', ' ')}\n" for row, stamp in lines)


def proc_log(sample: list[str], begin: float, rows: int, seed: int, most: int) -> str:
    """This machine's own sample, its first counters moved on."""
    counters = np.array(sample[2].split()[2:-1], float).astype(np.int64)[:most]
    rng = np.random.default_rng(seed)
    rates = rng.integers(0, 2000, len(counters)) * (counters > 1000)
    up = float(sample[2].split()[1])
    hertz = sample[0].split()[4]
    lines = [f"#genkai-proc 1 {begin:.3f} {up:.2f} {hertz}", " ".join(sample[1].split()[: 2 + most])]
    for i in range(rows):
        counters = counters + rng.poisson(rates) if i % 100 == 0 else counters + rates
        lines.append(f"S {up + i:.2f} {' '.join(map(str, counters.tolist()))} .")
    return "\n".join(lines) + "\n"


def cloudwatch_day(server: CloudWatchServer, begin: float, minutes: int) -> list[str]:
    """Fill the stand-in with 200 series or a few more; returns the ids of the instances."""
    names = []
    found = 0
    while found < SERIES:
        instance = f"i-{len(names):04d}"
        for number, metric in enumerate(metrics_of("instance")):
            if metric.listed or metric.namespace != "AWS/EC2":
                continue
            step = max(metric.period_s, 60)
            points = {begin + t: float((t // 60 * 7 + number) % 90) for t in range(0, minutes * 60, step)}
            server.put(metric.namespace, {"InstanceId": instance}, metric.name, points, "None")
            found += len(metric.stats)
        names.append(instance)
    return names


def work(folder: Path) -> None:
    """What is measured; prints its figures as JSON."""
    began = time.perf_counter()
    from genkai.analyse.level_metrics import summarise_levels
    from genkai.analyse.rules.case import signal_table
    from genkai.analyse.rules.samples import Samples
    from genkai.collect.cloudwatch_pull import pull_cloudwatch
    from genkai.collect.sampling import collect_hosts
    from genkai.metrics import read_metrics, write_metrics
    from genkai.plan import Aws, Host
    from genkai.workspace import Run

    given = json.loads((folder / "given.json").read_text())
    run, figures = Run(folder / "4-endurance-day"), {}

    def took(name: str) -> None:
        nonlocal began
        now = time.perf_counter()
        figures[f"{name}_s"], began = now - began, now

    took("import")
    collect_hosts(run, [Host(name=name) for name in given["hosts"]])
    took("hosts")
    resources = [Resource("instance", name, {"InstanceId": name}) for name in given["instances"]]
    first, last = (datetime.fromtimestamp(t, UTC) for t in given["window"])
    pull = pull_cloudwatch(Aws(endpoints={"cloudwatch": given["url"]}), resources, first, last)
    write_metrics([pull.frame], run.table("metrics", "cloudwatch"))
    took("cloudwatch")
    metrics = read_metrics(run.tables("metrics"))
    took("index")
    summary = summarise_levels(metrics, given["marks"])
    took("summary")
    samples = Samples(metrics)
    spans = [(m["hold_start"], m["end"]) for m in given["marks"]]
    signals = sum(len(samples.series(signal, spans)) for signal in signal_table().values())
    took("rules")
    figures |= {
        "values_million": len(metrics) / 1e6, "series": len(metrics.keys), "cloudwatch_series": len(pull.series),
        "cloudwatch_calls": pull.calls, "summary_rows": len(summary), "signals": signals,
        "table_mb": sum(p.stat().st_size for p in run.tables("metrics")) / 1e6,
        "cpu_s": time.process_time(), "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }  # fmt: skip
    print(json.dumps(figures))


def main() -> None:
    """Make the logs, start the work in a process of its own, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--counters", type=int, default=36, help="counters of /proc in each sample")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    rows = round(given.hours * 3600)
    begin = (time.time() - rows - 60) // 300 * 300
    sample = subprocess.run(
        ["sh", "-c", proc_command(1)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with tempfile.TemporaryDirectory() as name, CloudWatchServer() as server:
        folder, hosts = Path(name), [f"web{i}" for i in range(given.hosts)]
        raw = folder / "4-endurance-day/raw"
        raw.mkdir(parents=True)
        for seed, host in enumerate(hosts):
            (raw / f"{host}.vmstat.log").write_text(vmstat_log(begin, rows, seed))
            (raw / f"{host}.proc.log").write_text(proc_log(sample, begin, rows, seed, given.counters))
        instances = cloudwatch_day(server, begin, rows // 60)
        edges = [begin + rows / LEVELS * i for i in range(LEVELS + 1)]
        marks = [{"level": i, "intended": 10.0 * (i + 1), "start": a, "hold_start": a, "end": b}
                 for i, (a, b) in enumerate(itertools.pairwise(edges))]  # fmt: skip
        told = {
            "hosts": hosts,
            "instances": instances,
            "url": server.url,
            "window": [begin, begin + rows],
            "marks": marks,
        }
        (folder / "given.json").write_text(json.dumps(told))
        size = sum(p.stat().st_size for p in raw.iterdir()) / 1e6
        started = time.perf_counter()
        done = subprocess.run([sys.executable, __file__, "--work", name], stdout=subprocess.PIPE, text=True, check=True)
        figures = {"raw_logs_mb": size, **json.loads(done.stdout), "total_s": time.perf_counter() - started}
    for name, value in figures.items():
        print(f"{name:20} {value:10.4g}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
