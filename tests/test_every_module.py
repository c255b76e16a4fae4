"""Each module has a test file of its own, or is named here with the file that tests it and why it has none."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIB = ROOT / "lib/genkai"
TESTS = ROOT / "tests"

PART = "a part of what is tested as a whole: it was split off to keep files short"
PROCESS = "runs in a process of its own: tested by starting it"
TABLE = "names and numbers only: tested by what reads them"

# test file: (reason, modules)
THROUGH = {
    "test_analyse_scalability.py": (PART, "analyse/crosscheck analyse/fit analyse/models analyse/scale_levels "
                                          "analyse/whatif"),
    "test_analyse_levels.py": (PART, "analyse/distributions analyse/generator_limit analyse/resample analyse/seconds"),
    "test_analyse_type_limits.py": (PART, "analyse/credits"),
    "test_pages_limits.py": (PART, "report/sections/machine_limits"),
    "test_analyse_verdict.py": (PART, "analyse/judge analyse/purposes analyse/texts"),
    "test_analyse_compare.py": (PART, "analyse/compare_limits analyse/plan_differences analyse/sides"),
    "test_analyse_diagnose.py": (PART, "analyse/rules/case analyse/rules/evidence analyse/rules/exclusions "
                                       "analyse/rules/missing analyse/rules/relations analyse/rules/samples "
                                       "analyse/rules/signals analyse/rules/stall"),
    "test_analyse_rules_endurance.py": (PART, "analyse/rules/pauses"),
    "test_cli.py": (PART, "cli_profile cli_worker cli_import"),
    "test_collect_cloudwatch.py": (PART, "collect/aws collect/catalogue collect/cloudwatch_pull collect/errors "
                                         "collect/metric_data"),
    "test_collect_discovery.py": (PART, "collect/cache_nodes collect/discovery_view collect/limits"),
    "test_collect_proc.py": (PART, "collect/proc_log collect/proc_names collect/proc_sampler"),
    "test_collect_vmstat.py": (PART, "collect/rows collect/vmstat_lines collect/vmstat_runs"),
    "test_demo_balancer.py": (PROCESS, "demo/backends demo/http demo/routing"),
    "test_demo_world.py": (PROCESS, "demo/children demo/local_aws demo/serve demo/settings"),
    "test_demo_app.py": (PROCESS, "demo/shop"),
    "test_demo_play.py": (TABLE, "demo/story"),
    "test_figures_all.py": (PART, "figures/bands figures/compare figures/curves figures/evidence figures/fits "
                                  "figures/history figures/load figures/plan figures/quantities "
                                  "figures/scale figures/style figures/texts figures/timeline"),
    "test_launch.py": (PROCESS, "load/ceiling load/closed load/conductor load/exchange load/lifeline "
                                "load/locustfile load/open load/preflight load/probe load/shape load/timer"),
    "test_load_forkserver.py": (PART, "load/process"),
    "test_load_job.py": (PART, "load/calls"),
    "test_load_page.py": (PART, "pages/locust_page"),
    "test_load_workers.py": (PROCESS, "load/agent load/away load/joining"),
    "test_load_health.py": (PART, "load/counters"),
    "test_load_http_client.py": (PART, "load/http/client_response load/http/clock load/http/cookies "
                                       "load/http/deadlines load/http/dial load/http/errors load/http/headers "
                                       "load/http/request load/http/resolve load/http/response load/http/target "
                                       "load/http/user load/http/waiting"),
    "test_load_http_template.py": (PART, "load/http/sources"),
    "test_load_http_tls.py": (PART, "load/http/certificates"),
    "test_notebooks.py": (PART, "kernel_client"),
    "test_report_gates.py": (PART, "pages/plan_document pages/plan_tables"),
    "test_plan.py": (PART, "planhosts planparts planscaling planstop plantls"),
    "test_pages_sizes.py": (PART, "pages/whatif report/sections/sizes study/sizes"),
    "test_report_display.py": (PART, "report/displayed report/document report/errors"),
    "test_report_outcome.py": (PART, "report/index report/junit"),
    "test_report_sections.py": (PART, "report/sections/closing report/sections/decision "
                                      " report/sections/explanation report/sections/history "
                                      "report/sections/records report/sections/results "
                                      "analyse/limit"),
    "test_profiling.py": (PART, "pages/profile"),
    "test_report_inline.py": (PART, "report/typst_text"),
    "test_trials.py": (PROCESS, "load/steering"),
    "test_pages_search.py": (PART, "study/searches"),
    "test_study_foreign.py": (PART, "study/jmeter study/jmeter_xml study/locust_history"),
    "test_study_series.py": (PART, "study/one_series"),
    "test_study_tools.py": (PART, "study/gatling study/hdr_log study/hey study/k6 study/samples study/vegeta"),
}  # fmt: skip
NAMED = {module: file for file, (_, modules) in THROUGH.items() for module in modules.split()}


def modules() -> list[str]:
    found = (p.relative_to(LIB).with_suffix("") for p in LIB.rglob("*.py") if p.stem not in ("__init__", "__main__"))
    return sorted(str(p) for p in found)


def own_file(module: str) -> Path:
    return TESTS / f"test_{module.replace('/', '_')}.py"


def resolve(dotted: str) -> set[str]:
    """The modules of genkai that a dotted name means: the module, or the package's own __init__."""
    path = dotted.removeprefix("genkai").strip(".").replace(".", "/")
    if (LIB / f"{path}.py").is_file():
        return {path}
    return {f"{path}/__init__".lstrip("/")} if (LIB / path / "__init__.py").is_file() else set()


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules of genkai that a file imports, at its top or inside a function, or starts by `-m`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "genkai":
            found |= resolve(node.module).union(*(resolve(f"{node.module}.{a.name}") for a in node.names))
        elif isinstance(node, ast.Import):
            found = found.union(*(resolve(a.name) for a in node.names if a.name.split(".")[0] == "genkai"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            found |= {str((path.parent / node.value).relative_to(LIB))[:-3]} if started(path, node.value) else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name == "__init__.py":
            found |= loaded_when_asked(path, node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("genkai."):
            found |= resolve(node.value)
    return frozenset(found)


def loaded_when_asked(package: Path, name: str) -> set[str]:
    """A module of the package that its __init__ names in a string."""
    path = package.parent / f"{name}.py"
    return {str(path.relative_to(LIB))[:-3]} if name.isidentifier() and path.is_file() else set()


def started(path: Path, name: str) -> bool:
    return path.is_relative_to(LIB) and "/" not in name and (path.parent / name).is_file()


def reached(test: Path) -> set[str]:
    """Every module of genkai that a test file's imports lead to."""
    waiting = set(imported(test))
    for helper in TESTS.glob("*.py"):
        if helper.stem in test.read_text(encoding="utf-8") and not helper.name.startswith("test_"):
            waiting |= imported(helper)
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= imported(LIB / f"{module}.py") - found
    return found


def test_every_module_is_tested() -> None:
    missing = [m for m in modules() if not own_file(m).exists() and m not in NAMED]
    assert missing == [], f"write tests/{own_file(missing[0]).name}, or name here what tests it" if missing else ""


def test_what_is_named_has_no_file_of_its_own_and_exists() -> None:
    assert [m for m in NAMED if own_file(m).exists()] == [], "take it out of the list"
    assert sorted(set(NAMED) - set(modules())) == [], "it is gone: take it out of the list"


@pytest.mark.parametrize("file", sorted(THROUGH))
def test_the_file_that_is_named_leads_to_the_module(file: str) -> None:
    assert sorted(m for m, named in NAMED.items() if named == file and m not in reached(TESTS / file)) == []
