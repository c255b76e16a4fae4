"""The command `genkai` without a process of its own: a start costs more than most of what it does."""

import contextlib
import io
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from genkai import cli

ROOT = Path(__file__).parent.parent


def genkai(*arguments: str, cwd: Path = ROOT) -> CompletedProcess[str]:
    """What `genkai ARGUMENTS` prints and its exit code; an error that it does not foresee is raised."""
    out, errors, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(cwd)
    try:
        with mock.patch.object(sys, "argv", ["genkai", *arguments]), contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(errors))
            cli.main()
    except SystemExit as ended:
        return CompletedProcess(arguments, ended.code, out.getvalue(), errors.getvalue())
    finally:
        os.chdir(before)
