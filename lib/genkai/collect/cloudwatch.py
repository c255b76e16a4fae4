"""CloudWatch of one run of a cycle: discovery once, a pull, the cache beside the raw logs, the table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from genkai import schema
from genkai.collect.aws import is_local
from genkai.collect.cloudwatch_pull import pull_cloudwatch
from genkai.collect.discovery import Discovery, discover
from genkai.collect.errors import CollectError
from genkai.plan import Aws, Plan
from genkai.workspace import Run, now_text, read_json, write_json

PUBLISHED_S, SETTLED_S = 180.0, 600.0  # after this AWS has a run's last minutes; after that they hardly change


def collect_cloudwatch(run: Run, plan: Plan, announce: Callable[[str], None] | None = print) -> pd.DataFrame:
    """Pull what is missing or not settled yet, write metrics.cloudwatch.parquet and return it.

    The cache (raw/cloudwatch.json) and the discovery (raw/discovery.json) are kept. When everything is settled nothing
    is called. Raises CollectError; earlier tables stay as they are.
    """
    if plan.aws is None:
        return schema.empty_table("metrics")
    start, end = run_window(run)
    cache_path = run.raw("cloudwatch.json")
    cache = read_json(cache_path) if cache_path.exists() else {}
    window = [start.isoformat(), end.isoformat()]
    table = run.table("metrics", "cloudwatch")
    if cache.get("window") == window and cache.get("settled") and table.exists():
        return schema.read_table(table, "metrics")
    found = discovery_of(run, plan)
    pull = pull_cloudwatch(plan.aws, found.resources(), start, end, known=cache.get("series"), announce=announce)
    record = pull.record()
    for name in ("metrics_requested", "calls", "cost_usd"):
        record[name] = round(record[name] + cache.get(name, 0), 6)
    write_json(cache_path, {"window": window, "pulled": now_text(), **record})
    schema.write_table(pull.frame, "metrics", table)
    return pull.frame


def discovery_of(run: Run, plan: Plan) -> Discovery:
    """What is behind the plan's load balancer, as it was when this run was first collected."""
    path = run.raw("discovery.json")
    if path.exists():
        return Discovery.from_record(read_json(path))
    found = discover(plan.aws)
    write_json(path, found.record())
    return found


def publishing_wait_s(aws: Aws, end: datetime, now: datetime) -> float:
    """Seconds until CloudWatch has the last minutes of what ended then; 0 for a stand-in on this machine."""
    left = PUBLISHED_S - (now - end).total_seconds()
    return 0.0 if is_local(aws, "cloudwatch") else min(max(left, 0.0), PUBLISHED_S)


def preliminary_note(run: Run, aws: Aws) -> list[str]:
    """What to do where the values of the last pull may still change; [] where they are final."""
    fetched = _time(cloudwatch_record(run).get("fetched_at"))
    final = run_window(run)[1] + timedelta(seconds=SETTLED_S) if fetched else None
    if final is None or fetched >= final or is_local(aws, "cloudwatch"):
        return []
    return [
        f"values are preliminary (fetched {fetched:%H:%M:%S} UTC); they are final {SETTLED_S / 60:g} minutes after the "
        f"run: open notebook 30 again after {final:%H:%M} UTC"
    ]


def cloudwatch_record(run: Run) -> dict[str, Any]:
    """{settled, fetched_at, cost_usd, warnings, …} of the last pull without its points; {} when there was none."""
    path = run.raw("cloudwatch.json")
    return {k: v for k, v in read_json(path).items() if k != "series"} if path.exists() else {}


def run_window(run: Run) -> tuple[datetime, datetime]:
    """Start and end of a run by run.json; a killed run ends at its last mark, or now. Raises CollectError."""
    record = run.record()
    start = _time(record.get("start"))
    if start is None:
        raise CollectError(f"{run.path}: expected the start of the run in run.json, got none; run the step first")
    end = _time(record.get("end"))
    if end is None:
        marks = read_json(run.path / "marks.json") if (run.path / "marks.json").exists() else []
        end = _time(marks[-1]["end"]) if marks else None
    now = datetime.now(UTC)
    return start, min(max(end or now, start + timedelta(seconds=1)), max(now, start))


def _time(value: str | float | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.fromtimestamp(value, UTC)
