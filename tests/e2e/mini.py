"""A plan whose cycle is about half a minute of load."""

import json

from genkai.demo.world import DemoWorld

PLAN = """\
name: mini
title: Mini shop
purposes: [responsiveness, improvement, scalability, scale_characteristics]
targets: {{throughput_rps: 90, p95_ms: 300, error_ratio: 0.01}}
environment:
  target: {{instances: 2, load_balancer: classic ELB (stand-in), prewarmed: {warmed}}}
  production: {{instances: 2, load_balancer: classic ELB (stand-in), prewarmed: true}}
base_url: {base_url}
apis:
  - {{name: health, path: /health}}
  - name: item
    path: /items/7
    check: {{json: {{id: 7}}}}
    targets: {{throughput_rps: 20, p95_ms: 300}}
scenarios:
  - name: browse
    calls: [{{api: item, think_time_s: 0.5}}]
hosts: [{{name: local, role: generator}}]
aws: {{load_balancer: genkai-demo, period_s: 1, endpoints: {endpoints}}}
steps:
  verify: {{api: health, ceiling_s: 2, levels: [{{target_ratio: 0.3, ramp_s: 0, hold_s: 4}}]}}
  api: {{apis: [item], levels: [{{target_ratio: 1, ramp_s: 0, hold_s: 4}}]}}
  scenario:
    levels:
      - {{users: 10, ramp_s: 0.5, hold_s: 4}}
      - {{users: 20, ramp_s: 0.5, hold_s: 4}}
      - {{users: 30, ramp_s: 0.5, hold_s: 4}}
      - {{users: 55, ramp_s: 0.5, hold_s: 4}}
      - {{users: 80, ramp_s: 0.5, hold_s: 4}}
  endurance: {{levels: [{{users: 40, ramp_s: 0.5, hold_s: 4}}]}}
{actions}
"""
ACTIONS = "actions: [{what: load balancer warmed, cause: load_balancer_capacity, owner: A. Engineer, due: today}]"


def mini_plan(world: DemoWorld, warmed: bool) -> str:
    """The plan of a cycle of about half a minute of load."""
    return PLAN.format(
        base_url=world.base_url, endpoints=json.dumps(world.aws_endpoints), warmed=str(warmed).lower(),
        actions=ACTIONS if warmed else "",
    )  # fmt: skip
