"""What a machine needs to run load processes: our own source, the job, the files that it names, locked requirements."""

from __future__ import annotations

import base64
import importlib.metadata
import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

import genkai
from genkai.load.agent import tls_name
from genkai.load.job import Job
from genkai.load.process import LaunchError

PACKAGE = Path(genkai.__file__).parent
LOCK = PACKAGE.parents[1] / "requirements.lock"
NEEDED = ("locust", "gevent", "httptools", "hdrhistogram", "numpy", "pydantic", "PyYAML", "psutil")
LARGEST = 32 * 1024 * 1024  # bytes of an own locustfile's folder
SKIPPED = frozenset(("__pycache__", "node_modules", "venv"))


def _packed(files: Iterable[tuple[Path, str]]) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as archive:
        for path, name in files:
            archive.add(path, name, recursive=False)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def pack_source() -> str:
    """The modules that load processes use (tar, gzip, Base64), under lib/genkai."""
    found = [*PACKAGE.glob("*.py"), *(PACKAGE / "load").rglob("*.py")]
    return _packed((path, f"lib/genkai/{path.relative_to(PACKAGE)}") for path in sorted(found))


def pack_files(job: Job) -> str:
    """The files that a job names, under files: data files as the plan has them, those of tls, an own locustfile with
    its folder.

    Raises LaunchError when that folder is larger than 32 MB.
    """
    names = {str(call.api.data): job.base_dir / call.api.data for call in job.calls if call.api.data}
    names |= {tls_name(field): path for field, path in job.tls_files.items()}
    if job.locustfile is not None:
        folder = job.locustfile.parent
        names |= {str(path.relative_to(folder)): path for path in folder.rglob("*") if _goes_along(path, folder)}
        size = sum(path.stat().st_size for path in names.values())
        if size > LARGEST:
            raise LaunchError(
                f"{folder}: expected at most {LARGEST >> 20} MB beside the locustfile to send to other machines, "
                f"got {size >> 20} MB; give the locustfile a folder of its own"
            )
    return _packed((path, f"files/{name.lstrip('/')}") for name, path in sorted(names.items()))


def _goes_along(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return path.is_file() and not any(part.startswith(".") or part in SKIPPED for part in parts)


def needed_packages() -> set[str]:
    """Normalised names of NEEDED and of all that they require here, extras left out."""
    from packaging.requirements import Requirement  # not needed by the load processes, which import this module, too

    found: set[str] = set()
    waiting = [normal(name) for name in NEEDED]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [normal(r.name) for r in map(Requirement, required) if "extra" not in str(r.marker or "")]
    return found


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_requirements() -> str:
    """The part of requirements.lock, hashes and all, that load processes need. Raises LaunchError without the file."""
    if not LOCK.is_file():
        raise LaunchError(f"{LOCK}: expected the locked requirements, got no file; name an interpreter that has them "
                          "with generator.hosts: [{ssh: …, python: …}]")  # fmt: skip
    wanted = needed_packages()
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", LOCK.read_text(encoding="utf-8"))
    kept = [b for b in blocks if (m := re.match(r"([A-Za-z0-9._-]+)==", b)) and normal(m[1]) in wanted]
    return "".join(re.sub(r"(?m)^ *#.*\n", "", block) for block in kept)
