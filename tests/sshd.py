"""A real sshd of the test's own on loopback: own keys, configuration and port; nothing of the user's is read."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from genkai.load.process import free_port

SSHD = shutil.which("sshd") or next((p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.path.exists(p)), None)
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="needs openssh-server and openssh-client"
)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Whether the condition came true within timeout_s."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def process_lines(text: str) -> list[str]:
    """Command lines of the running processes that contain the text, ssh clients and ourselves left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line and int(path.parent.name) != os.getpid() and not line.startswith("ssh "):
            found.append(f"{path.parent.name} {line}")
    return found


class Sshd:
    """Context manager: sshd listening on loopback, or on an address of a network namespace."""

    def __init__(
        self, folder: Path, max_startups: str = "10:30:60", address: str = "127.0.0.1", within: tuple[str, ...] = ()
    ) -> None:
        self.folder, self.address, self.within = folder, address, within
        self.max_startups = max_startups
        self.destination = f"{getpass.getuser()}@{address}"

    @staticmethod
    def closed_port() -> int:
        """A port where nobody listens."""
        return free_port()

    @property
    def options(self) -> tuple[str, ...]:
        """Extra ssh options that reach it and nothing else."""
        return ("-F", "/dev/null", "-o", f"Port={self.port}", "-o", f"IdentityFile={self.folder / 'user'}",
                "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={self.folder / 'known'}",
                "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")  # fmt: skip

    def __enter__(self) -> Sshd:
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        keys = self.folder / "authorized"
        keys.write_text((self.folder / "user.pub").read_text())
        self.port = self.closed_port()
        (self.folder / "config").write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {self.folder / 'host'}\n"
            f"AuthorizedKeysFile {keys}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
            f"StrictModes no\nPidFile none\nPermitRootLogin prohibit-password\nMaxStartups {self.max_startups}\n"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # privilege separation's empty folder
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [*self.within, SSHD, "-D", "-e", "-f", self.folder / "config"], stdout=self.log, stderr=self.log
        )
        if not wait_until(self._answers):
            self.__exit__()
            pytest.skip("sshd did not start here: " + (self.folder / "log").read_text()[-300:])
        tried = subprocess.run(["ssh", *self.options, self.destination, "true"], capture_output=True, text=True)
        if "Permission denied" in tried.stderr:
            self.__exit__()
            told = f"sshd lets {self.destination} not in, as it does where an account has no shell or is locked"
            give_up = pytest.fail if os.getuid() == 0 or os.environ.get("CI") else pytest.skip
            give_up(f"{told}: {(self.folder / 'log').read_text()[-300:]}")
        return self

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
