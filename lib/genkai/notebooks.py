"""Run the notebooks by papermill, strictly: unknown parameter, time-out, dead kernel, missing artifact are errors.

The kernel is started ahead with the heavy imports done, while nothing is measured, so that the notebooks cost little.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from genkai.kernel_source import WARM_IMPORTS, KernelSource
from genkai.refusals import Refusal, is_told

NOTEBOOKS = Path("notebooks")
KERNEL = "python3"
EMPTY = "get_ipython().run_line_magic('reset', '-f'); get_ipython().execution_count = 1"
START_TIMEOUT_S = 90
FREEZE = "import gc as _gc; _gc.freeze()"  # each emptying collects garbage: not by way of all that was imported
READY_FOR_LOAD = "import genkai.load.process as _p; _p.fork_server()"  # it imports locust while notebook 10 runs

# What each notebook must leave among the cycle's results.
ARTIFACTS: dict[str, tuple[str, ...]] = {
    "10_plan": ("capacity.json",),
    "20_launch": ("step-{step}.json",),
    "30_monitor": ("monitor.json",),
    "40_scale": ("scale.json",),
    "50_diagnose": ("findings.json",),
    "60_report": ("verdicts.json",),
}


class NotebookError(Refusal, RuntimeError):
    """A notebook that did not run to its end, or left something out; the message is one paragraph."""


class WarmKernel:
    """A kernel with the heavy imports done, lent to one notebook after the other, emptied in between.

    One process for all: each of its own would import for seconds what the next one imports again. A notebook that
    fails takes its kernel with it. for_load: load will be started from it. source: it is forked off that.
    """

    def __init__(self, *, for_load: bool = False, source: KernelSource | None = None) -> None:
        self._kernel: Any = None
        self._source, self._lent = source, threading.Lock()
        self._lines = "; ".join([WARM_IMPORTS, FREEZE, *([READY_FOR_LOAD] if for_load else [])])
        self._sockets = tempfile.TemporaryDirectory(prefix="genkai-")
        self._loop = asyncio.new_event_loop()

    async def _start(self) -> Any:
        from genkai.kernel_client import WarmKernelManager

        # Sockets of its own in a private folder: TCP ports would be scarce on a load generator, and open to others.
        place = Path(self._sockets.name) / uuid.uuid4().hex[:8]
        kernel = WarmKernelManager(kernel_name=KERNEL, transport="ipc", ip=str(place))
        arguments = ["--HistoryManager.enabled=False"]
        if self._source:
            _import_meanwhile()  # the source imports, too, until it can give a kernel
            self._source.provide(kernel)
        else:
            arguments += [f"--IPKernelApp.exec_lines={self._lines}"]
        await kernel.start_kernel(extra_arguments=arguments)
        _import_meanwhile()
        await self._ask(kernel, "None")  # answered when the imports are done, so that none of them disturbs a run
        return kernel

    async def _ask(self, kernel: Any, code: str) -> None:
        client = kernel.client()
        client.start_channels(hb=False)
        try:
            await client.wait_for_ready(timeout=START_TIMEOUT_S)
            await client.execute(code, store_history=False, reply=True, timeout=START_TIMEOUT_S)
        finally:
            client.stop_channels()

    def start(self) -> WarmKernel:
        """Start the kernel if none runs; returns when it is warm."""
        if self._kernel is None:
            self._kernel = self._loop.run_until_complete(self._start())
        return self

    @contextlib.contextmanager
    def take(self) -> Iterator[Any]:
        """The kernel, for one notebook at a time."""
        with self._lent:
            kernel = self.start()._kernel
            try:
                yield kernel
                self._loop.run_until_complete(self._ask(kernel, EMPTY))
            except BaseException:
                self.close_kernel()
                raise

    def close_kernel(self) -> None:
        """End the kernel; the next notebook gets a new one."""
        if self._kernel is not None:
            kernel, self._kernel = self._kernel, None
            self._loop.run_until_complete(kernel.shutdown_kernel(now=True))

    def close(self) -> None:
        """End the kernel and remove its sockets."""
        self.close_kernel()
        self._loop.close()
        self._sockets.cleanup()

    def __enter__(self) -> WarmKernel:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _import_meanwhile() -> None:
    """What this process needs itself, and takes a second to import."""
    # Where it can, jsonschema builds a grammar of URIs on import, for longer than all the rest; notebooks need no URI.
    sys.modules.setdefault("rfc3987_syntax", None)
    importlib.import_module("papermill")
    importlib.import_module("genkai.report.exporter")


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not declare. Raises NotebookError."""
    import papermill

    if not notebook.is_file():
        raise NotebookError(f"{notebook.absolute()}: expected a notebook, got no file; "
                            "run genkai in the project's folder, which holds notebooks/ and data/")  # fmt: skip
    known = papermill.inspect_notebook(str(notebook))
    unknown = sorted(set(given) - set(known))
    if unknown:
        shown = ", ".join(f"{n} ({p['help']})" if p["help"] else n for n, p in known.items())
        raise NotebookError(f"{notebook}: unknown parameter {', '.join(unknown)}; expected one of: {shown}")


def run_notebook(
    name: str,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    kernel: WarmKernel,
    timeout_s: float = 300,
    stdout: IO[str] | None = None,
    folder: Path = NOTEBOOKS,
) -> Path:
    """Execute notebooks/NAME.ipynb into output (kept even when a cell fails, so that it can be read).

    timeout_s: the longest that one cell may take. stdout: where the notebook's printed lines go as they come.
    Raises NotebookError.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook = folder / f"{name}.ipynb"
    check_parameters(notebook, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, kernel.take() as manager:
        draft = Path(scratch) / output.name
        try:
            papermill.execute_notebook(
                str(notebook), str(draft), dict(parameters), kernel_name=KERNEL, cwd=str(Path.cwd()),
                progress_bar=False, execution_timeout=int(timeout_s), stdout_file=stdout, km=manager,
            )  # fmt: skip
        except PapermillExecutionError as error:
            raise NotebookError(f"{notebook}, cell {error.exec_count}: {_told(error)}") from error
        except Exception as error:  # papermill saves a timed-out or dead cell as completed: trust the exception only
            raise NotebookError(f"{notebook}: expected it to run to its end, got {_first_line(error)}") from error
        finally:
            if draft.is_file():
                shutil.copy(draft, output)
    return output


def check_artifacts(name: str, results_dir: Path, parameters: Mapping[str, Any]) -> None:
    """Every artifact that the notebook promises is there. Raises NotebookError."""
    promised = [a.format(**{"step": "", **parameters}) for a in ARTIFACTS.get(name, ())]
    missing = [a for a in promised if not (results_dir / a).is_file()]
    if missing:
        raise NotebookError(f"{name}: expected it to write {', '.join(missing)} in {results_dir}, got no such file")


def _told(error: Any) -> str:
    """Errors of ours say all that is needed; others keep their class so that they can be reported."""
    told = str(error.evalue) if is_told(error.traceback) else f"{error.ename}: {error.evalue}"
    if os.strerror(errno.ENOSPC) in told:
        return f"{told}; make room on the disk, then go on with: genkai cycle PLAN --resume"
    return told


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else '(no message)'}"
