"""The catalogue of causes: rules as data and small pure functions, grouped by where the limit lies."""

from genkai.analyse.rules import application, balancer, endurance, generator, host, middleware
from genkai.analyse.rules.evidence import Rule

RULES: tuple[Rule, ...] = (
    *generator.RULES,
    *balancer.RULES,
    *host.RULES,
    *application.RULES,
    *middleware.RULES,
    *endurance.RULES,
)

CAUSES: tuple[str, ...] = tuple(dict.fromkeys(rule.cause for rule in RULES))
