"""A cycle's result records and figures, as the analysis would hand them to the report, and notebooks made of them."""

import math

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from genkai.figures.style import DASHES, figure_style, new_figure
from genkai.report import sections
from genkai.report.display import Contents, Document, Figure
from genkai.report.messages import Messages


def number(value, unit, spread=None, n=60):
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit, "notes": []}


CEILING = number(497.3, "rps", 8.4)
KNEE = number(512, "users", 21)
LEVELS = [
    {"level": i, "workload": "closed", "intended": users, "throughput_rps": min(users * 0.995, 496.6 - i * 0.7),
     "concurrency": users / 40 + max(0, users - 500), "p50_s": 0.021 + max(0, users - 500) / 520,
     "p95_s": 0.043 + max(0, users - 500) / 480, "p99_s": 0.071 + max(0, users - 500) / 430,
     "error_ratio": 0.0 if users <= 500 else 0.031 * users / 1000, "steady": True, "generator_limited": False}
    for i, users in enumerate((100, 200, 300, 400, 500, 600, 800, 1000))
]  # fmt: skip


# ruff: noqa: E501
def target(step, api, what, aim, measured, margin, status, evidence):
    kind = {"throughput": "throughput", "error_ratio": "errors"}.get(what, "response_time")
    return {"step": step, "api": api, "what": what, "kind": kind, "target": aim, "measured": measured,
            "margin_ratio": number(margin, "ratio"), "status": status, "evidence": evidence}  # fmt: skip


def why(status, key, **values):
    return {"status": status, "why_key": f"verdict.why.{key}", "values": values}


VERDICTS = {
    "overall": {"status": "fail", "sentence_key": "verdict.overall.missed",
                "values": {"target": number(1000, "rps"), "measured": CEILING}},
    "targets": [
        target("verify", "health", "throughput", number(1500, "rps"), number(2210, "rps", 40), 0.473, "pass", "fig-verify"),
        target("api", "items", "throughput", number(700, "rps"), number(498, "rps", 9), -0.289, "fail", "fig-scale"),
        target("api", "items", "p95", number(0.1, "s"), number(0.612, "s", 0.02), -5.12, "fail", "fig-scale"),
        target("api", "order", "throughput", number(300, "rps"), number(312, "rps", 7), 0.04, "pass", "tab-levels-api"),
        target("scenario", None, "throughput", number(1000, "rps"), CEILING, -0.503, "fail", "fig-limit"),
        target("scenario", None, "error_ratio", number(0.01, "ratio"), number(0.031, "ratio", 0.002), -2.1, "fail", "fig-limit"),
        target("endurance", None, "p95", number(0.1, "s"), number(None, "s"), None, "not_run", None),
    ],
    "purposes": [
        {"purpose": "responsiveness", **why("fail", "response_time_missed", api="items", target=number(0.1, "s"),
                                            measured=number(0.612, "s", 0.02))},
        {"purpose": "improvement", **why("cannot_tell", "no_previous_cycle")},
        {"purpose": "scalability", **why("fail", "stops_scaling", knee=KNEE, ceiling=CEILING)},
        {"purpose": "scale_characteristics", **why("pass", "scale_known", n=8, knee=KNEE,
                                                   model={"key": "model.ceiling"})},
    ],
    "steps": [
        {"step": "verify", "run_id": "verify-01", **why("pass", "generator_ceiling", ceiling=number(2210, "rps", 40),
                                                        margin=2.21)},
        {"step": "api", "run_id": "api-01", **why("fail", "throughput_missed", api="items", target=number(700, "rps"),
                                                  measured=number(498, "rps", 9))},
        {"step": "scenario", "run_id": "scenario-01", **why("fail", "stops_scaling", knee=KNEE, ceiling=CEILING)},
        {"step": "endurance", "run_id": None, **why("not_run", "step_not_run", step={"key": "step.endurance"})},
    ],
}  # fmt: skip


def observed(text, limit, below, metric, resource, figure):
    values = {"limit": limit, "below": below, "metric": metric, "resource": resource}
    return {"text_key": f"evidence.{text}", "values": values, "figure": figure}


