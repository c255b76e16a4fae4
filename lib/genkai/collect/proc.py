"""The /proc sampler's log as metrics: counters become rates or increments of each interval, levels stay levels.

A row's time is the start of the interval before the sample; a level (memory, sockets, queues) is read at its end.

| metric | unit | meaning |
| --- | --- | --- |
| cpu_{user,system,iowait,irq,steal,idle,busy}_ratio | ratio | share of all cores; busy = 1 − idle − iowait |
| coreN_busy_ratio, coreN_steal_ratio, core_max_busy_ratio | ratio | share of one core; the hottest core |
| run_queue, blocked_processes | processes | runnable, in uninterruptible sleep |
| context_switches_per_s, forks_per_s | 1/s | |
| {cpu,io,memory}_pressure_ratio | ratio | share of time in which some task waited for it (PSI) |
| mem_{total,free,available,buffers,cached,dirty}_bytes, swap_used_bytes | bytes | /proc/meminfo |
| mem_used_ratio | ratio | 1 − available / total |
| major_faults_per_s, swap_in_pages_per_s, swap_out_pages_per_s, oom_kills | 1/s, count | /proc/vmstat |
| disk_DEV_{read,written}_bytes_per_s, disk_DEV_{reads,writes}_per_s | bytes/s, 1/s | |
| disk_DEV_busy_ratio, disk_DEV_queue | ratio, requests | time with a request in flight; mean number in flight |
| net_{received,sent}_bytes_per_s, net_{received,sent}_packets_per_s, net_drops | …, count | all interfaces but lo |
| net_IF_… | | the same of one interface, lo too |
| sockets_used, sockets_tcp_in_use, sockets_orphaned, sockets_time_wait, tcp_established | sockets | |
| tcp_memory_bytes | bytes | |
| tcp_{active,passive}_opens_per_s, tcp_segments_{in,out}_per_s | 1/s | |
| tcp_listen_overflows, tcp_listen_drops, tcp_syn_retransmits, tcp_time_wait_overflows, … | count | increments |
| ephemeral_ports, conntrack_entries, conntrack_limit | ports, entries | size of ip_local_port_range |
| listen_PORT_queue, listen_PORT_limit | connections | accept queue, its limit (min(backlog, somaxconn)) |
| files_open, files_limit | descriptors | whole machine |
| process_NAME_cpu_ratio, _count, _threads, _rss_bytes | cores, … | over all processes of that name |
| process_NAME_fds_max, process_NAME_fds_limit | descriptors | of the one that has most; the lowest limit |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from genkai.collect.proc_log import ProcError, ProcLog, ProcRun, parse_proc
from genkai.collect.proc_names import DISK, INCREMENTS, KIB, LEVELS, NET, PAGE, RATES
from genkai.metrics import Block, micros

__all__ = ["ProcError", "ProcLog", "ProcRun", "parse_proc", "proc_blocks"]

_GAP = 5.0  # intervals longer than so many usual ones are gaps, not samples


def proc_blocks(log: ProcLog, host: str, clock_offset_s: float = 0.0) -> list[Block]:
    """The log as blocks of the metrics table (source proc, resource host:NAME), one a start of the sampler.

    clock_offset_s: theirs ahead of ours.
    """
    return [_run_block(run, host, clock_offset_s) for run in log.runs if len(run.raw) > 1]


def _run_block(run: ProcRun, host: str, clock_offset_s: float) -> Block:
    raw, stamps = run.raw, run.raw.index.to_numpy()
    steps = np.diff(stamps)
    whole = (steps > 0) & (steps <= _GAP * max(float(np.median(steps)), 0.5))
    seconds = np.where(whole, steps, np.nan)
    values: dict[str, np.ndarray] = {}
    units: dict[str, str] = {}

    def put(metric: str, unit: str, numbers: np.ndarray) -> None:
        values[metric], units[metric] = np.where(whole, numbers, np.nan), unit

    def level(name: str) -> np.ndarray:
        return raw[name].to_numpy()[1:]

    def increment(name: str) -> np.ndarray:
        grown = np.diff(raw[name].to_numpy())
        return np.where(grown < 0, np.nan, grown)  # it began anew: the interface or the process was replaced

    for part in (_cpu, _memory, _disks, _network, _sockets, _processes):
        part(raw.columns, put, level, increment, seconds, run.ticks)
    for name, metric in INCREMENTS.items():
        if name in raw:
            put(metric, "count", increment(name))
    for name, (metric, unit, factor) in RATES.items():
        if name in raw:
            put(metric, unit, increment(name) * factor / seconds)
    for name, (metric, unit, factor) in LEVELS.items():
        if name in raw:
            put(metric, unit, level(name) * factor)
    times = micros(stamps[:-1] - clock_offset_s)
    return Block("proc", f"host:{host}", times, np.round(steps, 3), values, units)


_Put = Callable[[str, str, np.ndarray], None]
_Read = Callable[[str], np.ndarray]


def _cpu(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    modes = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    hottest: np.ndarray | None = None
    seen = [n.removesuffix(".idle") for n in names if n.startswith("cpu") and n.endswith(".idle")]
    for cpu in [c for c in seen if {f"{c}.{mode}" for mode in modes} <= set(names)]:
        spent = {mode: np.nan_to_num(increment(f"{cpu}.{mode}")) for mode in modes}
        total = sum(spent.values())
        total = np.where(total > 0, total, np.nan)
        busy = 1 - (spent["idle"] + spent["iowait"]) / total
        if cpu == "cpu":
            for metric, mode in (("user", "user"), ("system", "system"), ("iowait", "iowait"), ("idle", "idle"),
                                 ("steal", "steal")):  # fmt: skip
                put(f"cpu_{metric}_ratio", "ratio", (spent[mode] + (spent["nice"] if mode == "user" else 0)) / total)
            put("cpu_irq_ratio", "ratio", (spent["irq"] + spent["softirq"]) / total)
            put("cpu_busy_ratio", "ratio", busy)
        else:
            core = cpu.removeprefix("cpu")
            put(f"core{core}_busy_ratio", "ratio", busy)
            put(f"core{core}_steal_ratio", "ratio", spent["steal"] / total)
            hottest = busy if hottest is None else np.fmax(hottest, busy)
    if hottest is not None:
        put("core_max_busy_ratio", "ratio", hottest)


def _memory(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    if {"mem.MemAvailable", "mem.MemTotal"} <= set(names):
        put("mem_used_ratio", "ratio", 1 - level("mem.MemAvailable") / level("mem.MemTotal"))
    if {"mem.SwapTotal", "mem.SwapFree"} <= set(names):
        put("swap_used_bytes", "bytes", (level("mem.SwapTotal") - level("mem.SwapFree")) * KIB)


def _disks(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    for name in names:
        if name.startswith("disk."):
            device, _, what = name.removeprefix("disk.").rpartition(".")
            metric, unit, factor = DISK.get(what, (what, "1/s", 1.0))
            put(f"disk_{device}_{metric}", unit, increment(name) * factor / seconds)


def _network(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    totals: dict[str, np.ndarray] = {what: np.zeros(len(seconds)) for what in NET}
    drops = np.zeros(len(seconds))
    for name in names:
        if not name.startswith("net."):
            continue
        interface, _, what = name.removeprefix("net.").rpartition(".")
        grown = increment(name)
        if what in NET:
            metric, unit = NET[what]
            put(f"net_{interface}_{metric}", unit, grown / seconds)
            if interface != "lo":
                totals[what] = totals[what] + np.nan_to_num(grown)
        else:
            drops = drops + np.nan_to_num(grown)
    for what, (metric, unit) in NET.items():
        put(f"net_{metric}", unit, totals[what] / seconds)
    put("net_drops", "count", drops)


def _sockets(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    if {"ports.low", "ports.high"} <= set(names):
        put("ephemeral_ports", "ports", level("ports.high") - level("ports.low") + 1)
    for name in names:
        if name.startswith("listen."):
            put(name.replace(".", "_"), "connections", level(name))


_PROCESS = ("utime", "stime", "threads", "rss_pages")


def _processes(names: pd.Index, put: _Put, level: _Read, increment: _Read, seconds: np.ndarray, ticks: float) -> None:
    found: dict[str, list[str]] = {}
    for name in names:
        prefix = name.removesuffix(".utime")
        if name.startswith("process.") and {f"{prefix}.{f}" for f in _PROCESS} <= set(names):
            found.setdefault(prefix.removeprefix("process.").rpartition(".")[0], []).append(prefix)
    for process, prefixes in found.items():
        cpu = [increment(f"{p}.utime") + increment(f"{p}.stime") for p in prefixes]
        put(f"process_{process}_cpu_ratio", "cores", _total(cpu) / ticks / seconds)
        put(
            f"process_{process}_count",
            "processes",
            sum((~np.isnan(level(f"{p}.utime"))).astype(float) for p in prefixes),
        )
        put(f"process_{process}_threads", "threads", _total([level(f"{p}.threads") for p in prefixes]))
        put(f"process_{process}_rss_bytes", "bytes", _total([level(f"{p}.rss_pages") for p in prefixes]) * PAGE)
        counted = [p for p in prefixes if {f"{p}.fds", f"{p}.fds_limit"} <= set(names)]
        if counted:
            put(f"process_{process}_fds_max", "descriptors", _extreme(np.fmax, [level(f"{p}.fds") for p in counted]))
            limits = [np.where(level(f"{p}.fds_limit") > 0, level(f"{p}.fds_limit"), np.nan) for p in counted]
            put(f"process_{process}_fds_limit", "descriptors", _extreme(np.fmin, limits))


def _total(parts: list[np.ndarray]) -> np.ndarray:
    """Sum of what is there; missing where nothing is."""
    present = np.any([~np.isnan(p) for p in parts], axis=0)
    return np.where(present, np.sum([np.nan_to_num(p) for p in parts], axis=0), np.nan)


def _extreme(chosen: np.ufunc, parts: list[np.ndarray]) -> np.ndarray:
    return chosen.reduce(np.array(parts), axis=0)
