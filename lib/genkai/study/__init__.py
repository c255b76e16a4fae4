"""A cycle read as a whole: its runs' tables, and the analysis of them as records."""

from genkai.study.reading import CYCLES, RunStudy, Study, StudyError, find_cycle, read_study

__all__ = ["CYCLES", "RunStudy", "Study", "StudyError", "find_cycle", "read_study"]
