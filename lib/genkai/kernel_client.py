"""A client that sees at once that a running kernel is ready; Jupyter's own waits 0.2 s for silence, each time."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client import AsyncKernelClient, AsyncKernelManager

PATIENCE_S = 0.2  # then ask again: what a kernel publishes before we have subscribed is lost


class WarmKernelClient(AsyncKernelClient):
    """Ready means: the kernel has answered, and the end of its answer has come on the channel of its outputs."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Return when the kernel is ready. Raises RuntimeError when it has died, or after so many seconds."""
        until = time.monotonic() + (timeout or float("inf"))
        while not await self._is_heard(self.kernel_info()):
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > until:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    async def _is_heard(self, asked: str) -> bool:
        try:
            await self.get_shell_msg(timeout=1)
            while True:
                message: dict[str, Any] = await self.get_iopub_msg(timeout=PATIENCE_S)
                if (
                    message["parent_header"].get("msg_id") == asked
                    and message["content"].get("execution_state") == "idle"
                ):
                    return True
        except Empty:
            return False


class WarmKernelManager(AsyncKernelManager):
    """A kernel whose clients are such."""

    client_class = f"{__name__}.WarmKernelClient"
    client_factory = WarmKernelClient
