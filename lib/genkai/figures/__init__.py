"""One function per figure: tables and records in, a matplotlib Figure out, no statistics inside."""

from genkai.figures.compare import compare
from genkai.figures.curves import efficiency, hockey_stick, windows
from genkai.figures.evidence import evidence
from genkai.figures.fits import drawn_curve, open_ended
from genkai.figures.flame import flame, short_name
from genkai.figures.history import history
from genkai.figures.load import api_steps, ceiling, live
from genkai.figures.plan import load_curve, plan_capacity, plan_tornado
from genkai.figures.scale import scale
from genkai.figures.search import search
from genkai.figures.sizes import size_curves, size_economy, size_maximum
from genkai.figures.style import PALETTE, FigureError, figure_style
from genkai.figures.texts import figure_texts
from genkai.figures.timeline import Limit, timeline

__all__ = [
    "PALETTE",
    "FigureError",
    "Limit",
    "api_steps",
    "ceiling",
    "compare",
    "drawn_curve",
    "efficiency",
    "evidence",
    "figure_style",
    "figure_texts",
    "flame",
    "history",
    "hockey_stick",
    "live",
    "load_curve",
    "open_ended",
    "plan_capacity",
    "plan_tornado",
    "scale",
    "search",
    "short_name",
    "size_curves",
    "size_economy",
    "size_maximum",
    "timeline",
    "windows",
]
