"""What was not measured, so that the diagnosis cannot speak of it, and what to switch on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genkai.analyse.rules.case import Case


@dataclass(frozen=True)
class Needed:
    """A measurement that tells causes apart: any of the signals will do; not asked for where it cannot exist."""

    what: str
    signals: tuple[str, ...]
    relevant: Callable[[Case], bool] = lambda case: True
    of_targets: bool = True


def _balanced(case: Case) -> bool:
    return case.facts.load_balancer is not None


def _own_hosts(case: Case) -> bool:
    return not case.facts.shared


def _on_aws(case: Case) -> bool:
    return _balanced(case) and not case.facts.shared


def _sources(case: Case, kind: str) -> bool:
    return any(s.resource.startswith(f"{kind}:") for s in case.series("cpu.busy"))


NEEDED = (
    Needed("target_cpu", ("cpu.busy",)),
    Needed("balancer_queue", ("lb.queue", "lb.rejected", "lb.errors"), _balanced, False),
    Needed("balancer_latency", ("lb.latency",), _balanced, False),
    Needed("workers", ("workers.busy", "status.dropped"), of_targets=False),
    Needed("accept_queue", ("listen.overflows",), of_targets=False),
    Needed("memory", ("memory.available",), _own_hosts),
    Needed("disk", ("disk.busy", "cpu.wait", "ebs.io_balance"), _own_hosts),
    Needed("network_allowance", ("ena.bandwidth_in", "ena.packets"), _on_aws),
    Needed("credits", ("credit.balance",), lambda case: _on_aws(case) and _sources(case, "ec2")),
)


def not_measured(case: Case) -> list[dict[str, str]]:
    """[{what, how_key}] of the measurements that would tell causes apart and are not there."""
    found = []
    if not len(case.tables.generator):
        found.append("generator")
    for needed in NEEDED:
        lookup = case.of_targets if needed.of_targets else case.series
        if needed.relevant(case) and not any(lookup(name) for name in needed.signals):
            found.append(needed.what)
    return [{"what": f"not_measured.{what}.name", "how_key": f"not_measured.{what}.how"} for what in found]