FINDINGS = {
    "answer_key": "answer.limit_found",
    "kind": "throughput",
    "values": {"load": number(1000, "users"), "ceiling": CEILING},
    "findings": [
        {
            "cause": "load_balancer_capacity",
            "strength": "strong",
            "values": {"ceiling": CEILING, "load": number(1000, "users")},
            "evidence": [
                observed("lb.queue", number(812, "requests"), number(2, "requests"), "SurgeQueueLength", "shop-lb", "fig-limit"),
                observed("lb.errors_503", number(4182, "requests"), number(0, "requests"), "HTTPCode_ELB_5XX", "shop-lb",
                         "fig-timeline"),
                observed("target.idle", number(0.18, "ratio", 0.02), number(0.17, "ratio"), "CPUUtilization", "web-1", None),
            ],
        }
    ],
    "ruled_out": [
        {"resource": "web-1 CPU", "used": number(0.18, "ratio", 0.02), "saturated": number(0.4, "count"),
         "errors": number(0, "count"), "verdict": "idle"},
        {"resource": "web-2 CPU", "used": number(0.19, "ratio", 0.02), "saturated": number(0.3, "count"),
         "errors": number(0, "count"), "verdict": "idle"},
        {"resource": "generator CPU", "used": number(0.61, "ratio", 0.03), "saturated": number(None, "count"),
         "errors": number(0, "count"), "verdict": "busy"},
    ],
    "not_measured": [{"what": "not_measured.workers.name", "how_key": "not_measured.workers.how"}],
}  # fmt: skip


def records(lang):
    """Return all records of the report; texts of the plan are in the plan's language."""
    ja = lang == "ja"
    return {
        "verdicts": VERDICTS,
        "findings": FINDINGS,
        "setup": {
            "rows": [
                {"key": "target", "value": "http://shop.example.internal"},
                {"key": "scope", "value": "商品一覧と注文の API" if ja else "Item list and order APIs"},
                {"key": "data_volume", "value": "商品 10 万件" if ja else "100,000 items"},
                {"key": "method", "value": "HTTP、決済はスタブ" if ja else "HTTP; payment is a stub"},
                {"key": "environment", "value": "m5.large × 2, ALB × 1"},
                {"key": "differences", "value": ["RDS は 1 台" if ja else "one RDS instance instead of two"]},
            ],
            "steps": [
                {"step": "verify", "subjects": ["health"], "workload": "open", "levels": [750, 1500], "duration_s": 90,
                 "ran": True},
                {"step": "api", "subjects": ["items", "order"], "workload": "closed", "levels": [100, 500, 1000],
                 "duration_s": 300, "ran": True},
                {"step": "scenario", "subjects": ["shopping"], "workload": "closed",
                 "levels": [r["intended"] for r in LEVELS], "duration_s": 640, "ran": True},
            ],
        },
        "levels": {"scenario": LEVELS, "api": LEVELS[:3]},
        "scale": {"model": "ceiling", "runner_up": "usl", "knee": KNEE, "ceiling": CEILING, "delta_aicc": number(31.2, "count"),
                  "response_time": number(0.021, "s", 0.001), "warnings": [{"key": "limits.single_run"}]},
        "monitoring": {
            "use": [
                {"resource": "ALB", "used": number(None, "ratio"), "saturated": number(812, "requests"),
                 "errors": number(4182, "requests"), "verdict": "limit"},
                *FINDINGS["ruled_out"],
            ],
            "not_measured": [{"what": "not_measured.workers.name", "how_key": "not_measured.workers.how"}],
        },
        "comparison": {
            "before": 1, "after": 2, "minimum_effect": 0.05,
            "rows": [
                {"api": None, "what": "throughput", "before": CEILING, "after": number(1013, "rps", 11),
                 "ratio": number(2.04, "factor", 0.05), "verdict": "better"},
                {"api": "items", "what": "p95", "before": number(0.612, "s"), "after": number(0.0852, "s"),
                 "ratio": number(0.139, "factor", 0.01), "verdict": "better"},
                {"api": "order", "what": "p95", "before": number(0.051, "s"), "after": number(0.052, "s"),
                 "ratio": number(1.02, "factor", 0.06), "verdict": "same"},
            ],
            "changes": [{"what": "ALB", "before": "–", "after": "LCU 20"}],
        },
        "actions": [
            {"action": {"key": "cause.load_balancer_capacity.remedy"}, "owner": "佐藤" if ja else "Sato", "due": "2026-06-01",
             "outcome": "worked", "evidence": "tab-comparison"},
            {"action": {"key": "not_measured.workers.how"}, "owner": "", "due": "", "outcome": "open", "evidence": None},
        ],
        "limits": [
            {"text_key": "limits.single_run"}, {"text_key": "limits.same_machine"},
            {"text_key": "limits.short_run", "values": {"duration": 20.0}},
            {"text_key": "limits.step_missing", "values": {"step": {"key": "step.endurance"}}},
        ],
        "appendix": {
            "levels": [row | {"step": step} for step in ("verify", "api", "scenario") for row in LEVELS], "plan_hash": "9f2c1a7b44de", "settings": {"stop.error_ratio": 0.5, "generator.processes": 2},
            "versions": {"genkai": "0.1.0", "locust": "2.47", "Python": "3.11.7"},
            "runs": [{"run_id": f"{step}-01", "step": step, "start": "2026-05-09T07:35:25+00:00",
                      "end": "2026-05-09T07:41:00+00:00", "stop_reason": "finished"} for step in ("verify", "api", "scenario")],
        },
    }  # fmt: skip


