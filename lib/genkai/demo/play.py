"""`genkai demo`: cycle 1 finds the load balancer, the remedy is applied, cycle 2 shows that it worked."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from genkai.cycle import CycleOutcome, run_cycle, tell
from genkai.demo import story
from genkai.demo.world import DemoWorld
from genkai.study import read_study

PLAN = Path("data/plans/demo.yaml")
SIZES_PLAN = Path("data/plans/demo-scale.yaml")
FOLLOW_S = 0.5  # the Auto Scaling group is looked at so often
PORT = 8600  # of base_url in the plan, for --serve
UNEXPECTED = (
    "  note: the story expects the load balancer to stop cycle 1 and later cycles to pass; this machine told another\n"
    "  one, and the report says what it saw"
)
PERIOD_S = 5  # of the plan's aws.period_s
CAUSE = "load_balancer_capacity"
ACTION = f"""
actions:
  - what: load balancer warmed for {story.WARM_CAPACITY_RPS:,.0f} rps
    cause: {CAUSE}
    owner: you
    due: before cycle 2
"""


def plan_text(world: DemoWorld, warmed: bool) -> str:
    """The demo's plan with the ports that this world got and, once it is warmed, the action that was taken."""
    text = PLAN.read_text(encoding="utf-8")
    text = text.replace(f"http://127.0.0.1:{PORT}", world.base_url)
    text = text.replace("endpoints: {}", f"endpoints: {json.dumps(world.aws_endpoints)}")
    return text.replace("prewarmed: false", "prewarmed: true") + ACTION if warmed else text


def play_demo(cycles: int = 2, lang: str = "en") -> list[CycleOutcome]:
    """Play the cycles; the first on a cold load balancer, the others on a warmed one."""
    begun, outcomes = time.monotonic(), []
    with DemoWorld(publish_period_s=PERIOD_S) as world:
        os.environ.update(world.environment)
        tell(f"demo target on {world.base_url}: a load balancer for {story.COLD_CAPACITY_RPS:g} rps, "
             f"{len(world.instance_ids)} instances, a local AWS")  # fmt: skip
        for number in range(cycles):
            if number == 1:
                world.set_capacity(story.WARM_CAPACITY_RPS)
                tell(f"action: the load balancer is warmed for {story.WARM_CAPACITY_RPS:g} rps")
            outcomes.append(run_cycle(PLAN, lang=lang, text=plan_text(world, warmed=number > 0)))
    _summarise(outcomes, time.monotonic() - begun)
    return outcomes


def play_sizes(lang: str = "en") -> CycleOutcome:
    """One cycle whose scenario is run with one to four instances: how many does the target need, what do they share?"""
    begun = time.monotonic()
    with DemoWorld(
        app=story.SMALL_APP, balancer=story.OPEN_BALANCER, publish_period_s=PERIOD_S, follow_s=FOLLOW_S
    ) as world:
        os.environ.update(world.environment)
        tell(f"demo target on {world.base_url}: a load balancer for {story.COLD_CAPACITY_RPS:g} rps, "
             f"{len(world.instance_ids)} instances in an Auto Scaling group, a local AWS")  # fmt: skip
        outcome = run_cycle(SIZES_PLAN, lang=lang, text=sizes_text(world))
    tell(f"\nthe demo took {(time.monotonic() - begun) / 60:.1f} minutes")
    for path in outcome.reports:
        tell(f"  {path}")
    return outcome


def sizes_text(world: DemoWorld) -> str:
    """The plan of the sizes with the ports that this world got."""
    text = SIZES_PLAN.read_text(encoding="utf-8").replace(f"http://127.0.0.1:{PORT + 1}", world.control_url)
    text = text.replace(f"http://127.0.0.1:{PORT}", world.base_url)
    return text.replace("endpoints: {}", f"endpoints: {json.dumps(world.aws_endpoints)}")


def _summarise(outcomes: list[CycleOutcome], seconds: float) -> None:
    tell(f"\nthe demo took {seconds / 60:.1f} minutes")
    for number, outcome in enumerate(outcomes):
        cause = _cause(outcome)
        tell(f"cycle {outcome.cycle.number}: {outcome.status}" + (f", stopped by {cause}" if cause else ""))
        for path in outcome.reports:
            tell(f"  {path}")
        if (outcome.status, cause) != (("fail", CAUSE) if number == 0 else ("pass", cause)):
            tell(UNEXPECTED)


def _cause(outcome: CycleOutcome) -> str | None:
    """The first cause of the run that the report calls the limit."""
    path = outcome.cycle.result("findings.json")
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not found:
        return None
    limit = found.get(read_study(outcome.cycle).main().run.name, {})
    findings = limit.get("findings") or []
    return findings[0]["cause"] if findings else None


def serve_demo() -> None:
    """Keep the demo target on the ports of the plan until interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with DemoWorld(publish_period_s=PERIOD_S, port=PORT, cloudwatch_port=PORT + 1, moto_port=PORT + 2) as world:
        tell(f"demo target on {world.base_url}; stop it with Ctrl-C. For the plan's aws.endpoints:")
        tell(json.dumps(world.aws_endpoints))
        try:
            signal.pause()
        except KeyboardInterrupt:
            tell("stopping")
