"""What the /proc sampler wrote, as rows of the metrics table."""

from __future__ import annotations

import pandas as pd

from genkai import schema
from genkai.collect.proc import ProcLog, proc_blocks


def proc_metrics(log: ProcLog, host: str, clock_offset_s: float = 0.0) -> pd.DataFrame:
    """The blocks of a log, one below the other."""
    tables = [block.frame for block in proc_blocks(log, host, clock_offset_s)]
    return pd.concat(tables, ignore_index=True) if tables else schema.empty_table("metrics")
