"""Lines of a run's journals, as its load processes write them."""

from typing import Any

from genkai import histogram
from genkai.workspace import Journal, Run


def hist_of(*seconds: float) -> str:
    h = histogram.new_histogram()
    for value in seconds:
        histogram.record_seconds(h, value)
    return histogram.encode(h).decode()


def line(t: int, api: str = "search", **counts: Any) -> dict[str, Any]:
    zero = {"sent": 0, "completed": 0, "failed": 0, "dropped": 0, "bytes": 0, "hist": None, "hist_service": None}
    return {"t": t, "api": api, **zero, **counts}


def write(run: Run, table: str, part: str, *records: dict[str, Any]) -> None:
    journal = Journal(run.journal(table, part))
    journal.write(*records)
    journal.close()
