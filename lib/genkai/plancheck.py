"""What must hold between the parts of a plan: names that exist, a target to aim at, a host that may be put under load.

Works on the plan as YAML gave it, so that these problems are told together with those of single fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from genkai.allow import AllowEntry, is_allowed
from genkai.planstop import EVENT_METRICS
from genkai.plantls import TLS_FILES

Problem = tuple[tuple, str]
# What an action may answer; the rules themselves belong to the analysis, and a test compares the two.
CAUSES = (
    "generator_ports", "generator_descriptors", "generator_cpu", "generator_credits", "generator_network",
    "generator_loop_lag", "generator_limited", "generator_too_few_users", "clock_unsynchronised",
    "shared_machine_cpu", "load_balancer_capacity", "load_uneven", "target_unhealthy", "targets_close_connections",
    "nlb_ports", "instances_changed", "no_keep_alive", "target_cpu", "target_single_core", "target_cpu_steal",
    "cpu_credits", "target_memory", "network_allowance", "target_disk", "accept_queue", "conntrack",
    "target_descriptors", "target_gone", "rate_limit", "worker_slots", "lock", "periodic_pauses",
    "application_errors", "slow_dependency", "retrograde_scaling", "dynamodb_hot_key", "dynamodb_throttling",
    "lambda_throttling", "elasticache_evictions", "rds_cpu", "rds_io", "elasticache_cpu", "rds_connections",
    "queue_backlog", "memory_leak", "descriptor_leak", "credits_running_out", "response_time_drift",
)  # fmt: skip


def cross_problems(given: dict[str, Any]) -> list[Problem]:
    """(path of the field, what is wrong) for everything that concerns more than one field."""
    return [*_names(given), *_references(given), *_host(given), *_aim(given), *_sizes(given),
            *_tls(given), *_judged(given)]  # fmt: skip


def run_problems(given: dict[str, Any], base_dir: Path) -> list[Problem]:
    """The same for what only a run needs: limits that watch something, causes and files that are there.

    A plan that was run before this was asked for still opens.
    """
    return [
        *_watched(given),
        *_machines(given),
        *_causes(given),
        *_tls_files(given, base_dir),
        *_files(given, base_dir),
    ]


def _items(given: Any, key: str) -> Iterator[tuple[int, dict]]:
    found = given.get(key) if isinstance(given, dict) else None
    if isinstance(found, list):
        yield from ((i, item) for i, item in enumerate(found) if isinstance(item, dict))


def _named(given: dict, key: str) -> list[str]:
    return [item["name"] for _, item in _items(given, key) if isinstance(item.get("name"), str)]


def _names(given: dict) -> Iterator[Problem]:
    for key in ("apis", "scenarios", "hosts"):
        seen: set[str] = set()
        for index, item in _items(given, key):
            name = item.get("name")
            if isinstance(name, str) and name in seen:
                yield (key, index, "name"), f"expected a name of its own, {name!r} is taken"
            seen.add(str(name))


def _references(given: dict) -> Iterator[Problem]:
    apis, scenarios = _named(given, "apis"), _named(given, "scenarios")
    for i, scenario in _items(given, "scenarios"):
        for j, call in _items(scenario, "calls"):
            yield from _known(("scenarios", i, "calls", j, "api"), call.get("api"), apis, "API")
    steps = given.get("steps")
    for step, part in steps.items() if isinstance(steps, dict) else ():
        if not isinstance(part, dict):
            continue
        yield from _known(("steps", step, "api"), part.get("api"), apis, "API")
        apis_given = part.get("apis")
        for i, name in enumerate(apis_given if isinstance(apis_given, list) else []):
            yield from _known(("steps", step, "apis", i), name, apis, "API")
        yield from _known(("steps", step, "scenario"), part.get("scenario"), scenarios, "scenario")
        if step == "verify" and part.get("repeat", 1) != 1:
            yield (
                ("steps", step, "repeat"),
                "expected no repetitions of verify, which measures the generator; leave it out",
            )
        if step in ("scenario", "endurance") and not scenarios:
            yield ("steps", step), "expected a scenario in the plan, got none; write one under scenarios"


def _watched(given: dict) -> Iterator[Problem]:
    """Limits of the stop rule speak of hosts that are watched; without a host, of those that do not send the load."""
    hosts = _named(given, "hosts") if "hosts" in given else ["local"]
    targets = "hosts" not in given or any(host.get("role") != "generator" for _, host in _items(given, "hosts"))
    for index, limit in _items(given.get("stop"), "hosts"):
        yield from _known(("stop", "hosts", index, "host"), limit.get("host"), hosts, "host")
        if limit.get("host") is None and not targets:
            yield (
                ("stop", "hosts", index),
                "expected a watched host that does not generate the load, got "
                f"{'generators only (' + ', '.join(hosts) + ')' if hosts else 'none'}: this limit would watch nothing; "
                "add the target under hosts, or say host",
            )
        metric = limit.get("metric")
        if metric in EVENT_METRICS and limit.get("below") is not None and limit.get("above") is None:
            yield (
                ("stop", "hosts", index),
                f"expected above for {metric}, a count of events, got below; above: 0 is any event",
            )


def _judged(given: dict) -> Iterator[Problem]:
    """What an action is to change is tested; of an earlier cycle it may have had another name."""
    subjects = [*_named(given, "apis"), *_named(given, "scenarios")]
    for index, action in _items(given, "actions"):
        aim = action.get("judged_by")
        if isinstance(aim, dict) and not aim.get("cycle"):
            yield from _known(("actions", index, "judged_by", "subject"), aim.get("subject"), subjects,
                              "API or scenario")  # fmt: skip


def _causes(given: dict) -> Iterator[Problem]:
    """An action whose cause no rule finds would be told as one that was not there."""
    for index, action in _items(given, "actions"):
        cause = action.get("cause")
        if isinstance(cause, str) and cause not in CAUSES:
            near = difflib.get_close_matches(cause, CAUSES, 1)
            hint = f"did you mean {near[0]}?" if near else "leave it out, and say judged_by"
            yield (
                ("actions", index, "cause"),
                f"expected a cause that a report names, such as load_balancer_capacity, got {cause!r}; {hint}",
            )


def _machines(given: dict) -> Iterator[Problem]:
    """Without an aws part nothing but watched hosts tells of machines."""
    hosts = _named(given, "hosts") if "hosts" in given else ["local"]
    for index, target in _items(given.get("targets"), "machines"):
        resource = target.get("resource")
        known = isinstance(resource, str) and resource.removeprefix("host:") in (*hosts, "host")
        if resource is not None and not known and not given.get("aws"):
            yield (
                ("targets", "machines", index, "resource"),
                f"expected one of hosts ({', '.join(hosts) or 'none is watched'}), got {resource!r}; "
                "add the host, or an aws part that tells of it",
            )


def _known(path: tuple, name: Any, names: list[str], what: str) -> Iterator[Problem]:
    if isinstance(name, str) and name not in names:
        yield path, f"expected {what} {' or '.join(names) or '(the plan has none)'}, got {name!r}"


def _host(given: dict) -> Iterator[Problem]:
    url = given.get("base_url")
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError as error:
        yield ("base_url",), f"expected a URL such as https://shop.example.com, got {url!r} ({error})"
        return
    allow = given.get("allow") or []
    try:
        entries = [AllowEntry.model_validate(entry) for entry in allow]
    except (ValidationError, TypeError):
        return  # told where it stands
    if host and not is_allowed(host, entries):
        yield (
            ("base_url",),
            f"expected a host that the allow list names (or loopback), got {host!r}; "
            "add it to allow only if you may put load on it",
        )


def _aim(given: dict) -> Iterator[Problem]:
    targets = given.get("targets")
    if "estimate" not in given and not (isinstance(targets, dict) and "throughput_rps" in targets):
        yield (), "expected an estimate or targets.throughput_rps, got neither: there is nothing to aim at"
    shares = [item.get("share") for _, item in _items(given, "apis")]
    total = sum(s for s in shares if isinstance(s, int | float))
    if total > 1.0001:
        yield ("apis",), f"expected shares that sum to at most 1, got {total:g}"


def _sizes(given: dict) -> Iterator[Problem]:
    """Sizes need a way to set them and the base size among them; verify and endurance are run at one size."""
    scaling, steps = given.get("scaling"), given.get("steps")
    if isinstance(scaling, dict) and not given.get("aws"):
        for way in ("group", "service"):
            if scaling.get(way):
                yield ("scaling", way), "expected an aws part that says region and profile, got none; add aws"
    base = scaling.get("base") if isinstance(scaling, dict) else None
    for step, part in steps.items() if isinstance(steps, dict) else ():
        sizes = part.get("sizes") if isinstance(part, dict) else None
        if not sizes or not isinstance(sizes, list):
            continue
        path = ("steps", step, "sizes")
        if step not in ("api", "scenario"):
            yield path, f"expected sizes at steps api and scenario only, got them at {step}"
        elif not scaling:
            yield path, "expected a scaling part that says how the target gets these sizes, got none; add scaling"
        elif base is not None and base not in sizes:
            yield path, f"expected scaling.base among the sizes, got {', '.join(map(str, sizes))} without {base}"


def _tls(given: dict) -> Iterator[Problem]:
    """TLS needs https; a key must not travel to workers that join over an open connection."""
    tls, url, generator = given.get("tls"), given.get("base_url"), given.get("generator")
    if not isinstance(tls, dict) or not tls:
        return
    if isinstance(url, str) and url.startswith("http:"):
        yield ("tls",), f"expected an https base_url beside it, got {url}; leave tls out, or mend base_url"
    if (tls.get("certificate") or tls.get("key")) and isinstance(generator, dict) and generator.get("workers"):
        yield (
            ("tls", "certificate"),
            "expected no generator.workers beside it: the key would go to them unencrypted; "
            "use generator.hosts, which are reached over ssh",
        )


def _tls_files(given: dict, base_dir: Path) -> Iterator[Problem]:
    tls = given.get("tls")
    for field in TLS_FILES:
        name = tls.get(field) if isinstance(tls, dict) else None
        if isinstance(name, str) and not (base_dir / name).is_file():
            yield (
                ("tls", field),
                f"expected a file, got {name!r}, which is not there (paths start from the plan's folder)",
            )


def _files(given: dict, base_dir: Path) -> Iterator[Problem]:
    for key, field in (("apis", "data"), ("scenarios", "locustfile")):
        for index, item in _items(given, key):
            name = item.get(field)
            if isinstance(name, str) and not (base_dir / name).is_file():
                yield (key, index, field), f"expected a file, got {name!r}, which is not in the plan's folder"
