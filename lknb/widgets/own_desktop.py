"""Whether a browser that this kernel opens appears in front of the person who runs its cells."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

_ELSEWHERE = (
    "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "CODESPACES", "REMOTE_CONTAINERS", "VSCODE_AGENT_FOLDER", "WSL_DISTRO_NAME",
    "JUPYTERHUB_USER", "KUBERNETES_SERVICE_HOST",
)  # fmt: skip
"""The person is at another machine, or may be."""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        # somebody else's process is not the editor this kernel was started by
        return False
    return True


def is_own_desktop(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform, runs: Callable[[int], bool] = _runs
) -> bool:
    """True only where it is known. VS Code gives kernels the id of its own process, and that one runs on this machine. A
    Jupyter server does not know where its pages are looked at, so its kernels do not either."""
    if any(environ.get(name) for name in _ELSEWHERE):
        return False
    has_screen = platform == "darwin" or bool(environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY"))
    editor = environ.get("VSCODE_PID", "")
    # a process id; 0 and below would mean groups of them
    return has_screen and editor.isascii() and editor.isdecimal() and int(editor) > 0 and runs(int(editor))
