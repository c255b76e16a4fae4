"""The runs of one step and subject at several sizes of the target, and what the analysis says of them together."""

from __future__ import annotations

from typing import Any

from genkai.analyse.purposes import TELLING
from genkai.analyse.sizes import scale_out, size_maximum
from genkai.study.kept import kept
from genkai.study.reading import RunStudy, Study
from genkai.study.results import diagnose_run, fit_run


def sized_runs(study: Study, step: str, subject: str) -> dict[int, RunStudy]:
    """{size: its run} of a step and subject, smallest first; of repetitions at the base size the middle one."""
    runs = [*study.shown(step), *(r for r in study.resized if r.step == step and len(r.marks))]
    own = {run.size: run for run in runs if run.subject == subject and run.size is not None}
    return {size: own[size] for size in sorted(own)}


def sized_subjects(study: Study) -> list[tuple[str, str]]:
    """(step, subject) of everything that ran at two sizes or more, the most telling first."""
    found = dict.fromkeys((r.step, r.subject) for r in study.resized)
    several = [pair for pair in found if len(sized_runs(study, *pair)) > 1]
    return sorted(several, key=lambda pair: TELLING.index(pair[0]) if pair[0] in TELLING else len(TELLING))


@kept
def scale_out_of(study: Study, step: str, subject: str) -> dict[str, Any]:
    """scale_out's record of a step and subject, with {"step", "subject", "base", "fits": {size: fit record}}."""
    runs = sized_runs(study, step, subject)
    fits = {size: fit_run(study, run) for size, run in runs.items()}
    maxima = [size_maximum(s, fit, bool(runs[s].record.get("resized_meanwhile"))) for s, fit in fits.items()]
    scaling = study.plan.scaling
    target = study.target_of(next(iter(runs.values())))
    record = scale_out(maxima, unit=scaling.unit, target_rps=target, price_per_hour=scaling.price_per_hour,
                       currency=scaling.currency)  # fmt: skip
    return {"step": step, "subject": subject, "base": scaling.base, **record, "fits": fits}


def main_scale_out(study: Study) -> dict[str, Any] | None:
    """The record of the most telling step that ran at several sizes; None where none did."""
    found = sized_subjects(study) if study.plan.scaling else []
    return scale_out_of(study, *found[0]) if found else None


@kept
def findings_of_largest(study: Study, step: str, subject: str) -> dict[str, Any]:
    """{"size", "findings": record} of the largest size that was measured: what limits all sizes shows there."""
    size, run = max(sized_runs(study, step, subject).items())
    return {"size": size, "findings": diagnose_run(study, run, fit_run(study, run))}
