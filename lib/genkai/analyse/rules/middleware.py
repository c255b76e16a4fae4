"""Rules: a managed service behind the application was the limit; nearly all data, one threshold each."""

from __future__ import annotations

from dataclasses import dataclass

from genkai.analyse.rules.case import Case
from genkai.analyse.rules.evidence import Finding, Rule, amount, observed, throughput_evidence
from genkai.analyse.rules.host import threshold
from genkai.analyse.rules.relations import CACHE_FULL, cache_signal, engine_share


@dataclass(frozen=True)
class Counted:
    """Data of a rule "events that should not happen, happened at the limit more than below it"."""

    cause: str
    signals: tuple[str, ...]
    fit: float
    contributes: bool = False

    def applies(self, case: Case) -> Finding | None:
        """The finding when any of the counters grew at the limit."""
        evidence = []
        for name in self.signals:
            for series in case.series(name):
                if case.peak(series) > 1.5 * case.before_or_zero(series):
                    evidence.append(observed(f"evidence.{name}", case, series))
        if not evidence:
            return None
        strength, lines = "weak" if self.contributes else "strong", (throughput_evidence(case), *evidence)
        return Finding(self.cause, strength, lines, fit=self.fit, contributes=self.contributes)


_COUNTED = (
    Counted("dynamodb_hot_key", ("dynamodb.hot_key_reads", "dynamodb.hot_key_writes"), 0.9),
    Counted(
        "dynamodb_throttling",
        ("dynamodb.read_throttles", "dynamodb.write_throttles", "dynamodb.throttled_requests"),
        0.8,
    ),
    Counted("lambda_throttling", ("lambda.throttles",), 0.8),
    Counted("elasticache_evictions", ("elasticache.evictions",), 0.2, contributes=True),
)

_THRESHOLDS = (
    threshold("rds_cpu", "rds.cpu", 0.85, fit=0.8, used=True),
    threshold("rds_io", "rds.queue", 64, fit=0.6),
    threshold("rds_io", "rds.burst", 0.05, low_is_bad=True, fit=0.7),
    threshold("elasticache_cpu", "elasticache.cpu", CACHE_FULL, fit=0.8, used=True),
)


def cache_cpu(case: Case) -> Finding | None:
    """A cache node used nearly all of the CPU that its engine can use: of few cores one, if that has one thread."""
    for series in case.series("elasticache.node_cpu"):
        full, before = CACHE_FULL * engine_share(case, series.resource), case.well_before(series)
        if cache_signal(case, series.resource) != series.signal or not case.peak(series) >= full:
            continue
        if not before >= full or case.peak(series) > 1.1 * before:
            evidence = observed("evidence.elasticache.cpu", case, series, threshold=amount(full, series.unit))
            return Finding("elasticache_cpu", "strong", (throughput_evidence(case), evidence), fit=0.8)
    return None


def connections(case: Case) -> Finding | None:
    """The database's connections reached the known maximum (facts.limits, "rds:NAME rds.connections")."""
    for series in case.series("rds.connections"):
        known = case.facts.limits.get(f"{series.resource} rds.connections")
        if known and case.peak(series) >= 0.95 * known:
            evidence = observed("evidence.rds.connections", case, series)
            return Finding("rds_connections", "strong", (throughput_evidence(case), evidence), fit=0.85)
    return None


def queue_age(case: Case) -> Finding | None:
    """Messages wait longer and longer: what consumes them is slower than what the load puts in."""
    for series in case.series("sqs.age"):
        ages = series.values[case.limit]
        if (
            case.peak(series) > 30
            and case.peak(series) > 3 * max(case.before_or_zero(series), 1.0)
            and ages[-1] >= ages[0]
        ):
            evidence = observed("evidence.sqs.age", case, series)
            return Finding("queue_backlog", "moderate", (throughput_evidence(case), evidence), fit=0.3)
    return None


RULES = (
    *(Rule(data.cause, "middleware", data.applies) for data in _COUNTED),
    *(Rule(cause, "middleware", rule) for cause, rule in _THRESHOLDS),
    Rule("elasticache_cpu", "middleware", cache_cpu),
    Rule("rds_connections", "middleware", connections),
    Rule("queue_backlog", "middleware", queue_age),
)
