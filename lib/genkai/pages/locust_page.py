"""Where Locust's own page of a run is reached: from a browser on this machine, or through the JupyterLab in use."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from jupyter_core.paths import jupyter_runtime_dir

from genkai.workspace import Run


def local_address(run: Run) -> str | None:
    """The page's address on this machine; None for a run without the page."""
    port = run.record().get("web_port")
    return f"http://127.0.0.1:{port}/" if port else None


def proxied_path(run: Run, environment: Mapping[str, str] = os.environ) -> str | None:
    """The page's path on the Jupyter server that started this kernel; None outside such a one.

    jupyter-server-proxy serves a port of this machine at BASE_URL/proxy/PORT/, behind the server's own login.
    """
    port, server = run.record().get("web_port"), environment.get("JPY_PARENT_PID", "")
    try:  # written by each Jupyter server for as long as it runs
        base = json.loads((Path(jupyter_runtime_dir()) / f"jpserver-{server}.json").read_text())["base_url"]
    except (OSError, ValueError, KeyError):
        return None
    return f"{base}proxy/{port}/" if port else None
