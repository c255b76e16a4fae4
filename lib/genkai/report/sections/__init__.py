"""The sections of the cycle report: plain result records and figures in, display objects out, texts from the catalogue.

Every function takes `m` (Messages) first, then its record, then its figures (genkai.report.display.Figure).
"""

from genkai.report.sections.closing import actions, appendix, comparison, limits
from genkai.report.sections.decision import decision
from genkai.report.sections.explanation import diagnosis, monitoring, scale
from genkai.report.sections.history import history
from genkai.report.sections.results import conditions, step_results

__all__ = ["actions", "appendix", "comparison", "conditions", "decision", "diagnosis", "history",
           "limits", "monitoring", "scale", "step_results"]  # fmt: skip
