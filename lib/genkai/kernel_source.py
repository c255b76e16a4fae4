"""Kernels forked off one process that has imported, and computed, what all of them need.

`python -m genkai.kernel_source FD` obeys orders that come on the socket FD, one line of JSON each, in turn: {"run":
code}, or {"kernel": arguments of ipykernel}, which is answered by the process id of a new kernel. It has no threads and
no sockets of Jupyter's, so that it can be forked at any time; each kernel makes its own.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from typing import Any

import psutil
from jupyter_client import KernelManager
from jupyter_client.provisioning import LocalProvisioner

WARM_IMPORTS = "import pandas, pyarrow.parquet, matplotlib.figure, scipy.optimize, genkai.pages.report"
END_S = 5.0


class ForkedKernel(psutil.Process):
    """A kernel's process, which is no child of ours, as Jupyter wants to see it."""

    stdin = stdout = stderr = None

    def send_signal(self, sig: int) -> None:
        """As Popen does: nothing where it has ended."""
        with suppress(psutil.NoSuchProcess):
            super().send_signal(sig)

    def poll(self) -> int | None:
        """None while it runs; what it ended with is not known, and nobody asks."""
        return None if self.is_running() else 0


class KernelSource:
    """Our side: started once, while this process imports what it needs itself; ends, with its kernels, when we end."""

    def __init__(self, lines: str = WARM_IMPORTS) -> None:
        self._control, theirs = socket.socketpair()
        self._answers = self._control.makefile("r")
        self._asking = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "genkai.kernel_source", str(theirs.fileno())], pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.run(lines)

    def run(self, code: str) -> None:
        """Have code run before the kernels that are asked for from now on; where it fails, they do without."""
        self._control.sendall(json.dumps({"run": code}).encode() + b"\n")

    def fork(self, arguments: list[str]) -> ForkedKernel:
        """A new kernel, as soon as all that was ordered before is done. Raises RuntimeError."""
        with self._asking:
            self._control.sendall(json.dumps({"kernel": arguments}).encode() + b"\n")
            answer = self._answers.readline()
        if not answer:
            raise RuntimeError(f"kernel source: expected a kernel, got exit code {self._process.wait(END_S)}")
        return ForkedKernel(int(answer))

    def provide(self, manager: KernelManager) -> None:
        """Let the kernel of a manager that is yet to start one come from here."""
        specification = manager.kernel_spec
        manager.provisioner = ForkedProvisioner(kernel_id=uuid.uuid4().hex, kernel_spec=specification, parent=manager)
        manager.provisioner.source = self

    def close(self) -> None:
        """End it; kernels that are left end by themselves, within a second."""
        self._answers.close()
        self._control.close()
        self._process.terminate()
        self._process.wait(END_S)

    def __enter__(self) -> KernelSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ForkedProvisioner(LocalProvisioner):
    """Gives a kernel manager a kernel of a source instead of a process that starts from nothing."""

    source: KernelSource

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork where Jupyter would start a process; cmd: … -f CONNECTION_FILE …"""
        self.process = self.source.fork(cmd[cmd.index("-f") :])
        self.pid = self.pgid = self.process.pid
        return self.connection_info


def serve(control: socket.socket) -> list[str] | None:
    """Obey until the other side is gone; in a forked process: the arguments of its kernel."""
    orders, server = control.makefile("r"), os.getpid()
    names: dict[str, Any] = {}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the system forgets kernels that have ended
    while line := orders.readline():
        order = json.loads(line)
        if "run" in order:
            with suppress(Exception):  # a notebook comes to the same error, and says it where it is read
                exec(order["run"], names)
            continue
        gc.freeze()  # no collection touches the pages that all kernels share
        pid = os.fork()
        if pid == 0:
            orders.close()
            control.close()
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return [*order["kernel"], f"--IPKernelApp.parent_handle={server}"]  # it ends itself when that is gone
        control.sendall(b"%d\n" % pid)
    return None


def main() -> None:
    """Serve the socket whose descriptor the command line names; be a kernel where forked for one."""
    from ipykernel.kernelapp import IPKernelApp

    arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        sys.argv = ["ipykernel_launcher", *arguments]
        IPKernelApp.launch_instance(arguments)


if __name__ == "__main__":
    main()
