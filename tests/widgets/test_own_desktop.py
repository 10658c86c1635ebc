"""Whether a browser that the kernel opens is in front of the person: only where that is known."""

from __future__ import annotations

import os

import pytest

from lknb.widgets.own_desktop import is_own_desktop

EDITOR = {"VSCODE_PID": "4711"}
SCREEN = {"DISPLAY": ":0"}


def runs(pid: int) -> bool:
    return pid == 4711


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({**EDITOR, **SCREEN}, "linux", True),
        ({**EDITOR, "WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        (EDITOR, "darwin", True),
        (EDITOR, "linux", False),
        (SCREEN, "linux", False),
        ({"VSCODE_PID": "4712", **SCREEN}, "linux", False),
        ({"VSCODE_PID": "-1", **SCREEN}, "linux", False),
        ({"VSCODE_PID": "0", **SCREEN}, "linux", False),
        ({"VSCODE_PID": "٤", **SCREEN}, "linux", False),
        ({**EDITOR, **SCREEN, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", False),
        ({**EDITOR, **SCREEN, "CODESPACES": "true"}, "linux", False),
        ({**EDITOR, **SCREEN, "VSCODE_AGENT_FOLDER": "/home/jo/.vscode-server"}, "linux", False),
        ({**EDITOR, **SCREEN, "JUPYTERHUB_USER": "jo"}, "linux", False),
        ({**EDITOR, **SCREEN, "WSL_DISTRO_NAME": "Ubuntu"}, "linux", False),
        ({}, "darwin", False),
    ],
)
def test_where_it_is_known(environ: dict[str, str], platform: str, expected: bool) -> None:
    assert is_own_desktop(environ, platform, runs) is expected


def test_a_process_is_looked_for_and_not_touched() -> None:
    assert is_own_desktop({"VSCODE_PID": str(os.getpid())}, "darwin")
    assert not is_own_desktop({"VSCODE_PID": "9" * 30}, "darwin")
