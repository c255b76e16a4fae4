"""What the analysis says: keys with an English text each; the report's catalogue takes them over and translates.

Placeholders carry the report's number formats ({target:rps}); `phrase` fills them in plainly for the command line.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from genkai.analyse.records import value_of

FIT = {
    "fit.refused.few_levels": "Cannot tell: {levels} distinct load levels are usable, at least {least} are needed.",
    "fit.warning.few_levels": "Only {levels} distinct load levels: the choice of the model is weak below {least}.",
    "fit.warning.bound_active": "{parameter} is at its bound ({bound}); without bounds it would be {free}.",
    "fit.warning.knee_beyond": "The knee lies at {load}, beyond twice the highest load that was measured ({highest}).",
    "fit.warning.peak_beyond": "The peak lies at {load}, beyond twice the highest load that was measured ({highest}).",
    "fit.warning.ceiling_beyond": "The ceiling of {ceiling:rps} is more than twice what was measured ({highest:rps}).",
    "fit.warning.no_bend": "Throughput grows with the load up to {highest}; no limit was seen, so none is stated.",
    "fit.warning.falls": "Throughput is highest ({highest:rps}) at the smallest load: the limit lies below; go lower.",
    "fit.warning.close_runner_up": "{runner_up} describes the levels about as well as {model}; the intervals of the "
    "limit, of the knee and of the throughput of one unit of load allow for both, all else is of {model} alone.",
    "fit.warning.near_model": "{runner_up} describes the levels nearly as well as {model} (difference of AICc: "
    "{difference}).",
    "fit.warning.better_model": "{runner_up} describes the levels better than {model} (difference of AICc: "
    "{difference}).",
    "fit.warning.not_steady": "Levels {levels} had no steady state; their throughput may still have been changing.",
    "fit.warning.open_workload": "The load is an arrival rate: costs of contention and coherency are not told from it.",
    "fit.left_out.generator": "the load generator was the limit ({rule})",
    "fit.left_out.unmeasured": "the level has no window to measure",
    "crosscheck.ok": "Users and N = X·(R + Z) agree within {largest:percent}.",
    "crosscheck.little": "Level {level}: {users} users, but X·(R + Z) = {expected}; suspect the generator.",
    "crosscheck.bound": "Level {level}: {measured:rps} exceeds N/(R₀ + Z) = {bound:rps}; suspect the generator.",
    "crosscheck.unknown": "Users cannot be checked against N = X·(R + Z): {why}.",
}


UNITS = {"rps": " rps", "users": " users", "duration": " s"}


class _Plain(string.Formatter):
    def get_value(self, key: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """The value of a placeholder. Raises KeyError."""
        return kwargs[key]

    def format_field(self, value: Any, format_spec: str) -> str:
        """A number, or a record's number with its unit, to three digits; other values as they are."""
        number = value_of(value) if isinstance(value, Mapping) else value
        unit = UNITS.get(format_spec or (value.get("unit") if isinstance(value, Mapping) else ""), "")
        if isinstance(number, bool | str) or number is None:
            return "–" if number is None else str(number)
        if format_spec == "percent":
            return f"{number * 100:.3g}%"
        number, unit = (number * 1000, " ms") if format_spec == "time" else (number, unit)
        text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
        return text + unit


def plain(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values, numbers to three digits, as text for a terminal.

    >>> plain("{p95:time}, at most {limit:time}", {"p95": 1.0476, "limit": 0.3})
    '1,048 ms, at most 300 ms'
    """
    return _Plain().vformat(template, (), values)


def phrase(texts: Mapping[str, str], key: str, **values: Any) -> dict[str, Any]:
    """{"key", "values", "text"}: a sentence as data, with its English text. Raises KeyError for an unknown key."""
    return {"key": key, "values": values, "text": plain(texts[key], values)}