def document(lang):
    return Document(
        title="オンラインショップ負荷試験" if lang == "ja" else "Online shop load test", language=lang, plan="shop", cycle=2,
        subtitle="商品一覧と注文 API の性能確認" if lang == "ja" else "Performance of the item list and order APIs",
        environment="staging, m5.large × 2, ALB", window=("2026-05-09T07:35:25+00:00", "2026-05-09T08:21:00+00:00"),
        verdict=VERDICTS["overall"]["status"], plan_hash="9f2c1a7b44de",
    )  # fmt: skip


def scale_figure(lang, height_mm=58):
    ja = lang == "ja"
    with figure_style(lang) as colours:
        figure = new_figure(height_mm)
        left, right = figure.subplots(1, 2)
        users = [row["intended"] for row in LEVELS]
        left.plot(
            users,
            [row["throughput_rps"] for row in LEVELS],
            "o",
            color=colours["measured"],
            label="実測値" if ja else "measured",
        )
        left.plot([0, 500, 1050], [0, 497, 497], color=colours["model"], label="モデル" if ja else "model")
        left.axhline(1000, color=colours["target"], linestyle=DASHES["target"], label="目標値" if ja else "target")
        left.set(
            xlabel="ユーザ数" if ja else "Users",
            ylabel="スループット (rps)" if ja else "Throughput (rps)",
            ylim=(0, 1150),
        )
        left.legend(loc="lower right")
        right.plot(users, [row["p95_s"] * 1000 for row in LEVELS], "o-", color=colours["limit"])
        right.set(xlabel="ユーザ数" if ja else "Users", ylabel="応答時間 p95 (ms)" if ja else "Response time p95 (ms)")
    return figure


def timeline_figure(lang):
    with figure_style(lang) as colours:
        figure = new_figure(60)
        axes = figure.subplots()
        seconds = range(600)
        axes.plot(seconds, [min(t, 497 + 9 * math.sin(t / 7)) for t in seconds], color=colours["measured"], label="rps")
        axes.plot(seconds, [60 + 10 * math.cos(t / 11) for t in seconds], color=colours["error"], label="5xx / s")
        axes.set(xlabel="s", ylabel="rps")
        axes.legend()
    return figure


def figures(lang):
    m, ja = Messages(lang), lang == "ja"

    def shown(figure, label, caption, alt):
        return Figure(figure, caption=caption, label=label, alt=alt, messages=m)

    limit = (
        "限界: スループットは約 500 rps で頭打ちとなり、目標値に達しない"
        if ja
        else "The limit: throughput stops at about 500 rps, below the target"
    )
    return {
        "decision": [shown(scale_figure(lang), "fig-limit", limit, limit)],
        "verify": [
            shown(timeline_figure(lang), "fig-verify", "負荷生成側の上限" if ja else "Ceiling of the generator", "line")
        ],
        "scale": [
            shown(
                scale_figure(lang, 70), "fig-scale", "スケール特性" if ja else "Scale characteristics", "dots and line"
            )
        ],
        "monitoring": [
            shown(
                timeline_figure(lang),
                "fig-timeline",
                "負荷とエラーの推移" if ja else "Load and errors over time",
                "lines",
            )
        ],
    }


def whole_report(lang, given=None):
    """Every section in the report's order."""
    m, found, shown = Messages(lang), given or records(lang), figures(lang)
    return Contents([
        document(lang),
        sections.decision(m, found["verdicts"], found["findings"], shown["decision"][0]),
        sections.conditions(m, found["setup"]),
        sections.step_results(m, found["verdicts"], found["levels"], shown),
        sections.scale(m, found["scale"], shown["scale"]),
        sections.monitoring(m, found["monitoring"], shown["monitoring"]),
        sections.diagnosis(m, found["findings"]),
        sections.comparison(m, found["comparison"]),
        sections.actions(m, found["actions"]),
        sections.limits(m, found["limits"]),
        sections.appendix(m, found["appendix"]),
    ], m)  # fmt: skip


def shown_cell(*objects, tags=()):
    """Return a code cell whose outputs are the mime bundles of the objects."""
    outputs = [new_output("display_data", data=thing._repr_mimebundle_()) for thing in objects]
    return new_code_cell("secret_code()", outputs=outputs, metadata={"tags": list(tags)})


def notebook(*cells):
    return nbformat.from_dict(new_notebook(cells=list(cells)))
